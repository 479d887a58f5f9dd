# SPDX-License-Identifier: Apache-2.0
"""What ``/etc/hosts`` and ``/etc/resolv.conf`` say inside a container."""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STANDARD = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
_PUBLIC = ("8.8.8.8", "8.8.4.4")


def read_host(path: str) -> str:
    """The beginning of a file of the host; empty when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def split_host(text: str) -> tuple[str, str]:
    """Read ``--add-host name:address`` or ``name=address``.

    Raises:
        InvalidArgumentError: There is no address.
    """
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    if not mark or not name or not address:
        raise InvalidArgumentError(f'bad format for add-host: "{text}"')
    return name, address.strip("[]")


def hosts(extra: Iterable[str] = (), own: Iterable[tuple[str, str]] = (), gateway: str = "") -> str:
    """The text of ``/etc/hosts``.

    Args:
        extra: ``name:address`` pairs from ``--add-host``; the address ``host-gateway`` means the host.
        own: ``(address, names)`` of the container itself.
        gateway: Address of the host as the container sees it.
    """
    lines = [f"{address}\t{names}" for address, names in _STANDARD]
    for entry in extra:
        name, address = split_host(entry)
        lines.append(f"{gateway or '127.0.0.1' if address == 'host-gateway' else address}\t{name}")
    lines += [f"{address}\t{names}" for address, names in own]
    return "\n".join(lines) + "\n"


def resolv_conf(
    host: str,
    *,
    servers: Iterable[str] = (),
    search: Iterable[str] = (),
    options: Iterable[str] = (),
    own_network: bool = True,
    relay: str = "",
    names: bool = False,
) -> str:
    """The text of ``/etc/resolv.conf``.

    Args:
        host: The host's file.
        servers: From ``--dns``; replace the host's.
        search: From ``--dns-search``; ``.`` alone means none.
        options: From ``--dns-option``.
        relay: A server inside that asks the host's, named in their place; ``""`` for none.
        names: Whether ``servers`` know single words, the names of other containers.
        own_network: Whether loopback addresses mean another machine inside; those of the host are then left out.
    """
    found = _read(host)
    wanted = list(servers)
    if not wanted and relay:
        wanted = [relay]
    if not wanted:
        wanted = [name for name in found["nameserver"] if not (own_network and _is_loopback(name))]
        if not wanted and own_network:
            wanted = list(_PUBLIC)
    domains = list(search) or found["search"]
    if list(search) == ["."]:
        domains = []
    settings = list(options) or found["options"]
    if names and not any(setting.startswith("ndots:") for setting in settings):
        settings = [*settings, "ndots:0"]
    lines = [f"nameserver {name}" for name in wanted]
    if domains:
        lines.append("search " + " ".join(domains))
    if settings:
        lines.append("options " + " ".join(settings))
    return "\n".join(lines) + "\n"


def _read(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            found["nameserver"].append(words[1])
        elif words[0] in {"search", "domain"}:
            found["search"] = words[1:]
        elif words[0] == "options":
            found["options"] += words[1:]
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
