# SPDX-License-Identifier: Apache-2.0
"""A store's directory belongs to one user, and nobody else looks in."""

from __future__ import annotations

import os

from scow.errors import DeniedError


def own_store(root: str) -> None:
    """Make the directory of a store, or make sure that the one there is this user's.

    Args:
        root: The directory.

    Raises:
        DeniedError: It is somebody else's, or cannot be made.
    """
    try:
        # Nobody else may get at programs in it that take on their owner's rights.
        os.makedirs(root, mode=0o700, exist_ok=True)
        owner = os.stat(root).st_uid
    except OSError as error:
        raise DeniedError(
            f"the store {root!r} cannot be used: {error.strerror}", hint="Name another one with --root or SCOW_ROOT."
        ) from error
    if owner != os.geteuid():
        from scow.linux.standing import user_name

        raise DeniedError(
            f"the store {root!r} belongs to user {user_name(owner)}, and stores of different users never mix",
            hint="Work as that user, or name another store with --root or SCOW_ROOT.",
        )
