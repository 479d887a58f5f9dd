# SPDX-License-Identifier: Apache-2.0
"""Time as seconds since the epoch (UTC), and its two texts: RFC 3339 for documents, Go durations for people.

Nobody else asks the system for the time of day; a build's ``SOURCE_DATE_EPOCH`` is handed in as a value.
"""

from __future__ import annotations

import time

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from re import Match

# As texts: most commands need none of these, and loading ``re`` is a tenth of a pull of a small image.
_ZONE = r"[Zz]|[+-]\d\d:?\d\d"
_TIME = rf"[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?\s*({_ZONE})?"
_RFC3339 = rf"(\d{{4}})-(\d\d)-(\d\d)(?:{_TIME}|({_ZONE}))?"
_UNIX = r"(\d+)(?:\.(\d{1,9}))?"
_NANOSECONDS = 1_000_000_000
"""In a second."""
_DURATION = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
_UNITS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time, docker's way to say «never»."""


def now() -> float:
    """Ask the system.

    Returns:
        Seconds since the epoch, UTC.
    """
    return time.time()


def rfc3339(when: float, nanoseconds: int | None = None) -> str:
    """Write a moment as Go's RFC3339Nano does: UTC, fraction without trailing zeros.

    Args:
        when: Seconds since the epoch.
        nanoseconds: The fraction exactly, when the caller has it; else it is taken from ``when``.

    Returns:
        Such as ``2024-02-03T04:05:06.789Z``.
    """
    seconds = int(when // 1)
    fraction = int((when - seconds) * 1e9) if nanoseconds is None else nanoseconds
    moment = time.gmtime(seconds)
    text = f"{moment[0]:04d}-{moment[1]:02d}-{moment[2]:02d}T{moment[3]:02d}:{moment[4]:02d}:{moment[5]:02d}"
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z" if fraction else text + "Z"


def _days(year: int, month: int, day: int) -> int:
    # Days since 1970-01-01 in the proleptic Gregorian calendar; the year begins in March so that leap days come last.
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def parse_time(text: str) -> float:
    """Read a moment as RFC 3339, with the shortenings docker accepts (date only, no zone means UTC).

    Args:
        text: The moment.

    Returns:
        Seconds since the epoch, UTC; negative before 1970.

    Raises:
        InvalidArgumentError: ``text`` is no such moment.
    """
    year, month, day, hour, minute, second, fraction, zone = _usual(text) or _unusual(text)
    numbers = [int(part or 0) for part in (month, day, hour, minute, second)]
    if not (
        1 <= numbers[0] <= 12 and 1 <= numbers[1] <= 31 and numbers[2] < 24 and numbers[3] < 60 and numbers[4] < 61
    ):
        raise InvalidArgumentError(f"{text!r} is not a time such as 2006-01-02T15:04:05Z")
    seconds = _days(int(year), numbers[0], numbers[1]) * 86400 + numbers[2] * 3600 + numbers[3] * 60 + numbers[4]
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds + (float("0." + fraction) if fraction else 0.0)


def _usual(text: str) -> tuple[str, ...] | None:
    """The parts of a moment as programs write it, ``2006-01-02T15:04:05.999Z``."""
    parts = text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19], text[20:-1]
    digits = "".join(parts)
    if text[4:19:3] != "--T::" or text[19:] not in {"Z", f".{parts[-1]}Z"} or not digits.isdecimal():
        return None
    return None if text[19:] == ".Z" else (*parts, "Z")


def _unusual(text: str) -> tuple[str, ...]:
    match = _match(_RFC3339, text)
    if match is None:
        raise InvalidArgumentError(f"{text!r} is not a time such as 2006-01-02T15:04:05Z")
    *parts, zone, day_zone = match.groups()
    return (*parts, zone or day_zone)


def _match(pattern: str, text: str) -> Match[str] | None:
    import re

    return re.fullmatch(pattern, text)


def parse_duration(text: str) -> float:
    """Read a Go duration such as ``1h30m`` or ``250ms``.

    Args:
        text: The duration; a leading sign is allowed.

    Returns:
        Seconds.

    Raises:
        InvalidArgumentError: ``text`` is no duration.
    """
    import re

    body = text[1:] if text[:1] in ("+", "-") else text
    parts = re.findall(_DURATION, body)
    if body != "0" and (not parts or "".join(number + unit for number, unit in parts) != body):
        raise InvalidArgumentError(f"{text!r} is not a duration such as 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return -total if text[:1] == "-" else total


def write_duration(nanoseconds: int) -> str:
    """Write a duration as Go does: ``1m30s``, ``1.5s``, ``250ms`` or ``0s``."""
    if not nanoseconds:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < _NANOSECONDS:
        for unit, size in (("ms", 1_000_000), ("\u00b5s", 1000), ("ns", 1)):
            if rest >= size:
                return sign + _decimal(rest, size) + unit
    minutes, rest = divmod(rest, 60 * _NANOSECONDS)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, _NANOSECONDS)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0")


def parse_moment(text: str, at: float) -> float:
    """Read what docker's ``--since``, ``--until`` and ``until=`` filters take.

    Args:
        text: A Unix time, a moment as RFC 3339, or a duration that counts back from ``at``.
        at: Now, seconds since the epoch.

    Returns:
        Seconds since the epoch.

    Raises:
        InvalidArgumentError: ``text`` is none of these.
    """
    if _match(_UNIX, text):
        return float(text)
    if _match(_RFC3339, text):
        return parse_time(text)
    try:
        return at - parse_duration(text)
    except InvalidArgumentError:
        raise InvalidArgumentError(f'failed to parse value as time or duration: "{text}"') from None


def source_date_epoch(environ: Mapping[str, str]) -> float | None:
    """Read the moment a reproducible build pretends to happen at.

    Args:
        environ: The environment.

    Returns:
        Seconds since the epoch, ``None`` when it is not set.

    Raises:
        InvalidArgumentError: It is no number.

    Source: reproducible-builds.org, "SOURCE_DATE_EPOCH specification".
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InvalidArgumentError(f"SOURCE_DATE_EPOCH is {text!r}, which is not a number of seconds")
    return float(text)
