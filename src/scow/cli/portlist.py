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
    """Write ports: ``0.0.0.0:8080->80/tcp, 443/tcp``.

    Args:
        ports: Docker's ``NetworkSettings.Ports``.
    """
    entries: list[tuple[int, str, str, int]] = []
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        entries.extend(
            (int(number), protocol or "tcp", _shown(binding["HostIp"]), int(binding["HostPort"] or 0))
            for binding in bindings or [{"HostIp": "", "HostPort": ""}]
        )
    groups: list[list[int | str]] = []
    for private, protocol, address, public in sorted(entries, key=lambda entry: (entry[1], entry[2], entry[0])):
        last = groups[-1] if groups else None
        if (
            last
            and last[0] == protocol
            and last[1] == address
            and last[3] == private - 1
            and (last[5] == public - 1 if public else not last[5])
        ):
            last[3] = private
            last[5] = public
        else:
            groups.append([protocol, address, private, private, public, public])
    order = sorted(groups, key=lambda group: (group[2], group[0], group[1] == "", group[1] == "[::]"))
    return ", ".join(_show(*group) for group in order)  # type: ignore[arg-type]


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _show(protocol: str, address: str, low: int, high: int, first: int, last: int) -> str:
    private = f"{low}" if low == high else f"{low}-{high}"
    if not first:
        return f"{private}/{protocol}"
    public = f"{first}" if first == last else f"{first}-{last}"
    return f"{address}:{public}->{private}/{protocol}"
