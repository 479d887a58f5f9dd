# SPDX-License-Identifier: Apache-2.0
"""What a daemon would do when the machine has started: start the containers whose restart policy asks for it.

Nothing of scow runs by itself, so a unit of the system's start calls this (docs/guides/run.md).
"""

from __future__ import annotations

from scow.containers.store import EXITED
from scow.errors import ScowError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.containers.service import Containers
    from scow.containers.store import Container


def start_again(service: Containers) -> Iterator[tuple[Container, ScowError | None]]:
    """Start what was running when the machine went down, the oldest first.

    Yields:
        Each container that was to be started, and why it could not be.
    """
    for container in reversed(service.all()):
        if not is_wanted(container):
            continue
        try:
            service.start(container)
        except ScowError as error:
            yield container, error
        else:
            yield container, None


def is_wanted(container: Container) -> bool:
    """Whether a container is to run after the machine's start.

    Source: docker's restart policies: ``always`` also brings back what a user stopped, ``unless-stopped`` does not.
    """
    if container.status != EXITED:
        return False
    name = (container.host.get("RestartPolicy") or {}).get("Name") or "no"
    if name == "always":
        return True
    if container.stopped:
        return False
    return name == "unless-stopped" or (name == "on-failure" and container.exit_code != 0)
