# SPDX-License-Identifier: Apache-2.0
"""Ports as EXPOSE has them, and signals as STOPSIGNAL has them. Pure.

Source: Dockerfile reference, "EXPOSE" and "STOPSIGNAL"; BuildKit v0.32 for what is refused.
"""

from __future__ import annotations

import re

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
_MAX_PORT: Final = 65_535
_SIGNALS: Final = frozenset(
    """ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP
    TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX""".split()  # noqa: SIM905 - reads better so
)
_REALTIME: Final = re.compile(r"RTMIN\+(\d{1,2})|RTMAX-(\d{1,2})")


def expose(words: list[str]) -> list[str]:
    """The ports that words of EXPOSE mean, such as ``80/tcp``; a range means each of its ports.

    Raises:
        InvalidArgumentError: One of them is no port.
    """
    return [port for word in words for port in _expose(word)]


def _expose(word: str) -> list[str]:
    pieces = word.split(":")
    address, host, container = ":".join(pieces[:-2]), pieces[-2] if len(pieces) > 1 else "", pieces[-1]
    number, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not number:
        raise InvalidArgumentError(f"invalid port: {word!r}: no port specified")
    if protocol not in _PROTOCOLS:
        raise InvalidArgumentError(
            f"invalid port: {word!r}: invalid proto: {protocol}", hint="it can be tcp, udp or sctp"
        )
    if address:
        _check_address(address.removeprefix("[").removesuffix("]"))
    first, last = _range(number, "containerPort", container)
    if host:
        low, high = _range(host, "hostPort", host)
        if high - low != last - first and first != last:
            raise InvalidArgumentError(f"invalid ranges specified for container and host ports: {number} and {host}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _check_address(address: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InvalidArgumentError(f"invalid IP address: {address}") from None


def _range(text: str, what: str, whole: str) -> tuple[int, int]:
    first, dash, last = (number[number.startswith("+") :] for number in text.partition("-"))
    for number in (first, last) if dash else (first,):
        if not number.isascii() or not number.isdigit() or int(number[:9]) > _MAX_PORT or len(number) > 9:
            raise InvalidArgumentError(f"invalid {what}: {whole}", hint=f"ports are numbers up to {_MAX_PORT}")
    low = int(first)
    high = int(last) if dash else low
    if high < low:
        raise InvalidArgumentError(f"invalid {what}: {whole}", hint="the range ends before it begins")
    return low, high


def check_signal(text: str) -> None:
    """Make sure that a text names a signal.

    Raises:
        InvalidArgumentError: It does not.
    """
    if re.fullmatch(r"[+-]?\d+", text):
        if int(text) != 0:
            return
    else:
        name = text.upper().removeprefix("SIG")
        match = _REALTIME.fullmatch(name)
        if name in _SIGNALS or (match is not None and 0 < int(match[1] or match[2]) <= (15 if match[1] else 14)):
            return
    raise InvalidArgumentError(f"invalid signal: {text}")
