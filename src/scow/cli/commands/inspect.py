# SPDX-License-Identifier: Apache-2.0
"""``scow inspect``: whatever has the name: a container, else an image, a network, a volume."""

from __future__ import annotations

import sys

from scow.cli.commands.image_inspect import INSPECT_FORMAT_HELP
from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from scow.cli.shapes import Shape
    from scow.engine import Engine

    Getter: TypeAlias = "Callable[[Engine, str, bool], tuple[dict[str, Any], Shape | None]]"

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    summary="Return low-level information on Docker objects",
    min_args=1,
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("size", "s", help="Display total file sizes if the type is container"),
        Flag("type", kind="string", help="Only inspect objects of the given type"),
    ),
)


def main(argv: list[str]) -> int:
    """Print docker's JSON for each name, or a template over it."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.errors import InvalidArgumentError

    options = parse(COMMAND, argv)
    if options.changed("type") and options.type not in _GETTERS:
        fault = f'unknown type: "{options.type}"' if options.type else "type is empty"
        kinds = ", ".join(f'"{kind}"' for kind in _GETTERS)
        raise InvalidArgumentError(f"{fault}: must be one of {kinds}")
    scow = engine()

    def get(name: str) -> tuple[dict[str, Any], Shape | None]:
        if options.type:
            return _GETTERS[options.type](scow, name, options.size)
        return _find(scow, name, size=options.size)

    return inspect_all(options.args, get, options.format)


def _find(scow: Engine, name: str, *, size: bool) -> tuple[dict[str, Any], Shape | None]:
    from scow.errors import InvalidArgumentError, NotFoundError

    if not name.strip():
        raise InvalidArgumentError("invalid container name or ID: value is empty")
    for kind, getter in _GETTERS.items():
        try:
            return getter(scow, name, size)
        except NotFoundError:
            continue
        except InvalidArgumentError:
            if kind == "container":  # the begin of several IDs
                raise
    raise NotFoundError(f"No such object: {name}")


def _container(scow: Engine, name: str, size: bool) -> tuple[dict[str, Any], Shape | None]:
    from scow.cli.shapes import CONTAINER
    from scow.containers.inspecting import inspect

    service = scow.containers
    return inspect(service, service.find(name), size=size), CONTAINER


def _image(scow: Engine, name: str, size: bool) -> tuple[dict[str, Any], Shape | None]:
    from scow.cli.shapes import IMAGE

    return _sizeless("image", size, scow.inspect_image(name)), IMAGE


def _network(scow: Engine, name: str, size: bool) -> tuple[dict[str, Any], Shape | None]:
    from scow.cli.shapes import NETWORK
    from scow.containers.networks_verbs import inspect

    service = scow.containers
    return _sizeless("network", size, inspect(service, service.networks.find(name))), NETWORK


def _volume(scow: Engine, name: str, size: bool) -> tuple[dict[str, Any], Shape | None]:
    from scow.cli.shapes import VOLUME
    from scow.containers.volumes import inspect

    return _sizeless("volume", size, inspect(scow.containers.volumes.get(name))), VOLUME


def _sizeless(kind: str, size: bool, found: dict[str, Any]) -> dict[str, Any]:
    if size:
        sys.stderr.write(f"WARNING: --size ignored for {kind}\n")
    return found


_GETTERS: dict[str, Getter] = {"container": _container, "image": _image, "network": _network, "volume": _volume}
