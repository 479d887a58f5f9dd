# SPDX-License-Identifier: Apache-2.0
"""What a container is to do without where nothing can be mounted and no namespace made: it is said, or refused."""

from __future__ import annotations

from scow.errors import UnsupportedError
from scow.linux.standin import NEEDS
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_SHARED = "the container shares the network, processes and name of the one that scow runs in"


def adapt(host: dict[str, Any]) -> list[str]:
    """Fit a container's wishes to ``runtime.chroot``.

    Args:
        host: Docker's ``HostConfig``; changed in place.

    Returns:
        Sentences about what it goes without.

    Raises:
        UnsupportedError: It asked to be kept from the network.
    """
    mode = host.get("NetworkMode") or "default"
    if mode == "host":
        return []
    if mode == "none":
        raise UnsupportedError("no network can be kept from a container here", hint=NEEDS)
    host["NetworkMode"] = "host"
    return [f"No namespaces can be made here: {_SHARED}"]
