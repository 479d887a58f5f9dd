# SPDX-License-Identifier: Apache-2.0
"""Running a bootstrap program where devices cannot be made, and perhaps no owners either: in a user namespace.

The program runs like a build step whose root is the host's: with processes of its own, and with its calls about owners
and users answered where there is one id. The devices it would make are lent to it by bind mounts.
"""

from __future__ import annotations

import os

from scow.linux.mount import Mount
from scow.runtime.oci import OciRuntime
from scow.runtime.step import Step, StepMount, Steps
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def run_as_step(
    words: Sequence[str],
    env: Mapping[str, str],
    tree: str,
    scratch: str,
    run_root: str,
    line: Callable[[str], None],
) -> int:
    """Run a bootstrap program.

    Args:
        words: Its command line.
        env: Its environment.
        tree: The root file system it makes.
        scratch: A directory for the step's own files, and its home.
        run_root: Where state lives that a reboot may lose.
        line: Told every line it writes.

    Returns:
        Its exit status.

    Raises:
        UnsupportedError: There is no OCI runtime.
    """
    os.makedirs(f"{tree}/dev", mode=0o755)
    state = os.path.join(run_root, "steps")
    os.makedirs(state, mode=0o700, exist_ok=True)
    # debootstrap does not insist on making devices itself in a container of this kind.
    values = {**env, "HOME": scratch, "container": "lxc"}
    step = Step(
        args=tuple(words),
        rootfs=(Mount("bind", "/", "", ("rbind",)),),
        env=tuple(f"{name}={value}" for name, value in values.items()),
        mounts=tuple(StepMount(f"{tree}/dev/{name}", "bind", f"/dev/{name}") for name in _DEVICES),
        network="host",
        insecure=True,
    )
    rest = b""

    def output(_stream: int, data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data).split(b"\n")
        for each in lines:
            line(each.decode("utf-8", "replace"))

    status = Steps(OciRuntime(state), os.path.join(scratch, "bundles")).run(step, output=output)
    line(rest.decode("utf-8", "replace"))
    return status
