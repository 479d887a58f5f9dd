# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can run programs of another one: by itself, or with an emulator that the kernel knows.

Source: Linux kernel documentation, "Kernel Support for miscellaneous Binary Formats (binfmt_misc)".
"""

from __future__ import annotations

import os

from scow.errors import UnsupportedError
from scow.oci.model import Platform
from scow.oci.platform import host_platform, parse_platform, score

_REGISTRY = "/proc/sys/fs/binfmt_misc"
_QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm64": "aarch64",
    "arm": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}


def is_foreign(platform: str) -> bool:
    """Whether programs of a platform need an emulator here.

    Args:
        platform: ``os/architecture``; ``""`` is this machine's.
    """
    if not platform:
        return False
    here = host_platform(os.uname().machine)
    wanted = parse_platform(platform)
    return not score(Platform(here.os, here.architecture, "v8" if here.architecture == "arm64" else "v4"), wanted)


def check_emulation(platform: str) -> None:
    """Make sure that programs of a platform can be run.

    Raises:
        UnsupportedError: They need an emulator that the kernel does not know.
    """
    if not is_foreign(platform):
        return
    wanted = parse_platform(platform)
    name = _QEMU.get(wanted.architecture, wanted.architecture)
    try:
        known = os.listdir(_REGISTRY)
    except OSError:
        known = []
    if not any(entry in (f"qemu-{name}", name) for entry in known):
        raise UnsupportedError(
            f"this machine cannot run programs for {platform}",
            hint="let the kernel know an emulator: apt install qemu-user-static binfmt-support",
        )
