# SPDX-License-Identifier: Apache-2.0
"""The leak gate: secrets that a step was given must not be in the layer it makes.

The bytes of each secret are searched for, as they are and in the encodings they usually hide in, while the layer is
written; what is found is named by file before the layer enters the cache.
"""

from __future__ import annotations

import base64

from scow.build.ops.values import RunOp
from scow.build.secrets import secret_name, secret_value
from scow.errors import DeniedError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from scow.build.graph import Op
    from scow.build.options import BuildOptions
    from scow.layer.changeset import Writable

_SHORTEST = 6
"""Bytes; shorter secrets are everywhere by chance."""


class LeakError(DeniedError):
    """A layer or a configuration holds a secret."""

    code = "build-leak"


class Needle(NamedTuple):
    """One form of one secret.

    Attributes:
        secret: Its id.
        form: ``plain``, ``base64``, ``hexadecimal`` or ``URL-encoded``.
        data: The bytes to search for.
    """

    secret: str
    form: str
    data: bytes


def may_leak(op: Op, options: BuildOptions) -> bool:
    """Whether a step's layer is not searched for a secret that it was given, so that no later build may take it unseen.

    Args:
        op: The step's operation.
        options: Of the build.
    """
    mounts = op.mounts if isinstance(op, RunOp) else ()
    return any(mount.mount.type == "secret" and secret_name(mount.mount) in options.allow_leaks for mount in mounts)


def given_secrets(op: Op, options: BuildOptions) -> dict[str, bytes]:
    """The secrets that a step was given, as far as they must not be in its layer.

    Args:
        op: The step's operation.
        options: Of the build.
    """
    secrets: dict[str, bytes] = {}
    for mount in op.mounts if isinstance(op, RunOp) else ():
        if mount.mount.type == "secret":
            name = secret_name(mount.mount)
            value = None if name in options.allow_leaks else secret_value(options, name)
            if value is not None:
                secrets[name] = value
    return secrets


def needles(secrets: Mapping[str, bytes]) -> list[Needle]:
    """What to search for.

    Args:
        secrets: Values by id.
    """
    out: list[Needle] = []
    if not secrets:
        return out
    from urllib.parse import quote_from_bytes

    for name, value in secrets.items():
        plain = value.strip()
        if len(plain) < _SHORTEST:
            continue
        forms = {"plain": plain}
        forms["hexadecimal"] = plain.hex().encode()
        forms["URL-encoded"] = quote_from_bytes(plain, safe="").encode()
        # Only the part that does not depend on what stands before or after it.
        forms["base64"] = base64.b64encode(plain[: len(plain) // 3 * 3])
        seen: set[bytes] = set()
        for form, data in forms.items():
            if len(data) >= _SHORTEST and data not in seen:
                seen.add(data)
                out.append(Needle(name, form, data))
    return out


class Gate:
    """Passes bytes on and remembers where a secret was in them.

    Args:
        out: Where to.
        wanted: What to search for.
    """

    def __init__(self, out: Writable, wanted: list[Needle]) -> None:
        self._out = out
        self._wanted = wanted
        self._overlap = max((len(needle.data) for needle in wanted), default=1) - 1
        self._tail = b""
        self._offset = 0
        self.found: tuple[Needle, int] | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes; all of them are passed on."""
        if self.found is None and self._wanted:
            text = self._tail + bytes(data)
            for needle in self._wanted:
                at = text.find(needle.data)
                if at >= 0:
                    self.found = (needle, self._offset - len(self._tail) + at)
                    break
            self._tail = text[-self._overlap :] if self._overlap else b""
            self._offset += len(data)
        return self._out.write(data)


def place_of(tar: BinaryIO, offset: int) -> str:
    """Which member of an archive a byte belongs to.

    Args:
        tar: The archive.
        offset: Of the byte.
    """
    from scow.layer.tar import TarReader

    name = ""
    for entry in TarReader(tar):
        if entry.offset > offset:
            break
        name = "/" + entry.name.decode("utf-8", "replace").strip("/")
    return name


def refuse(found: tuple[Needle, int], where: str, title: str) -> LeakError:
    """The error for a secret in a layer."""
    needle, _ = found
    return LeakError(
        f"the secret {needle.secret!r} is present in the layer of {title}: {where} ({needle.form})",
        hint=f"remove the file in the same RUN, or keep it with --allow-leak={needle.secret}",
    )
