# SPDX-License-Identifier: Apache-2.0
"""Being attached to a container from the command line: ``run -t``, ``start -a``, ``attach``."""

from __future__ import annotations

import os
import sys

from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container


def detach_keys(text: str) -> bytes:
    """The keys that mean "leave": from the flag, docker's ``config.json``, or the usual ones."""
    from scow.cli.format import config_format
    from scow.linux.terminal import DEFAULT_DETACH_KEYS, parse_keys

    return parse_keys(text or config_format("detachKeys") or DEFAULT_DETACH_KEYS)


def run_attached(
    containers: Containers,
    container: Container,
    *,
    keys: str = "",
    proxy: bool = True,
    start: bool = False,
    stdin: bool | None = None,
) -> int:
    """Be attached to a container until it ends.

    Args:
        containers: The room.
        container: The container.
        keys: Of ``--detach-keys``.
        proxy: Whether signals are passed on.
        start: Whether it has to be started first.
        stdin: Whether input is attached; ``None`` takes the container's own wish.

    Returns:
        Its exit status, 0 when the user left.
    """
    from scow.containers import detached, settling
    from scow.runtime.attach import Detached, Session, connect
    from scow.runtime.signals import forward

    config = container.config
    wanted = bool(config.get("AttachStdin")) if stdin is None else stdin
    sessions: list[Session] = []

    def attach(running: Container) -> None:
        containers.note("attach", running)
        bundle = containers.directory(running.id)
        sessions.append(
            Session(
                connect(bundle),
                bundle,
                terminal=bool(config.get("Tty")),
                stdin=0 if wanted and config.get("OpenStdin") else None,
                stdout=1 if config.get("AttachStdout", True) or not start else None,
                stderr=2 if config.get("AttachStderr", True) or not start else None,
                keys=detach_keys(keys),
            )
        )
        if proxy and not config.get("Tty"):
            forward(os.pidfd_open(running.pid))

    if start:
        container = detached.start(containers, container, before=attach)
    else:
        attach(container)
    sys.stdout.flush()
    try:
        sessions[0].run()
    except Detached:
        if not start:
            raise ScowError("read escape sequence") from None
        return 0
    ended = settling.wait_end(containers, container)
    return containers.last_status(container.id) if ended is None else ended.exit_code
