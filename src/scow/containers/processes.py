# SPDX-License-Identifier: Apache-2.0
"""The processes of a container, as ``ps`` on the host shows them."""

from __future__ import annotations

from scow.containers.store import NotRunningError
from scow.errors import InvalidArgumentError, UnsupportedError
from scow.linux import cgroups, process
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.containers.service import Containers
    from scow.containers.store import Container


def top(service: Containers, container: Container, options: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """List the processes.

    Args:
        service: The room.
        container: One that runs.
        options: For the host's ``ps``; ``-ef`` when empty.

    Returns:
        Titles, and the fields of each process; the last field may hold blanks.

    Raises:
        NotRunningError: It does not run.
        UnsupportedError: The host has no ``ps``.
        InvalidArgumentError: ``ps`` refused the options, or shows no process ids.
    """
    if not container.is_alive:
        raise NotRunningError(f"Container {container.id} is not running")
    program = process.find_program("ps")
    if not program:
        raise UnsupportedError("the host has no ps program", hint="Install it: apt install procps")
    wanted = set(cgroups.processes(service.cgroup_of(container))) or set(process.companions(container.pid))
    status, out, complaint = process.run([program, *(options or ["-ef"])])
    if status:
        raise InvalidArgumentError(f"ps: {complaint.strip().partition(chr(10))[0] or 'failed'}")
    lines = out.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgumentError("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in wanted:
            rows.append(fields)
    return titles, rows
