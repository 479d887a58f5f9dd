# SPDX-License-Identifier: Apache-2.0
"""``scow stats``: what running containers use."""

from __future__ import annotations

import sys
import time

from scow.cli.flags import Command, Flag, parse
from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.cli.format import Listing
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.runtime.stats import Sample

COMMAND = Command(
    name="stats",
    usage="[OPTIONS] [CONTAINER...]",
    summary="Display a live stream of container(s) resource usage statistics",
    aliases=("container stats", "stats"),
    flags=(
        Flag("all", "a", help="Show all containers (default shows just running)"),
        Flag("format", kind="string", help="Format output using a custom template"),
        Flag("no-stream", help="Disable streaming stats and only pull the first result"),
        Flag("no-trunc", help="Do not truncate output"),
    ),
)
_EVERY_SECONDS = 1.0
_FIRST_SECONDS = 0.5
_CLEAR = "\x1b[2J\x1b[H"


def main(argv: list[str]) -> int:
    """Show what is used, again and again unless told otherwise."""
    from scow.cli.context import engine
    from scow.cli.format import config_format

    options = parse(COMMAND, argv)
    template = options.format or config_format("statsFormat")
    containers = engine().containers
    before = _samples(containers, _chosen(containers, options))
    pause = _FIRST_SECONDS
    while True:
        time.sleep(pause if before else 0)
        chosen = _chosen(containers, options)
        after = _samples(containers, chosen)
        rows = [
            _row(container, before.get(container.id), after.get(container.id), whole=options["no-trunc"])
            for container in chosen
        ]
        text = _listing().text(rows, template)
        if options["no-stream"]:
            sys.stdout.write(text)
            return 0
        sys.stdout.write((_CLEAR if sys.stdout.isatty() else "") + text)
        sys.stdout.flush()
        before, pause = after, _EVERY_SECONDS


def _chosen(containers: Containers, options: Parsed) -> list[Container]:
    if options.args:
        found, status = [], 0
        for name in options.args:
            try:
                found.append(containers.find(name))
            except ScowError as error:
                from scow.cli.report import report

                status = report(error)
        if status:
            raise SystemExit(status)
        return found
    return [container for container in containers.all() if options.all or container.is_alive]


def _samples(containers: Containers, chosen: list[Container]) -> dict[str, Sample]:
    from scow.runtime.stats import sample

    return {
        container.id: sample(containers.cgroup_of(container), container.pid)
        for container in chosen
        if container.is_alive
    }


def _listing() -> Listing:
    from scow.cli.format import Listing

    return Listing(
        {
            "Container": "CONTAINER",
            "ID": "CONTAINER ID",
            "Name": "NAME",
            "CPUPerc": "CPU %",
            "MemUsage": "MEM USAGE / LIMIT",
            "MemPerc": "MEM %",
            "NetIO": "NET I/O",
            "BlockIO": "BLOCK I/O",
            "PIDs": "PIDS",
        },
        default=("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
        kind="*container.statsContext",
    )


def _row(container: Container, before: Sample | None, after: Sample | None, *, whole: bool) -> dict[str, Any]:
    from scow.cli.format import binary_size, human_size
    from scow.runtime.stats import cpu_percent

    row = {
        "Container": container.name,
        "ID": container.id if whole else container.id[:12],
        "Name": container.name,
        "CPUPerc": "0.00%",
        "MemUsage": "0B / 0B",
        "MemPerc": "0.00%",
        "NetIO": "0B / 0B",
        "BlockIO": "0B / 0B",
        "PIDs": "0",
    }
    if after is None:
        return row
    used = cpu_percent(before, after) if before else 0.0
    row["CPUPerc"] = f"{used:.2f}%"
    row["MemUsage"] = f"{binary_size(after.memory)} / {binary_size(after.limit)}"
    row["MemPerc"] = f"{100 * after.memory / after.limit:.2f}%"
    row["NetIO"] = f"{human_size(after.received, 3)} / {human_size(after.sent, 3)}"
    row["BlockIO"] = f"{human_size(after.read, 3)} / {human_size(after.written, 3)}"
    row["PIDs"] = str(after.pids)
    return row
