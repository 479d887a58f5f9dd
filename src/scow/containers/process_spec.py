# SPDX-License-Identifier: Apache-2.0
"""What the runtime is told of one more process in a running container.

Source: OCI runtime-spec v1.1, config.md, "Process".
"""

from __future__ import annotations

from scow import jsontext
from scow.errors import DeniedError
from scow.linux import capabilities, process
from scow.linux.idmaps import mapped_groups
from scow.runtime import inside, spec, users
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.executing import Exec
    from scow.containers.service import Containers
    from scow.containers.store import Container


def _root_of(container: Container) -> inside.Root:
    """The tree of a running container.

    Raises:
        DeniedError: It is out of reach.
    """
    try:
        return inside.Root(f"/proc/{container.pid}/root")
    except PermissionError as error:
        raise DeniedError(
            f"container {container.name} runs in another user namespace than this command",
            hint="It was started with another XDG_RUNTIME_DIR or SCOW_RUN_ROOT: use the same one.",
        ) from error


def describe(service: Containers, container: Container, wish: Exec) -> str:
    """Write a process down as JSON.

    Args:
        service: The room.
        container: One that runs.
        wish: What to run.

    Raises:
        UserNotFoundError: The container does not know the user.
        DeniedError: The container is out of reach of this command.
    """
    config, host = container.config, container.host
    privileged = wish.privileged or bool(host.get("Privileged"))
    with _root_of(container) as root:
        identity = users.resolve(
            wish.user or config.get("User") or "",
            root.read("/etc/passwd", users.MAX_FILE),
            root.read("/etc/group", users.MAX_FILE),
            host.get("GroupAdd") or (),
        )
    names = capabilities.resolve(
        tuple(host.get("CapAdd") or ()),
        tuple(host.get("CapDrop") or ()),
        privileged=privileged,
        last=capabilities.last_known(),
    )
    merged = {**config, "Tty": wish.terminal, "Env": [*(config.get("Env") or ()), *wish.env]}
    document = spec.make_process(
        wish.args,
        env=spec.environment(merged, container.hostname),
        cwd=wish.cwd or config.get("WorkingDir") or "/",
        identity=identity,
        capabilities=names,
        terminal=wish.terminal,
        no_new_privileges=spec.no_new_privileges(host),
        rlimits=host.get("Ulimits") or (),
        nofile=process.most_files(),
    )
    if mapped_groups() == 1:
        from scow.runtime.oneid.answerer import become

        become(document, f"{service.directory(container.id)}/config.json")
    return jsontext.dumps(document)
