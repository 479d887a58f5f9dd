# SPDX-License-Identifier: Apache-2.0
"""Published ports as ``ps`` shows them: grouped into ranges. Pure.

Source: docker CLI 28.2.2, ``DisplayablePorts`` by its output.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def show_ports(ports: Mapping[str, Any]) -> str:
    """Write ports: ``443/tcp, 0.0.0.0:8080->80/tcp``. What has the same number outside and inside is put into ranges.

    Args:
        ports: Docker's ``NetworkSettings.Ports``.
    """
    entries: list[tuple[int, str, int, str]] = []
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        entries.extend(
            (int(number), binding["HostIp"], int(binding["HostPort"] or 0), protocol or "tcp")
            for binding in bindings or [{"HostIp": "", "HostPort": ""}]
        )
    ended: list[str] = []
    ranges: dict[tuple[str, str], tuple[int, int]] = {}
    moved: list[str] = []
    for private, address, public, protocol in sorted(entries):
        kind = (_shown(address), protocol)
        first, last = ranges.get(kind, (private, private - 1))
        if address and public != private:
            moved.append(f"{kind[0]}{public}->{private}/{protocol}")
        elif private == last + 1:
            ranges[kind] = (first, private)
        else:
            ended.append(_range(*kind, first, last))
            ranges[kind] = (private, private)
    return ", ".join([*ended, *(_range(*kind, *ends) for kind, ends in ranges.items()), *moved])


def _shown(address: str) -> str:
    return f"[{address}]:" if ":" in address else address and f"{address}:"


def _range(address: str, protocol: str, first: int, last: int) -> str:
    text = f"{first}" if first == last else f"{first}-{last}"
    return f"{address}{text}->{text}/{protocol}" if address else f"{text}/{protocol}"
