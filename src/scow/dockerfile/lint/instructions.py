# SPDX-License-Identifier: Apache-2.0
"""Rules about single instructions: deprecated, repeated, or written in a form that misleads."""

from __future__ import annotations

import re

from scow.dockerfile import ast
from scow.dockerfile.errors import IgnorePatternError
from scow.dockerfile.ignore import IgnoreMatcher
from scow.dockerfile.ignorepattern import clean
from scow.dockerfile.lint.rule import Edit, Finding, Rule, finding
from scow.oci.platform import normalize
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.subject import Subject

_ALL: Final = frozenset({"*", "**", "**/*"})
_WINDOWS_PATH: Final = re.compile(r"[A-Za-z]:[\\/]|[\\/]")
_RANGE: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def _json_arguments(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for node in run.nodes:
            if isinstance(node, (ast.Cmd, ast.Entrypoint)) and not node.json and not run.shells.get(id(node)):
                yield finding(node, f"{node.name} should be a JSON array, so that the program gets its signals")


def _repeated(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        last: dict[str, ast.Instruction] = {}
        for node in run.nodes:
            if not isinstance(node, (ast.Cmd, ast.Entrypoint, ast.Healthcheck)):
                continue
            before = last.get(node.name)
            if before is not None:
                # What stands above the later one silences it, as in BuildKit, which tells when it gets there.
                message = f"{node.name} is set again at line {node.span.first}; only the last one counts"
                yield Finding(before.span, message, node)
            last[node.name] = node


def _maintainer(subject: Subject) -> Iterator[Finding]:
    for node in subject.nodes():
        if isinstance(node, ast.Maintainer):
            yield finding(node, "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors")


def _relative_workdir(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for workdir in run.workdirs:
            absolute = _WINDOWS_PATH.match(workdir.path) if run.windows else workdir.path.startswith("/")
            if not workdir.anchored and not absolute:
                yield finding(workdir.node, f"WORKDIR {workdir.path!r} depends on the base image's WORKDIR")


def _empty_continuation(subject: Subject) -> Iterator[Finding]:
    for last in subject.dockerfile.empty_continuations:
        node = next(
            (node for node in subject.dockerfile.instructions if node.span.first <= last <= node.span.last), None
        )
        first = node.span.first if node is not None else last
        edits = [Edit(line, 0, -1) for line in range(first, last) if not subject.lines[line - 1].strip()]
        yield Finding(ast.Span(last, last), "an empty line stands between continued lines", node, tuple(edits))


def _protocol_casing(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for port in run.ports:
            protocol = port.text.partition("/")[2]
            if protocol != protocol.lower():
                edits = subject.replace(port.node, port.text, port.text.lower())
                yield finding(port.node, f"protocol of port {port.text!r} should be in lower case", *edits)


def _published_port(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for port in run.ports:
            if ":" in port.text:
                message = f"EXPOSE takes a port without address or host port, not {port.text!r}"
                yield finding(port.node, message)


def _port_range(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for port in run.ports:
            match = _RANGE.fullmatch(port.text.rpartition(":")[2].partition("/")[0])
            if match and any(int(number) > 65_535 for number in match.groups() if number and len(number) < 12):
                yield finding(port.node, f"port {port.text!r} is greater than 65535")


def _copy_ignored(subject: Subject) -> Iterator[Finding]:
    if not subject.around.ignore:
        return
    try:
        matcher = IgnoreMatcher(subject.around.ignore)
        if any(pattern.startswith("!") for pattern in matcher.patterns):
            return
        whole = not _ALL.isdisjoint(matcher.patterns)
        for run in subject.stages:
            for paths in run.paths:
                if isinstance(paths.node, ast.Copy) and paths.node.from_:
                    continue
                for source in paths.sources:
                    path = clean(source)
                    if whole if path in (".", "/") else _remote(source) is False and matcher.excludes(path):
                        yield finding(paths.node, f"{source!r} is left out of the build context by the ignore file")
    except IgnorePatternError:
        return


def _remote(source: str) -> bool:
    return source.startswith(("http://", "https://", "git@", "git://", "ssh://"))


def _base_platform(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        image = run.image
        if image is None or image.platform is None or run.platform_words is not None:
            continue
        wanted, found = normalize(subject.around.target), normalize(image.platform)
        if (wanted.os, wanted.architecture) != (found.os, found.architecture):
            yield finding(run.stage.from_, f"base image {run.base!r} is for {found}, the build is for {wanted}")


RULES: Final = (
    Rule(
        name="JSONArgsRecommended",
        summary="CMD or ENTRYPOINT runs through a shell",
        why="In shell form the program is a child of `/bin/sh -c`, which does not pass signals on: `stop` has to wait "
        "and kill. Write a JSON array, or set SHELL to say that the shell is meant.",
        bad="FROM alpine:3.20\nENTRYPOINT serve --port 80\n",
        good='FROM alpine:3.20\nENTRYPOINT ["serve", "--port", "80"]\n',
        check=_json_arguments,
        aliases=("DL3025",),
        buildkit=True,
    ),
    Rule(
        name="MultipleInstructionsDisallowed",
        summary="CMD, ENTRYPOINT or HEALTHCHECK stands twice in a stage",
        why="Only the last one takes effect. The line reported is the one that is lost.",
        bad='FROM alpine:3.20\nCMD ["one"]\nCMD ["two"]\n',
        good='FROM alpine:3.20\nCMD ["two"]\n',
        check=_repeated,
        aliases=("DL3012", "DL4003", "DL4004"),
        buildkit=True,
    ),
    Rule(
        name="MaintainerDeprecated",
        summary="MAINTAINER is deprecated",
        why="A label can be searched and read by tools, the MAINTAINER field hardly.",
        bad="FROM alpine:3.20\nMAINTAINER Jo Doe\n",
        good='FROM alpine:3.20\nLABEL org.opencontainers.image.authors="Jo Doe"\n',
        check=_maintainer,
        aliases=("DL4000",),
        buildkit=True,
    ),
    Rule(
        name="WorkdirRelativePath",
        summary="The first WORKDIR is relative",
        why="A relative WORKDIR goes on from the base image's, which the next version of the base may change.",
        bad="FROM alpine:3.20\nWORKDIR app\n",
        good="FROM alpine:3.20\nWORKDIR /app\n",
        check=_relative_workdir,
        aliases=("DL3000",),
        buildkit=True,
    ),
    Rule(
        name="NoEmptyContinuation",
        summary="An empty line stands between continued lines",
        why="The builder skips it for now; a later syntax will end the instruction there.",
        bad="FROM alpine:3.20\nRUN one && \\\n\n    two\n",
        good="FROM alpine:3.20\nRUN one && \\\n    two\n",
        check=_empty_continuation,
        level="error",
        buildkit=True,
        whole=True,
        fixes=True,
    ),
    Rule(
        name="ExposeProtoCasing",
        summary="The protocol of EXPOSE has capital letters",
        why="It is kept in lower case in the image; written so, file and image agree.",
        bad="FROM alpine:3.20\nEXPOSE 53/UDP\n",
        good="FROM alpine:3.20\nEXPOSE 53/udp\n",
        check=_protocol_casing,
        buildkit=True,
        fixes=True,
    ),
    Rule(
        name="ExposeInvalidFormat",
        summary="EXPOSE names an address or a host port",
        why="EXPOSE documents the container's port. Where it is published is said by `run -p`; what stands before the "
        "colon is dropped.",
        bad="FROM alpine:3.20\nEXPOSE 127.0.0.1:8080:80\n",
        good="FROM alpine:3.20\nEXPOSE 80\n",
        check=_published_port,
        buildkit=True,
    ),
    Rule(
        name="PortRange",
        summary="EXPOSE names a port that cannot exist",
        why="Ports go from 0 to 65535.",
        bad="FROM alpine:3.20\nEXPOSE 80000\n",
        good="FROM alpine:3.20\nEXPOSE 8000\n",
        check=_port_range,
        aliases=("DL3011",),
        level="error",
    ),
    Rule(
        name="CopyIgnoredFile",
        summary="COPY or ADD names a file that the ignore file leaves out",
        why="What `.dockerignore` leaves out is not in the build context, so that the instruction fails.",
        bad="FROM alpine:3.20\nCOPY notes/todo.md /\n",
        good="FROM alpine:3.20\nCOPY src/main.c /\n",
        check=_copy_ignored,
        level="error",
        buildkit=True,
        needs="the ignore file, here with the line `notes`",
    ),
    Rule(
        name="InvalidBaseImagePlatform",
        summary="The base image in the store is for another platform",
        why="A base for another platform gives an image that runs only under emulation, or not at all.",
        bad="FROM alpine-arm\n",
        good="FROM alpine:3.20\n",
        check=_base_platform,
        level="error",
        buildkit=True,
        needs="the base image, here `alpine-arm` for linux/arm64 in a build for linux/amd64",
    ),
)
