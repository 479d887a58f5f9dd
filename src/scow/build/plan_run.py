# SPDX-License-Identifier: Apache-2.0
"""RUN: the command line with its here-documents, its mounts, and what it may do."""

from __future__ import annotations

import posixpath
import re

from scow.build.draft import DEFAULT_SHELL
from scow.build.graph import Vertex
from scow.build.ops.values import RunMount, RunOp
from scow.build.origins import inline
from scow.build.wording import run_line
from scow.dockerfile import words
from scow.dockerfile.errors import WordError
from scow.dockerfile.mounts import parse_mount
from scow.dockerfile.platforms import CACHE_SPACE_ARGUMENT, HOST_NAME_ARGUMENT
from scow.errors import InvalidArgumentError
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from scow.build.draft import Draft
    from scow.build.plan import Planner
    from scow.build.stages import Command, StageState
    from scow.dockerfile import ast
    from scow.dockerfile.mounts import Mount

PIPES: Final = "/dev/pipes"
_PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_ONE_MARKER: Final = re.compile(r"""\d*<<-?(?:"[^"<]*"|'[^'<]*'|[^<\s]+)""")


def run(planner: Planner, state: StageState, command: Command, node: ast.Run, draft: Draft) -> None:
    """Plan one RUN.

    Raises:
        InvalidArgumentError: A mount or an entitlement makes no sense.
    """
    args, files, summary = _command_line(node)
    if not node.json:
        args = (*(draft.config.shell or DEFAULT_SHELL), " ".join(args))
    reads: list[Vertex] = []
    mounts = _mounts(planner, state, command, node, reads)
    options = planner.options
    insecure = node.security == "insecure"
    if insecure and "security.insecure" not in options.allow:
        raise InvalidArgumentError(
            "security.insecure is not allowed", hint="give the build --allow security.insecure if you trust it"
        )
    if node.network == "host" and options.network != "host" and "network.host" not in options.allow:
        raise InvalidArgumentError(
            "network.host is not allowed", hint="give the build --allow network.host if you trust it"
        )
    if node.devices:
        raise InvalidArgumentError(
            "RUN --device is only supported in Dockerfile frontend 1.14.0-labs or later",
            hint="scow has no devices in builds",
        )
    op = RunOp(
        args=args,
        env=tuple(f"{name}={value}" for name, value in state.env.items()),
        cwd=draft.config.working_dir or "/",
        user=draft.config.user,
        mounts=mounts,
        network=node.network if node.network != "default" else options.network,
        insecure=insecure,
        files=files,
        hosts=options.extra_hosts,
        shm_size=options.shm_size,
        ulimits=options.ulimits,
        resources=options.resources,
        cgroup_parent=options.cgroup_parent,
        volumes=tuple(_volume(text) for text in options.volumes),
        proxies=_proxies(planner),
        hostname=options.build_args.get(HOST_NAME_ARGUMENT, ""),
        platform=f"{state.platform.os}/{state.platform.architecture}",
    )
    masked = {**state.env, **{mount.mount.env: "****" for mount in mounts if mount.mount.env}}
    title = planner.title(state, command, _shown(planner, node.source, masked) + summary)
    state.vertex = planner.add(
        Vertex(
            op,
            state.vertex,
            tuple(reads),
            title=title,
            stage=state.name,
            lines=(node.span.first, node.span.last),
            fresh=planner.is_fresh(state),
        )
    )
    draft.record(run_line(args, state.arguments, state.env, state.arguments) + " # buildkit", layer=True)


def _shown(planner: Planner, text: str, env: dict[str, str]) -> str:
    try:
        return words.expand(text, env, planner.dockerfile.escape, quotes="keep", keep_unset=True).text
    except WordError:
        return text


def _command_line(node: ast.Run) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...], str]:
    """The words, files to mount, and what to show of a here-document."""
    if not node.heredocs:
        return node.command, (), ""
    line = node.command[0] if node.command else ""
    first = node.heredocs[0]
    if not _ONE_MARKER.fullmatch(line):
        # The shell understands here-documents itself.
        text = "".join(f"\n{doc.content}{doc.name}" for doc in node.heredocs)
        return (line + text,), (), ""
    lines = first.content.strip().replace("\r\n", "\n").split("\n")
    summary = f" ({lines[0]}{'...' if len(lines) > 1 else ''})"
    if first.text.startswith("#!"):
        path = f"{PIPES}/{first.name}"
        return (path,), ((path, first.text),), summary
    return (first.text,), (), summary


def _mounts(
    planner: Planner, state: StageState, command: Command, node: ast.Run, reads: list[Vertex]
) -> tuple[RunMount, ...]:
    out: list[RunMount] = []
    for value, source in zip(node.mounts, command.sources or [None] * len(node.mounts), strict=True):
        mount = parse_mount(value, lambda word: planner.expand(state, word))
        if mount.type == "ssh" and mount.source:
            raise InvalidArgumentError("ssh does not support source")
        if mount.type in ("secret", "ssh"):
            out.append(RunMount(mount, mount.target))
            continue
        target = posixpath.normpath(
            posixpath.join("/", state.draft.config.working_dir if state.draft else "/", mount.target)
        )
        if target in ("/", "//"):
            raise InvalidArgumentError(f"invalid mount target {mount.target!r}")
        out.append(_with_source(planner, state, mount, target, source, reads))
    return tuple(out)


def _with_source(
    planner: Planner, state: StageState, mount: Mount, target: str, source: StageState | None, reads: list[Vertex]
) -> RunMount:
    if mount.type == "cache":
        space = planner.options.build_args.get(CACHE_SPACE_ARGUMENT, "")
        name = mount.id or posixpath.normpath(mount.target)
        mount = replace(mount, id=f"{space}/{name}" if space else name)
    if mount.type == "tmpfs":
        return RunMount(mount, target)
    if source is not None:
        if not source.ready or source.index > state.index:
            raise InvalidArgumentError(
                f"cannot mount from stage {mount.from_!r} to {mount.target!r}, "
                "stage needs to be defined before current command"
            )
        if source.vertex is not None:
            if source.vertex not in reads:
                reads.append(source.vertex)
            return RunMount(mount, target, read=reads.index(source.vertex))
        return RunMount(mount, target, origin=source.origin)
    if mount.type == "cache":
        return RunMount(mount, target)
    return RunMount(mount, target, origin=inline({}) if mount.from_ else planner.outside.context())


def _volume(text: str) -> tuple[str, str, bool]:
    """``SOURCE:TARGET[:ro]`` of ``--volume``."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1].startswith("/"):
        raise InvalidArgumentError(f"invalid volume {text!r}", hint="write it as /host/directory:/target[:ro]")
    flags = parts[2].split(",") if len(parts) == 3 else []
    return posixpath.abspath(parts[0]), parts[1], "ro" in flags


def _proxies(planner: Planner) -> tuple[str, ...]:
    """Both spellings of each proxy variable that the build was given in any; lower case counts before upper case."""
    given = {name.lower(): value for name, value in sorted(planner.options.build_args.items())}
    return tuple(f"{spelled}={given[name]}" for name in _PROXIES if given.get(name) for spelled in (name.upper(), name))
