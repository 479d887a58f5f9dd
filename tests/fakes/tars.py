# SPDX-License-Identifier: Apache-2.0
"""Tar archives for tests, in few words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from scow.layer.tar import CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, TarEntry, TarWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["device", "directory", "fifo", "file", "link", "symlink", "tar"]

Piece = tuple[TarEntry, bytes]


def file(name: str | bytes, data: bytes = b"", **more: object) -> Piece:
    return TarEntry(_bytes(name), REGULAR, size=len(data), **more), data  # type: ignore[arg-type]


def directory(name: str | bytes, mode: int = 0o755, **more: object) -> Piece:
    return TarEntry(_bytes(name), DIRECTORY, mode, **more), b""  # type: ignore[arg-type]


def symlink(name: str | bytes, target: str | bytes) -> Piece:
    return TarEntry(_bytes(name), SYMLINK, 0o777, linkname=_bytes(target)), b""


def link(name: str | bytes, target: str | bytes) -> Piece:
    return TarEntry(_bytes(name), LINK, linkname=_bytes(target)), b""


def device(name: str | bytes, major: int, minor: int) -> Piece:
    return TarEntry(_bytes(name), CHAR, 0o600, major=major, minor=minor), b""


def fifo(name: str | bytes) -> Piece:
    return TarEntry(_bytes(name), FIFO, 0o600), b""


def _bytes(name: str | bytes) -> bytes:
    return name.encode() if isinstance(name, str) else name


def tar(*pieces: Piece | Iterable[Piece]) -> bytes:
    """An archive of the pieces."""
    out = io.BytesIO()
    writer = TarWriter(out, subsecond=True)
    for entry, data in pieces:
        writer.add(entry, [data])  # type: ignore[list-item]
    writer.close()
    return out.getvalue()
