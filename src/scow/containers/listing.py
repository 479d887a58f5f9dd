# SPDX-License-Identifier: Apache-2.0
"""Which containers a list shows: docker's filters of ``ps``.

Source: Engine API v1.50, ``ContainerList``; docker 28.2.2's behaviour. Values of one filter are alternatives, different
filters must all match.
"""

from __future__ import annotations

import re

from scow.containers.patterns import matches
from scow.containers.store import STATUSES
from scow.errors import InvalidArgumentError, NotFoundError, ScowError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scow.containers.service import Containers
    from scow.containers.store import Container

_FILTERS = "ancestor before exited expose health id is-task isolation label name network publish since status volume"
_KNOWN = frozenset(_FILTERS.split())
_PORT_MAX = 0xFFFF
_HEALTHS = ("none", "starting", "healthy", "unhealthy")


def select(
    service: Containers, filters: Iterable[tuple[str, str]], *, everything: bool = False, last: int = -1
) -> list[Container]:
    """Choose containers, the newest first.

    Args:
        service: The room.
        filters: ``(key, value)`` pairs.
        everything: Also those that do not run.
        last: Only so many, of all; negative for no bound.

    Raises:
        InvalidArgumentError: A filter is unknown or its value malformed.
    """
    wanted: dict[str, list[str]] = {}
    for key, value in filters:
        if key not in _KNOWN or (key == "is-task" and value not in {"1", "0", "true", "false"}):
            raise InvalidArgumentError(f"Invalid filter '{key}{f'=[{value}]' if key in _KNOWN else ''}'")
        wanted.setdefault(key, []).append(value)
    for value in wanted.get("status", ()):
        if value not in STATUSES:
            raise InvalidArgumentError(f"Invalid filter 'status={value}'")
    for value in wanted.get("health", ()):
        if value not in _HEALTHS:
            raise InvalidArgumentError(f"Unrecognised filter value for health: {value}")
    found = service.all()
    if not everything and last < 0 and "status" not in wanted:
        found = [container for container in found if container.status in {"running", "paused", "restarting"}]
    elif "status" in wanted:
        found = [container for container in found if container.status in wanted["status"]]
    found = _around(service, found, wanted)
    ancestors = _ancestors(service, wanted["ancestor"]) if "ancestor" in wanted else None
    kept = [container for container in found if _matches(container, wanted, ancestors)]
    return kept[:last] if last >= 0 else kept


def _around(service: Containers, found: list[Container], wanted: dict[str, list[str]]) -> list[Container]:
    for value in wanted.get("before", ()):
        limit = _created(service, value)
        found = [container for container in found if container.created < limit]
    for value in wanted.get("since", ()):
        limit = _created(service, value)
        found = [container for container in found if container.created > limit]
    return found


def _created(service: Containers, name: str) -> float:
    try:
        return service.store.find(name).created
    except NotFoundError:
        raise NotFoundError(f"no such container {name}") from None


def _ancestors(service: Containers, values: list[str]) -> set[str]:
    """Images meant by the values, and the images made on them."""
    found: set[str] = set()
    for value in values:
        try:
            record = service.images.resolve(value)
        except ScowError:
            continue
        todo = [record.id]
        while todo:
            identity = todo.pop()
            if identity not in found:
                found.add(identity)
                todo.extend(service.images.children(identity))
    return found


def _matches(container: Container, wanted: dict[str, list[str]], ancestors: set[str] | None) -> bool:
    if ancestors is not None and container.image not in ancestors:
        return False
    return all(
        any(_match(container, key, value) for value in values)
        for key, values in wanted.items()
        if key not in {"status", "before", "since", "ancestor", "label"}
    ) and all(_match_label(container, value) for value in wanted.get("label", ()))


def _match(container: Container, key: str, value: str) -> bool:
    if key == "id":
        return container.id.startswith(value)
    if key == "name":
        return _match_name(container.name, value)
    if key == "exited":
        if not re.fullmatch(r"-?\d+", value):
            raise InvalidArgumentError(f'strconv.Atoi: parsing "{value}": invalid syntax')
        return container.status == "exited" and container.exit_code == int(value)
    if key == "volume":
        return any(value in {mount.get("Name"), mount["Destination"], mount["Source"]} for mount in container.mounts)
    if key == "network":
        return value in network_names(container)
    if key == "health":
        return (container.health.get("Status") or "none") == value
    if key in {"publish", "expose"}:
        return _match_port(container, key, value)
    return key in {"is-task", "isolation"} and value in {"false", "0", "", "default"}


def _match_name(name: str, pattern: str) -> bool:
    return matches(pattern, name) or matches(pattern, f"/{name}")


def _match_label(container: Container, value: str) -> bool:
    labels = container.config.get("Labels") or {}
    name, equals, wanted = value.partition("=")
    return name in labels and (not equals or labels[name] == wanted)


def _match_port(container: Container, key: str, value: str) -> bool:
    low, _, rest = value.partition("-")
    high, _, protocol = rest.partition("/") if rest else low.partition("/")
    low = low.partition("/")[0]
    protocol = protocol or "tcp"
    if not low.isdigit() or not (high or low).isdigit():
        raise InvalidArgumentError(
            f'error while looking up for {key} {value}: strconv.ParseUint: parsing "{low}": invalid syntax'
        )
    if int(low) > _PORT_MAX or int(high or low) > _PORT_MAX:
        raise InvalidArgumentError(
            f'error while looking up for {key} {value}: strconv.ParseUint: parsing "{high or low}": value out of range'
        )
    if not container.is_alive:
        return False
    return any(
        kind == protocol and int(low) <= number <= int(high or low) for number, kind in _ports_of(container, key)
    )


def _ports_of(container: Container, key: str) -> Iterator[tuple[int, str]]:
    """The ports of the host that a container publishes, or its own, with their protocols."""
    from scow.containers.inspecting import ports

    for port, bindings in ports(container).items():
        number, _, kind = port.partition("/")
        if key == "expose":
            yield int(number), kind
        for binding in (bindings or ()) if key == "publish" else ():
            yield int(binding["HostPort"]), kind


def network_names(container: Container) -> list[str]:
    """Names of the networks a container is on, or will be."""
    names = list(container.network.get("Networks") or {})
    if names:
        return names
    mode = container.host.get("NetworkMode") or "default"
    wanted = [name for name in container.network.get("Endpoints") or {} if name != "default"]
    return wanted or ["bridge" if mode == "default" else mode]


def find_images(service: Containers, container: Container) -> str:
    """The image as ``ps`` shows it: the name the user gave, or the short id when that name means another image now."""
    name = container.image_name
    try:
        same = service.images.resolve(name).id == container.image
    except NotFoundError:
        same = False
    except ScowError:
        same = False
    return name if same else container.image.removeprefix("sha256:")[:12]
