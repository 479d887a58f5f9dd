# SPDX-License-Identifier: Apache-2.0
"""The build graph: vertices as values, what running one gives, and what may be asked of an operation.

A vertex is an operation and the vertices it needs. Its first input is the tree it works on (``None`` for an empty
one); the others are trees it reads. Three keys find its result in the cache, tried in this order:

1. the *definition key*: the operation's definition and the definition keys of its inputs. Known before anything is
   run or pulled, so that a fully cached build touches no layer;
2. the *result key*: the definition and the layers below, once they are known;
3. the *content key*: the definition, the layers below, and a digest of the files that are really used.
"""

from __future__ import annotations

import hashlib
import json

from scow.oci.digest import ChainID, DiffID, Digest, chain_id
from scow.record import Record
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

KEY_VERSION = 1
"""Part of every key; changes when the same definition would make another layer."""


class LayerRef(NamedTuple):
    """One layer of a result.

    Attributes:
        diff_id: Digest of its tar, which is a blob of the store.
        size: Bytes of the tar.
        usage: Bytes of file data in it.
        time: When its content was made as far as the inputs tell, seconds since the epoch.
    """

    diff_id: DiffID
    size: int
    usage: int
    time: int


class Solved(NamedTuple):
    """A vertex's tree: layers on a base.

    Attributes:
        base: The stack below the first layer, or ``None``.
        layers: What the build put on it, lowest first.
        time: The newest time among the inputs, seconds since the epoch.
    """

    base: ChainID | None
    layers: tuple[LayerRef, ...]
    time: int

    @property
    def chain(self) -> ChainID | None:
        """The whole stack."""
        chain = self.base
        for layer in self.layers:
            chain = chain_id(chain, layer.diff_id)
        return chain

    def plus(self, layer: LayerRef) -> Solved:
        """The tree with one more layer."""
        return Solved(self.base, (*self.layers, layer), max(self.time, layer.time))


class Op(Protocol):
    """An operation: a value, made by the planner, that says what it does and can do it."""

    @property
    def kind(self) -> str:
        """A word for it, such as ``copy``."""

    def definition(self) -> Mapping[str, Any]:
        """All that can change the output, except the inputs, as JSON; file contents by digest."""


class Vertex(Record):
    """One operation and what it needs; equal to nothing but itself.

    Attributes:
        op: What is done.
        below: The tree it works on; ``None`` for an empty one.
        reads: Trees it reads.
        title: The step as shown, such as ``[build 2/4] RUN make``.
        stage: Name of the stage.
        lines: First and last line in the Dockerfile; 0 when it stands for none.
        fresh: Never taken from the cache.
        detached: Its layer does not depend on the tree below (``COPY --link``).
    """

    op: Op
    below: Vertex | None
    reads: tuple[Vertex, ...] = ()
    title: str = ""
    stage: str = ""
    lines: tuple[int, int] = (0, 0)
    fresh: bool = False
    detached: bool = False
    number: int = 0

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def digest_of(value: object) -> str:
    """A key for a JSON value.

    Args:
        value: Anything JSON can say.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def definition_key(definition: object, below: str, reads: Sequence[str]) -> str:
    """Key 1."""
    return digest_of([KEY_VERSION, "definition", definition, below, list(reads)])


def result_key(definition: object, below: str, reads: Sequence[str]) -> str:
    """Key 2: ``below`` and ``reads`` are chains."""
    return digest_of([KEY_VERSION, "result", definition, below, list(reads)])


def content_key(definition: object, below: str, contents: Sequence[str]) -> str:
    """Key 3: ``below`` is a chain, ``contents`` are digests of the files used."""
    return digest_of([KEY_VERSION, "content", definition, below, list(contents)])


def as_solved(value: Mapping[str, Any]) -> Solved:
    """Read what ``as_json`` wrote."""
    layers = tuple(
        LayerRef(DiffID(Digest(diff)), int(size), int(usage), int(time)) for diff, size, usage, time in value["layers"]
    )
    return Solved(ChainID(Digest(value["base"])) if value["base"] else None, layers, value["time"])


def as_json(solved: Solved) -> dict[str, Any]:
    """A result for the cache's table."""
    return {"base": solved.base, "layers": [list(layer) for layer in solved.layers], "time": solved.time}
