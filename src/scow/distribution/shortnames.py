# SPDX-License-Identifier: Apache-2.0
"""What a name without a registry means: Docker Hub's, or what podman's configuration says.

scow reads names as docker does. Who sets ``SCOW_SHORT_NAMES=podman`` gets podman's reading where images are fetched:
the ``[aliases]`` of ``registries.conf``, then each of its ``unqualified-search-registries``. It is not the default
because one file of a distribution would change which image ``FROM centos`` is.

Source: containers-registries.conf(5), "short-name aliasing".
"""

from __future__ import annotations

import os

from scow.distribution.registriesconf import config_files, documents
from scow.errors import InvalidArgumentError
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VARIABLE = "SCOW_SHORT_NAMES"


def is_short(name: str) -> bool:
    """Whether a name leaves open which registry it is from."""
    first, slash, _ = name.partition("/")
    return not slash or not ("." in first or ":" in first or first == "localhost")


def meanings(name: str, environ: Mapping[str, str]) -> tuple[Reference, ...]:
    """What a name may mean, the likeliest first.

    Args:
        name: What the user typed.
        environ: Says whose reading is wanted, and where the files are.

    Raises:
        InvalidReferenceError: ``name`` is not a reference.
        InvalidArgumentError: The setting or a file cannot be understood, or podman would ask the user.
    """
    plain = Reference.parse(name)
    wanted = environ.get(VARIABLE, "")
    if wanted not in {"", "docker", "podman"}:
        raise InvalidArgumentError(f"{VARIABLE} is {wanted!r}", hint="Set it to docker or podman, or leave it unset.")
    if wanted != "podman" or not is_short(name):
        return (plain,)
    aliases, registries, mode = _configured(environ)
    short = name.partition("@")[0].partition(":")[0]
    alias = aliases.get(short)
    if alias:
        meant = Reference.parse(alias)
        return (meant._replace(tag=plain.tag, digest=plain.digest),)
    if not registries:
        return (plain,)
    if mode == "enforcing" and len(registries) > 1:
        raise InvalidArgumentError(
            f"{name!r} may be in {', '.join(registries)}",
            hint="Name the registry, or write an alias into registries.conf: its short-name-mode is enforcing.",
        )
    return tuple(Reference.parse(f"{registry}/{name}") for registry in registries)


def _configured(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str], str]:
    aliases: dict[str, str] = {}
    registries: list[str] = []
    mode = "permissive"
    for document in documents([*config_files(environ), *_remembered(environ)]):
        aliases.update(_table(document))
        listed = document.get("unqualified-search-registries")
        if isinstance(listed, list):
            registries = [str(entry) for entry in listed]
        mode = str(document.get("short-name-mode") or mode)
    return aliases, registries, mode


def _table(document: Mapping[str, Any]) -> dict[str, str]:
    found = document.get("aliases")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _remembered(environ: Mapping[str, str]) -> list[str]:
    """The answers that podman's users gave when they were asked."""
    if os.geteuid() == 0:
        return ["/var/cache/containers/short-name-aliases.conf"]
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", ""), ".cache")
    return [os.path.join(cache, "containers", "short-name-aliases.conf")]
