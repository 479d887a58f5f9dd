# SPDX-License-Identifier: Apache-2.0
"""The lock file: every input of a build that comes from outside, with its digest.

``scow lock`` writes ``Dockerfile.lock`` beside the Dockerfile; ``build --locked`` refuses an input that it does not
have or that is another one now. TOML, sorted, one table for each input, so that differences read well.
"""

from __future__ import annotations

import os

from scow.base.files import atomic_write
from scow.errors import ConflictError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "# Written by scow lock: the inputs of a build that come from outside. Do not edit.\nversion = 1\n"


class LockError(ConflictError):
    """An input is not what the lock file says, or is not in it."""

    code = "build-lock"
    exit_code = 3


class Input(NamedTuple):
    """One input from outside.

    Attributes:
        kind: ``image``, ``url``, ``git`` or ``context``.
        name: As the Dockerfile or the command line has it.
        digest: What it is: a digest, or a commit.
    """

    kind: str
    name: str
    digest: str


def lock_path(dockerfile: str) -> str:
    """Where the lock of a Dockerfile is."""
    return f"{dockerfile}.lock"


def render(inputs: Iterable[Input]) -> str:
    """A lock file's text."""
    return HEADER + "".join(
        f"\n[[{entry.kind}]]\nname = {_quote(entry.name)}\ndigest = {_quote(entry.digest)}\n"
        for entry in sorted(set(inputs))
    )


def write(path: str, inputs: Iterable[Input]) -> list[str]:
    """Write a lock file.

    Returns:
        What changed against the one that was there, one line each.
    """
    before = {(entry.kind, entry.name): entry.digest for entry in read(path)} if os.path.exists(path) else {}
    fresh = sorted(set(inputs))
    after = {(entry.kind, entry.name): entry.digest for entry in fresh}
    atomic_write(path, render(fresh).encode())
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        name = f"{key[0]} {key[1]}"
        if old is None:
            lines.append(f"+ {name} {new}")
        elif new is None:
            lines.append(f"- {name} {old}")
        else:
            lines.append(f"~ {name} {_short(old)} -> {_short(new)}")
    return lines


def read(path: str) -> list[Input]:
    """Read a lock file.

    Raises:
        NotFoundError: There is none.
        LockError: It cannot be understood.
    """
    import tomllib

    try:
        with open(path, "rb") as file:
            value = tomllib.load(file)
    except FileNotFoundError:
        raise NotFoundError(f"there is no lock file {path!r}", hint="write one with 'scow lock'") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LockError(f"the lock file {path!r} cannot be read: {error}") from None
    if value.get("version") != 1:
        raise LockError(f"the lock file {path!r} has another version than this scow knows")
    return [
        Input(kind, row["name"], row["digest"])
        for kind, rows in value.items()
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("digest"), str)
    ]


def check(path: str, inputs: Iterable[Input]) -> None:
    """Make sure that every input is as the lock file says.

    Raises:
        LockError: One is not.
        NotFoundError: There is no lock file.
    """
    known = {(entry.kind, entry.name): entry.digest for entry in read(path)}
    for entry in sorted(set(inputs)):
        wanted = known.get((entry.kind, entry.name))
        if wanted is None:
            raise LockError(f"the {entry.kind} {entry.name!r} is not in the lock file", hint="run 'scow lock'")
        if wanted != entry.digest:
            raise LockError(
                f"the {entry.kind} {entry.name!r} is {_short(entry.digest)}, the lock file has {_short(wanted)}",
                hint="run 'scow lock' to accept it",
            )


def _short(digest: str) -> str:
    return digest[:19] if digest.startswith("sha256:") else digest[:12]


def _quote(text: str) -> str:
    """A TOML basic string."""
    import json

    return json.dumps(text)
