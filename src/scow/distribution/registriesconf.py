# SPDX-License-Identifier: Apache-2.0
"""Where podman's ``registries.conf`` lies on this machine, and reading such files.

Source: containers-registries.conf(5).
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_SYSTEM = "/etc/containers/registries.conf"
_MAX_FILE = 4 << 20


def config_files(environ: Mapping[str, str]) -> list[str]:
    """Files and ``.d`` directories, later ones win; a user's own file replaces the machine's.

    Args:
        environ: ``CONTAINERS_REGISTRIES_CONF`` names the only one.
    """
    given = environ.get("CONTAINERS_REGISTRIES_CONF")
    if given:
        return [given]
    home = environ.get("HOME", "")
    if not home:
        return [_SYSTEM, f"{_SYSTEM}.d"]
    own = os.path.join(home, ".config", "containers", "registries.conf")
    if os.path.exists(own):
        return [own, f"{own}.d"]
    return [_SYSTEM, f"{_SYSTEM}.d", f"{own}.d"]


def documents(paths: Sequence[str], table: str = "") -> Iterator[dict[str, Any]]:
    """What stands in files and ``.d`` directories, those that are there, in the order in which they count.

    Args:
        paths: The files and directories.
        table: Leave out files that say nothing of these tables: those of distributions are mostly comment, and to
            understand one takes longer than to ask a registry.

    Raises:
        InvalidArgumentError: One is not TOML.
    """
    for path in paths:
        files = [path]
        if os.path.isdir(path):
            files = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".conf")]
        for file in files:
            if not table or _says(read_bytes(file), table.encode()):
                yield read_toml(file)


def _says(raw: bytes, table: bytes) -> bool:
    beginnings = (b"[[" + table, table + b"=")
    return any(line.translate(None, b" \t").startswith(beginnings) for line in raw.splitlines())


def read_bytes(path: str) -> bytes:
    """A configuration file, or nothing when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return b""


def read_toml(path: str) -> dict[str, Any]:
    """A configuration file, empty when it cannot be read.

    Raises:
        InvalidArgumentError: It is not TOML.
    """
    raw = read_bytes(path)
    if not raw:
        return {}
    import tomllib

    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"cannot read {path!r}: {error}") from error
