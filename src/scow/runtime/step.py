# SPDX-License-Identifier: Apache-2.0
"""One command of a build, run to its end in a mounted snapshot.

A step has no record, no name and no log of its own: its caller gives the tree, the command and a callback for the
output, and gets the exit status. The tree is mounted in a mount namespace that only the step lives in, so nothing
is left mounted whatever is killed; when the calling process dies, the step is killed too. Empty files and
directories that had to be made to mount something on (``/etc/resolv.conf`` in an image without one, the target of
a ``RUN --mount``) are taken away again afterwards, so that they never show in the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.linux.mount import Mount


class StepMount(NamedTuple):
    """Something mounted for the time of one step (``RUN --mount``).

    Args:
        target: Absolute path inside the step's root.
        type: ``bind`` or ``tmpfs``.
        source: For ``bind``: an absolute path on the host, or, when ``tree`` is given, a path inside that tree
            (links are resolved inside it and can never leave it).
        options: Mount options, such as ``ro``, ``size=64m``, ``mode=1777``.
        tree: Mounts of a snapshot that ``source`` is taken from (``from=stage``); mounted privately first.
    """

    target: str
    type: str = "bind"
    source: str = ""
    options: tuple[str, ...] = ()
    tree: tuple[Mount, ...] = ()


class Step(NamedTuple):
    """What one step runs, and in what surroundings.

    Args:
        args: The command and its arguments; the shell form is already spelled out by the caller.
        rootfs: The mounts of the active snapshot, as the snapshotter gave them.
        env: ``NAME=value`` strings; ``PATH`` and ``HOME`` are added when absent.
        cwd: Working directory inside the root; it must exist or is made.
        user: As in Dockerfile ``USER``: name or id, optionally ``:group``; looked up inside the root.
        mounts: In the order in which they are mounted.
        network: ``default`` (bridge), ``none`` or ``host``.
        hostname: Name of the machine inside, ``buildkitsandbox``-like when empty.
        extra_hosts: ``name:address`` pairs for ``/etc/hosts``.
        insecure: All capabilities and no seccomp profile (``RUN --security=insecure``).
        shm_size: Bytes of ``/dev/shm``.
        ulimits: ``(name, soft, hard)``.
        memory: Bytes, or 0 for no limit.
        cgroup_parent: A cgroup path, or ``""`` for scow's own.
        proxies: Environment added for the process only, not seen in ``env`` (predefined proxy arguments).
    """

    args: tuple[str, ...]
    rootfs: tuple[Mount, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[StepMount, ...] = ()
    network: str = "default"
    hostname: str = ""
    extra_hosts: tuple[str, ...] = ()
    insecure: bool = False
    shm_size: int = 64 << 20
    ulimits: tuple[tuple[str, int, int], ...] = ()
    memory: int = 0
    cgroup_parent: str = ""
    proxies: tuple[str, ...] = ()


class StepRunner(Protocol):
    """Runs steps; any number at a time, from any thread (``scow.runtime.step.Steps`` is the real one).

    ``run`` blocks until the process has ended. ``output`` gets ``(stream, data)`` with stream 1 or 2, from one
    thread, in the order of writing; ``cancelled`` is asked about every 100 ms and a true answer kills the step.

    Raises:
        CancelledError: ``cancelled`` said so.
        StepStartError: The command could not be started; ``.status`` is 127 (not found) or 126 (not executable).
        UnsupportedError: No usable OCI runtime on this host; the hint names the package.
    """

    def run(
        self,
        step: Step,
        *,
        output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] | None = None,
    ) -> int:
        """Run one step; returns its exit status (128 + signal when it was killed)."""
        ...
