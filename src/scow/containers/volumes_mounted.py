# SPDX-License-Identifier: Apache-2.0
"""Volumes whose options say what is behind them: ``volume create --opt type=... --opt o=... --opt device=...``.

They are mounted where they are used, in the mount namespace of each container, and vanish with it: a ``tmpfs`` lasts
as long as the container that has it.

Source: docker's ``local`` volume driver.
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError, ScowError
from scow.linux.mount import Mount, mount_all
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.volumes import Volume


def mount_volume(volume: Volume, place: str) -> str:
    """Mount what a volume's options name, in the calling thread's mount namespace.

    Args:
        volume: One with options.
        place: Directory to mount on; made when missing.

    Returns:
        The directory with the volume's content.

    Raises:
        InvalidArgumentError: The options make no mount.
    """
    kind, device = volume.options.get("type") or "", volume.options.get("device") or ""
    options = [option for option in (volume.options.get("o") or "").split(",") if option]
    if not device:
        raise InvalidArgumentError(f'missing device in volume options: volume "{volume.name}"')
    is_bind = bool({"bind", "rbind"} & set(options))
    if is_bind:
        kind = "bind"
        if not os.path.exists(device):
            raise InvalidArgumentError(
                f"failed to mount local volume: mount {device}:{volume.path}, flags: 0x1000: no such file or directory"
            )
    if not kind:
        raise InvalidArgumentError(f'missing type in volume options: volume "{volume.name}"')
    os.makedirs(place, mode=0o711, exist_ok=True)
    kept = tuple(option for option in options if option not in {"bind", "rbind"})
    try:
        mount_all((Mount(kind, device, "", kept),), place)
    except ScowError as error:
        raise InvalidArgumentError(f"failed to mount local volume: {error.message}") from None
    return place
