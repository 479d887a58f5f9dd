# SPDX-License-Identifier: Apache-2.0
"""``scow logs``: what a container has said."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.cli.flags import Parsed
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.runtime.logs import Line

COMMAND = Command(
    name="logs",
    usage="[OPTIONS] CONTAINER",
    summary="Fetch the logs of a container",
    min_args=1,
    max_args=1,
    aliases=("container logs", "logs"),
    flags=(
        Flag("details", help="Show extra details provided to logs"),
        Flag("follow", "f", help="Follow log output"),
        Flag(
            "since",
            kind="string",
            help='Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
        Flag("tail", "n", kind="string", default="all", help="Number of lines to show from the end of the logs"),
        Flag("timestamps", "t", help="Show timestamps"),
        Flag(
            "until",
            kind="string",
            help=('Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
        ),
    ),
)


def main(argv: list[str]) -> int:
    """Print the log of a container."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    containers = engine().containers
    container = containers.find(options.args[0])
    if (container.host.get("LogConfig") or {}).get("Type") == "none":
        raise ScowError("configured logging driver does not support reading")
    begun: set[int] = set()
    details = _details(container) if options.details else b""
    for line in _chosen(containers, container, options):
        out = sys.stderr.buffer if line.stream == 2 and not container.config.get("Tty") else sys.stdout.buffer
        if options.timestamps and line.stream not in begun:
            out.write(line.when.encode() + b" ")
        if options.details and line.stream not in begun:
            out.write(details + b" ")
        if line.data.endswith(b"\n"):
            begun.discard(line.stream)
        else:
            begun.add(line.stream)
        out.write(line.data)
        out.flush()
    return 0


def _chosen(containers: Containers, container: Container, options: Parsed) -> Iterator[Line]:
    """The lines that were asked for."""
    from scow.base.clock import now, parse_time
    from scow.runtime.logs import LogReader, follow, tail, wait_written

    at = now()
    since, until = (_moment(options, flag, at) for flag in ("since", "until"))

    def within(line: Line) -> bool:
        if since is None and until is None:
            return True
        when = parse_time(line.when)
        return (since is None or when >= since) and (until is None or when <= until)

    path = containers.directory(container.id) + "/log"
    count = _count(options.tail)
    if not container.is_alive:
        wait_written(path)
    reader = LogReader(path)
    shown = filter(within, reader.more())
    yield from shown if count is None else tail(shown, count)
    if not options.follow:
        return

    def alive() -> bool:
        current = containers.store.get(container.id)
        if current is None:
            return False
        from scow.containers.settling import settle

        current = settle(containers, current)
        if current is not None and current.is_alive:
            return until is None or now() < until
        wait_written(path)
        return False

    yield from filter(within, follow(reader, alive))


def _details(container: Container) -> bytes:
    """What ``--log-opt labels=``, ``env=`` and ``tag=`` name."""
    wanted = (container.host.get("LogConfig") or {}).get("Config") or {}
    labels: dict[str, str] = container.config.get("Labels") or {}
    variables = dict(entry.partition("=")[::2] for entry in container.config.get("Env") or ())
    found = {name: labels[name] for name in wanted.get("labels", "").split(",") if name in labels}
    found |= {name: variables[name] for name in wanted.get("env", "").split(",") if name in variables}
    if wanted.get("tag"):
        found["tag"] = _tag(container, wanted["tag"])
    return ",".join(f"{name}={found[name]}" for name in sorted(found)).encode()


def _tag(container: Container, template: str) -> str:
    """The ``--log-opt tag=`` of a container, a template over its names and IDs.

    Source: docs.docker.com, "Customize log driver output".
    """
    from scow.cli.template.evaluator import Template

    image = container.image.removeprefix("sha256:")
    fields = {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "ImageName": container.image_name,
        "ImageID": image[:12],
        "ImageFullID": "sha256:" + image,
        "DaemonName": "docker",
    }
    return Template(template).render(fields)


def _moment(options: Parsed, flag: str, at: float) -> float | None:
    from scow.base.clock import parse_moment

    try:
        return parse_moment(options[flag], at) if options[flag] else None
    except InvalidArgumentError:
        raise InvalidArgumentError(
            f'invalid value for "{flag}": failed to parse value as time or duration: "{options[flag]}"'
        ) from None


def _count(text: str) -> int | None:
    """Lines asked for; ``None`` for all."""
    if text == "all" or not text.lstrip("+").isdigit():
        return None
    return int(text)
