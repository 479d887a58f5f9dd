# SPDX-License-Identifier: Apache-2.0
"""``DOCKER_BUILDKIT=0 docker build``: the lines and the exit status of the classic builder that scripts look for.

Source: moby 20.10, builder/dockerfile (builder.go, dispatchers.go); docker CLI 28.2.2, command/image/build.go.
"""

from __future__ import annotations

import sys

from scow.cli.flags import FALSE
from scow.cli.report import note
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scow.oci.reference import Reference


def asked_for(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for the classic builder."""
    return environ.get("DOCKER_BUILDKIT") in FALSE


def succeeded(image: str, tags: Iterable[Reference]) -> None:
    """Say on standard output what was built."""
    sys.stdout.write(f"Successfully built {image.removeprefix('sha256:')[:12]}\n")
    for tag in tags:
        sys.stdout.write(f"Successfully tagged {tag.familiar}\n")


def failed(cause: BaseException | None) -> int:
    """Name the command that failed, when that is why a build did.

    Args:
        cause: Why the step failed.

    Returns:
        The exit status: that of the command, else 1.
    """
    from scow.build.ops.exec import CommandFailedError

    if not isinstance(cause, CommandFailedError):
        return 1
    note(f"The command '{cause.command}' returned a non-zero code: {cause.status}")
    return cause.status
