# SPDX-License-Identifier: Apache-2.0
"""The arguments that nobody declares, and those declared before the first FROM: what FROM lines can refer to.

Source: Dockerfile reference, "Automatic platform ARGs in the global scope" and "Understand how ARG and FROM interact".
"""

from __future__ import annotations

from scow.dockerfile import words
from scow.dockerfile.blame import blame
from scow.dockerfile.errors import WordError
from scow.record import Record
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from scow.dockerfile.ast import Dockerfile
    from scow.oci.model import Platform

PREDEFINED: Final = frozenset(
    name
    for lower in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (lower, lower.upper())
)
"""Build arguments that RUN gets without ARG, outside history and cache keys."""

CHECK_ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands for the ``check`` directive, and wins over it."""
CACHE_SPACE_ARGUMENT: Final = "BUILDKIT_CACHE_MOUNT_NS"
"""The build argument that keeps the cache mounts of one kind of build apart from those of others."""
HOST_NAME_ARGUMENT: Final = "BUILDKIT_SANDBOX_HOSTNAME"
"""The build argument that names the machine RUN sees."""
INLINE_CACHE_ARGUMENT: Final = "BUILDKIT_INLINE_CACHE"
"""The build argument that puts the cache's records into the image."""
KEEP_GIT_ARGUMENT: Final = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
"""The build argument that keeps ``.git`` of a context from git."""
UNSEEN: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that speak to the builder only: no command sees them, though ARG declares them."""


class GlobalScope(Record):
    """What FROM lines see.

    Attributes:
        values: Every argument that has a value, the automatic ones included.
        declared: Names that ARG declares before the first FROM, with a value or without.
    """

    values: Mapping[str, str]
    declared: frozenset[str]


def automatic_args(build: Platform, target: Platform, stage: str = "") -> dict[str, str]:
    """BUILDPLATFORM, TARGETARCH and their kin.

    Args:
        build: Where the build runs.
        target: What it makes.
        stage: Name of the stage built; TARGETSTAGE is ``default`` when it has none.
    """
    return {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": _full(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }


def global_scope(dockerfile: Dockerfile, automatic: Mapping[str, str], given: Mapping[str, str]) -> GlobalScope:
    """The values of the arguments before the first FROM.

    Args:
        dockerfile: Its ``args`` are read.
        automatic: As ``automatic_args`` gives them.
        given: Build arguments; they win over defaults, and over automatic ones.

    Raises:
        DockerfileError: A default value cannot be expanded.
    """
    values = {name: given.get(name, value) for name, value in automatic.items()}
    declared: set[str] = set()
    for node in dockerfile.args:
        for argument in node.arguments:
            declared.add(argument.name)
            if argument.name in given:
                values[argument.name] = given[argument.name]
            elif argument.default is not None:
                try:
                    values[argument.name] = words.expand(argument.default, values, dockerfile.escape).text
                except WordError as error:
                    raise blame(dockerfile, node, error.message, token=argument.default, hint=error.hint) from None
    return GlobalScope(values, frozenset(declared))


def _full(platform: Platform) -> str:
    """The platform with the version and features of its system, if it has any."""
    details = "+".join((platform.os_version, *platform.os_features))
    if not details:
        return str(platform)
    return str(platform).replace(platform.os, f"{platform.os}({details})", 1)
