# SPDX-License-Identifier: Apache-2.0
"""Times of files that a step made."""

from __future__ import annotations

import os


def settle_times(upper: str, epoch: int | None) -> None:
    """Make files that a step made no newer than an epoch, so that the next step sees what the layer will say.

    Args:
        upper: Directory with what the step left.
        epoch: Seconds since the epoch; ``None`` leaves all times alone.
    """
    if epoch is None:
        return
    latest = epoch * 1_000_000_000
    stack = [os.fsencode(upper)]
    while stack:
        here = stack.pop()
        with os.scandir(here) as scan:
            for item in scan:
                status = item.stat(follow_symlinks=False)
                if item.is_dir(follow_symlinks=False):
                    stack.append(item.path)
                if status.st_mtime_ns > latest:
                    os.utime(item.path, ns=(latest, latest), follow_symlinks=False)
