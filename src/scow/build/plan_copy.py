# SPDX-License-Identifier: Apache-2.0
"""COPY and ADD: where their files come from and what the history says."""

from __future__ import annotations

import posixpath

from scow.build.copying import CopySource, has_wildcards
from scow.build.graph import Vertex
from scow.build.modes import parse_mode
from scow.build.ops.values import CopyOp, CopyPart
from scow.build.origins import inline
from scow.build.remote import is_git, is_http, remote_origin
from scow.dockerfile import ast, words
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.build.draft import Draft
    from scow.build.origins import Origin
    from scow.build.plan import Planner
    from scow.build.stages import Command, StageState
    from scow.dockerfile.ast import Heredoc


def context_vertex(state: StageState) -> Vertex:
    """A stage that stands on a context: all its files."""
    part = CopyPart(state.origin, CopySource("/", wildcards=False))
    return Vertex(CopyOp((part,), "/"), None, title=f"[context {state.image}]", stage=state.name)


def copy(planner: Planner, state: StageState, command: Command, node: ast.Copy | ast.Add, draft: Draft) -> None:
    """Plan one COPY or ADD.

    Raises:
        InvalidArgumentError: A flag's value or a source makes no sense.
    """
    adding = isinstance(node, ast.Add)
    chown, chmod = planner.expand(state, node.chown), planner.expand(state, node.chmod)
    sources = [planner.expand(state, source) for source in node.sources]
    destination = planner.expand(state, node.destination)
    target = _target(draft.config.working_dir, destination)
    if chmod:
        parse_mode(chmod)
    parents = isinstance(node, ast.Copy) and node.parents
    title = planner.title(state, command, planner.shown(state, node.source))
    reads: list[Vertex] = []
    origin = _origin(planner, state, command, node, reads)
    parts = [_part(planner, state, node, source, origin, parents=parents) for source in sources]
    contents = [(doc, _text(state, doc)) for doc in node.inline]
    for doc, text in contents:
        path = posixpath.normpath("/" + doc.name.lstrip("/"))
        files = {path[1:].encode("utf-8", "surrogateescape"): text.encode("utf-8", "surrogateescape")}
        parts.append(CopyPart(inline(files), CopySource(path, wildcards=False)))
    link = node.link and not chmod
    op = CopyOp(tuple(parts), target, chown, chmod, tuple(node.excludes))
    state.vertex = planner.add(
        Vertex(
            op,
            state.vertex,
            tuple(reads),
            title=title,
            stage=state.name,
            lines=(node.span.first, node.span.last),
            fresh=planner.is_fresh(state),
            detached=link,
        )
    )
    said = [
        "ADD" if adding else "COPY",
        *(["--parents"] if parents else []),
        *([f"--chown={chown}"] if chown else []),
        *([f"--chmod={chmod}"] if chmod else []),
        *sources,
        *(f"<<{doc.name}" for doc, _ in contents),
        destination,
    ]
    draft.record(" ".join(said) + " # buildkit", layer=True)


def _target(workdir: str, destination: str) -> str:
    if destination in ("", "."):
        destination = "./"
    path = destination if destination.startswith("/") else posixpath.join(workdir or "/", destination)
    if destination.endswith("/") and not path.endswith("/"):
        path += "/"
    return path


def _text(state: StageState, doc: Heredoc) -> str:
    return words.expand(doc.text, state.env, "\\", quotes="literal").text if doc.expand else doc.text


def _origin(
    planner: Planner, state: StageState, command: Command, node: ast.Copy | ast.Add, reads: list[Vertex]
) -> Origin | None:
    """The tree that plain sources come from; ``None`` for the first vertex in ``reads``."""
    if isinstance(node, ast.Add) or not command.sources:
        return planner.outside.context()
    source = command.sources[0]
    if source is None or not source.ready or source.index > state.index:
        raise InvalidArgumentError(
            f"cannot copy from stage {node.from_!r}, "
            f"it needs to be defined before current stage {state.name or state.title!r}"
        )
    if source.origin is not None and source.index < 0:
        return source.origin
    if source.vertex is None:
        return inline({})
    reads.append(source.vertex)
    return None


def _part(
    planner: Planner, state: StageState, node: ast.Copy | ast.Add, source: str, origin: Origin | None, *, parents: bool
) -> CopyPart:
    remote = is_git(source) or is_http(source)
    if isinstance(node, ast.Copy):
        if remote:
            raise InvalidArgumentError(
                f"source can't be a {'git ref' if is_git(source) else 'URL'} for COPY", hint="use ADD for it"
            )
        return CopyPart(origin, _local(source, parents=parents, unpack=False))
    if node.checksum and (len(node.sources) != 1 or node.inline):
        raise InvalidArgumentError("checksum can't be specified for multiple sources")
    if remote:
        return remote_origin(planner.outside, source, node, planner.expand(state, node.checksum))
    if node.checksum:
        raise InvalidArgumentError("checksum requires HTTP(S) or Git sources")
    unpack = True if node.unpack is None else node.unpack
    return CopyPart(origin, _local(source, parents=False, unpack=unpack))


def _local(source: str, *, parents: bool, unpack: bool) -> CopySource:
    """A path, or with ``--parents`` the pattern after the pivot ``/./``."""
    if not parents:
        return CopySource(_rooted(source), unpack=unpack)
    head, pivot, tail = source.partition("/./")
    start, pattern = (head, tail) if pivot else ("/", source)
    pattern = posixpath.normpath("/" + pattern).lstrip("/")
    required = ""
    if not has_wildcards(start) and not has_wildcards(pattern):
        required = posixpath.normpath(posixpath.join("/", start.lstrip("/"), pattern))
    return CopySource(_rooted(start), includes=(pattern,) if pattern else (), required=required)


def _rooted(source: str) -> str:
    """Absolute, cleaned; ``..`` stops at the root."""
    return posixpath.normpath("/" + source.lstrip("/")).replace("//", "/")
