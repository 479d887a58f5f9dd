# SPDX-License-Identifier: Apache-2.0
"""Ports on the command line: ``-p [address:][host:]container[/protocol]`` and ``--expose``, with ranges. Pure.

Source: docker/go-connections, nat; the long syntax of docker 28.
"""

from __future__ import annotations

from scow.cli.flags import CommandError

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_MAX_PORT = 65535


def read_publish(text: str) -> list[tuple[str, dict[str, str]]]:
    """Read one ``--publish``.

    Returns:
        ``("80/tcp", {"HostIp": "", "HostPort": "8080"})`` for every port of the range.

    Raises:
        CommandError: Malformed.
    """
    if "=" in text and ":" not in text.partition("=")[0]:
        text = _long(text)
    body, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise CommandError(f"invalid proto: {protocol}")
    address, host, container = _split(body)
    if not container:
        raise CommandError(f"no port specified: {text}<empty>")
    low, high = read_range(container, f"invalid containerPort: {container}")
    if not host:
        return [(f"{port}/{protocol}", {"HostIp": address, "HostPort": ""}) for port in range(low, high + 1)]
    first, last = read_range(host, f"invalid hostPort: {host}", zero=True)
    if last - first != high - low:
        if low != high:
            raise CommandError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        return [(f"{low}/{protocol}", {"HostIp": address, "HostPort": host})]
    return [
        (f"{low + step}/{protocol}", {"HostIp": address, "HostPort": str(first + step)})
        for step in range(high - low + 1)
    ]


def _split(body: str) -> tuple[str, str, str]:
    """Address, host port and container port, each maybe empty."""
    rest, _, container = body.rpartition(":")
    if not rest and not body.startswith(":"):
        return "", "", container
    if rest.startswith("["):
        address, bracket, host = rest[1:].partition("]")
        if not bracket:
            raise CommandError(f"invalid IP address: {rest}")
        return _address(address), host.removeprefix(":"), container
    address, _, host = rest.rpartition(":")
    return _address(address), host, container


def _address(address: str) -> str:
    if not address:
        return ""
    import ipaddress

    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise CommandError(f"invalid IP address: {address}") from None
    return address


def read_expose(text: str) -> list[str]:
    """Read one ``--expose``: ``80``, ``80/udp``, ``3000-3010``.

    Raises:
        CommandError: Malformed.
    """
    body, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if ":" in text or protocol not in _PROTOCOLS:
        raise CommandError(f"invalid port format for --expose: {text}")
    first = body.partition("-")[0]
    reason = f'strconv.ParseUint: parsing "{first}": invalid syntax'
    if not first:
        reason = "empty string specified for ports"
    elif first.isdigit() and int(first) > _MAX_PORT:
        reason = f'strconv.ParseUint: parsing "{first}": value out of range'
    elif first.isdigit():
        reason = f"invalid range specified for port: {body}"
    low, high = read_range(body, f"invalid range format for --expose: {text}, error: {reason}")
    return [f"{port}/{protocol}" for port in range(low, high + 1)]


def read_range(text: str, fault: str, *, zero: bool = False) -> tuple[int, int]:
    """Read a port or a range of ports.

    Args:
        text: Such as ``80`` or ``80-90``.
        fault: The message when it is neither.
        zero: Whether port 0 (any) is allowed.

    Raises:
        CommandError: It is neither.
    """
    first, dash, last = text.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        raise CommandError(fault)
    low, high = int(first), int(last if dash else first)
    if not (0 if zero else 1) <= low <= high <= _MAX_PORT:
        raise CommandError(fault)
    return low, high


def _long(text: str) -> str:
    """Turn ``published=8080,target=80,protocol=udp`` into the short form."""
    values: dict[str, str] = {}
    for field in text.split(","):
        name, equals, value = field.partition("=")
        if not equals:
            raise CommandError(f"invalid publish opts format (should be name=value but got '{field}')")
        values[name] = value
    published, target, protocol = values.get("published", ""), values.get("target", ""), values.get("protocol", "")
    return f"{published}:{target}/{protocol or 'tcp'}"
