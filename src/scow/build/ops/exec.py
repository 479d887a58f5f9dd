# SPDX-License-Identifier: Apache-2.0
"""RUN: the command in a snapshot of its own, with what its mounts ask for.

Secrets are only ever written to a memory file system. Cache mounts live outside every layer, below
``<root>/cache-mounts``; a lock says who uses one.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from scow.build.emulation import check_emulation
from scow.build.ops.mounting import Mounting
from scow.build.times import settle_times
from scow.errors import ScowError
from scow.runtime.step import Step, StepMount
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.build.ops.values import RunOp
    from scow.build.workshop import Workshop


class CommandFailedError(ScowError):
    """The command of a RUN ended with another status than 0.

    Args:
        command: The command.
        status: The status.
        left: Snapshot of what it left, or ``""``.
    """

    code = "build-command"

    def __init__(self, command: str, *, status: int, left: str = "") -> None:
        super().__init__(
            f'process "{command}" did not complete successfully: exit code: {status}',
            hint="" if left else "build with --on-error=shell to look at what the step left",
        )
        self.command = command
        self.status = status
        self.left = left


def run_command(
    shop: Workshop,
    op: RunOp,
    below: str | None,
    reads: Sequence[str | None],
    epoch: int,
    output: Callable[[int, bytes], None],
    cancelled: Callable[[], bool],
    meanwhile: Callable[[], None],
) -> str:
    """Run a command.

    Args:
        shop: What to work with.
        op: What to run.
        below: Snapshot to run on; ``None`` for an empty tree.
        reads: Snapshots of the trees that mounts show.
        epoch: The time that files get which it writes, seconds since the epoch.
        output: Gets stream (1 or 2) and bytes.
        cancelled: Asked now and then.
        meanwhile: Called once when the command takes its time.

    Returns:
        The name of a snapshot with what it left.

    Raises:
        CommandFailedError: It did not succeed.
        CancelledError: ``cancelled`` said so.
    """
    identity = os.urandom(8).hex()
    key, name = f"build-run-{identity}", f"build:{identity}"
    snapshots = shop.snapshots
    check_emulation(op.platform)
    mounts = snapshots.prepare(key, below, volatile=True, lease=shop.lease)
    try:
        with ExitStack() as stack:
            given = Mounting(shop, stack, reads)
            for index, mount in enumerate(op.mounts):
                given.add(mount, index)
            given.add_files(op.files)
            volumes = [StepMount(target, "bind", source, ("ro",) if ro else ()) for source, target, ro in op.volumes]
            step = Step(
                args=op.args,
                rootfs=mounts,
                env=(*op.env, *given.env),
                cwd=op.cwd,
                user=op.user,
                mounts=(*given.mounts, *volumes),
                network=op.network,
                hostname=op.hostname,
                extra_hosts=op.hosts,
                insecure=op.insecure,
                shm_size=op.shm_size or 64 << 20,
                ulimits=op.ulimits,
                resources=op.resources,
                cgroup_parent=op.cgroup_parent,
                proxies=op.proxies,
            )
            began_ns = time.time_ns()
            status = shop.runner.run(step, output=output, cancelled=cancelled, meanwhile=meanwhile)
        if status:
            if shop.options.keep_failed:
                snapshots.commit(name, key, lease=shop.lease)
            raise CommandFailedError(" ".join(op.args), status=status, left=name if shop.options.keep_failed else "")
        if shop.options.rewrite_times:
            settle_times(snapshots.upper(key), began_ns, epoch, all_later=shop.epoch is not None)
        snapshots.commit(name, key, lease=shop.lease)
    except BaseException:
        snapshots.remove(key, force=True)
        raise
    return name
