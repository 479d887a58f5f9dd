# SPDX-License-Identifier: Apache-2.0
"""Ports of the host: which are free."""

from __future__ import annotations

import _socket

_BACKLOG = 512
FIRST, LAST = 32768, 60999
"""Where ports are taken from when none is named; the kernel's own default range."""


def range_of_host() -> tuple[int, int]:
    """The range this host gives ports out of."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low, high = file.read(64).split()
            return int(low), int(high)
    except (OSError, ValueError):
        return FIRST, LAST


def listen(protocol: str, host: str, port: int) -> _socket.socket | None:
    """Take a port.

    Args:
        protocol: ``tcp`` or ``udp``.
        host: An address of the host, ``0.0.0.0`` for every one.
        port: The port.

    Returns:
        The socket, listening when it is one for streams; ``None`` when somebody has the port.

    Raises:
        PermissionError: This user may not have it.
    """
    kind = _socket.SOCK_STREAM if protocol == "tcp" else _socket.SOCK_DGRAM
    found = _socket.socket(_socket.AF_INET, kind | _socket.SOCK_CLOEXEC)
    try:
        if protocol == "tcp":
            found.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        if protocol == "tcp":
            found.listen(_BACKLOG)
    except PermissionError:
        found.close()
        raise
    except OSError:
        found.close()
        return None
    return found


def own_address() -> str:
    """The address this host has on its way to everywhere else; ``""`` when it has no such way."""
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        probe.connect(("192.0.2.1", 9))  # sends nothing; Source: RFC 5737, an address nobody has
        return str(probe.getsockname()[0])
    except OSError:
        return ""
    finally:
        probe.close()


def is_free(protocol: str, host: str, port: int) -> bool:
    """Whether no program of this host listens on a port.

    Args:
        protocol: ``tcp``, ``udp`` or ``sctp``.
        host: An address of the host, ``0.0.0.0`` for every one.
        port: The port.
    """
    if protocol == "sctp":
        return True
    kind = _socket.SOCK_STREAM if protocol == "tcp" else _socket.SOCK_DGRAM
    probe = _socket.socket(_socket.AF_INET, kind | _socket.SOCK_CLOEXEC)
    try:
        if protocol == "tcp":
            probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except OSError:
        return False
    finally:
        probe.close()
    return True
