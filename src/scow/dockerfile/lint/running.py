# SPDX-License-Identifier: Apache-2.0
"""Rules about the commands of RUN that have nothing to do with packages."""

from __future__ import annotations

import re

from scow.dockerfile import ast
from scow.dockerfile.lint.rule import Rule, finding
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.commands import Command
    from scow.dockerfile.lint.rule import Finding
    from scow.dockerfile.lint.subject import Subject

_USELESS: Final = frozenset(
    {"ssh", "vim", "shutdown", "service", "ps", "free", "top", "kill", "mount", "ifconfig", "nano", "reboot", "htop"}
)
_ARCHIVE: Final = re.compile(r"\.(?:tar|tar\.(?:gz|bz2|xz|zst)|tgz|tbz2?|txz)$")


def _useless(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        for command in run.commands:
            if command.name in _USELESS and "--version" not in command.args:
                yield finding(run.node, f"{command.name!r} makes no sense while an image is built")


def _cd(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        first = next(iter(run.commands), None)
        if first is not None and first.name == "cd" and first.operands and first.operands[0].startswith("/"):
            yield finding(run.node, f"use WORKDIR {first.operands[0]} instead of cd")


def _sudo(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        if any(command.name == "sudo" for command in run.commands):
            yield finding(run.node, "use USER instead of sudo")


def _unpacks(command: Command) -> str:
    """The archive that a command unpacks, if it does."""
    if command.name != "tar" or not command.args:
        return ""
    mode = command.args[0].lstrip("-")
    if not (command.has_flag("--extract", "--get", "-x") or (mode.isalpha() and "x" in mode and "-" not in mode)):
        return ""
    return next((arg for arg in command.args if _ARCHIVE.search(arg)), "")


def _copied_archive(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for paths in run.paths:
            if not isinstance(paths.node, ast.Copy) or paths.node.from_:
                continue
            names = {source.rpartition("/")[2] for source in paths.sources if _ARCHIVE.search(source)}
            later = (entry for entry in subject.runs if entry.stage is run and entry.node.span > paths.node.span)
            unpacked = {_unpacks(command).rpartition("/")[2] for entry in later for command in entry.commands}
            if names & unpacked:
                yield finding(paths.node, f"ADD unpacks {min(names & unpacked)!r} while it copies it")


def _consecutive(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        before: ast.Instruction | None = None
        for node in stage.instructions:
            if (
                isinstance(node, ast.Run)
                and isinstance(before, ast.Run)
                and before.flags == node.flags
                and not (node.heredocs or before.heredocs or node.json or before.json)
                and _commands(subject, before) + _commands(subject, node) <= 2
            ):
                yield finding(node, "RUN follows RUN; one with && makes one layer less")
            before = node


def _commands(subject: Subject, node: ast.Run) -> int:
    return next((len(run.commands) for run in subject.runs if run.node is node), 0)


def _two_downloaders(subject: Subject) -> Iterator[Finding]:
    for stage in subject.stages:
        first: str | None = None
        for run in subject.runs:
            if run.stage is not stage:
                continue
            for command in run.commands:
                if command.name in ("wget", "curl"):
                    first = first or command.name
                    if command.name != first:
                        yield finding(run.node, f"both curl and wget are used; {first} was there first")
                        first = command.name


def _shell_link(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        for command in run.commands:
            if command.name == "ln" and "/bin/sh" in command.args:
                yield finding(run.node, "use SHELL to change the shell, not a link at /bin/sh")


def _pipefail(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        shell = " ".join(run.shell)
        if run.node.json or "pipefail" in shell or re.search(r"pwsh|powershell|cmd", shell, re.IGNORECASE):
            continue
        if any(command.name == "set" and "pipefail" in command.args for command in run.commands):
            continue
        if any(command.joined == "|" for command in run.commands):
            yield finding(
                run.node, "a pipe hides the failure of all but its last command; set the SHELL option pipefail"
            )


def _high_uid(subject: Subject) -> Iterator[Finding]:
    for run in subject.runs:
        for command in run.commands:
            if command.name != "useradd" or command.has_flag("-l", "--no-log-init"):
                continue
            text = " ".join(command.args)
            match = re.search(r"(?:^| )(?:-[a-zA-Z]*u|--uid)[ =]?([0-9]{6,})", text)
            if match:
                yield finding(
                    run.node, f"useradd with user id {match[1]} and without --no-log-init makes a huge lastlog"
                )


def _wget_progress(subject: Subject) -> Iterator[Finding]:
    quiet = ("--progress", "-q", "--quiet", "-o", "--output-file", "-a", "--append-output", "-nv", "--no-verbose")
    for run in subject.runs:
        for command in run.commands:
            if command.name == "wget" and command.operands and not command.has_flag(*quiet):
                yield finding(run.node, "wget without --progress=dot:giga or --quiet fills the log")


RULES: Final = (
    Rule(
        name="UselessCommand",
        summary="A command makes no sense while an image is built",
        why="Services, mounts and processes do not outlive the RUN; editors and monitors need a person.",
        bad="FROM alpine:3.20\nRUN service nginx start\n",
        good='FROM alpine:3.20\nCMD ["nginx", "-g", "daemon off;"]\n',
        check=_useless,
        aliases=("DL3001",),
        level="info",
    ),
    Rule(
        name="CdInRun",
        summary="A RUN begins with `cd`",
        why="WORKDIR says once where the following instructions work, and the next RUN still knows.",
        bad="FROM alpine:3.20\nRUN cd /srv && make\n",
        good="FROM alpine:3.20\nWORKDIR /srv\nRUN make\n",
        check=_cd,
        aliases=("DL3003",),
    ),
    Rule(
        name="Sudo",
        summary="sudo is used",
        why="Builds run as root or as the last USER; sudo adds a program with the set-user-id bit to the image and "
        "behaves unlike itself without a terminal.",
        bad="FROM debian:12\nRUN sudo mkdir /data\n",
        good="FROM debian:12\nUSER root\nRUN mkdir /data\n",
        check=_sudo,
        aliases=("DL3004",),
        level="error",
    ),
    Rule(
        name="CopiedArchive",
        summary="An archive is copied and then unpacked",
        why="The archive stays in the layer of the COPY, even if it is removed later. ADD unpacks it on the way.",
        bad="FROM alpine:3.20\nCOPY app.tar.gz /tmp/\nRUN tar xzf /tmp/app.tar.gz -C /srv\n",
        good="FROM alpine:3.20\nADD app.tar.gz /srv\n",
        check=_copied_archive,
        aliases=("DL3010",),
        level="info",
    ),
    Rule(
        name="ConsecutiveRuns",
        summary="Short RUN instructions follow each other",
        why="Every RUN makes a layer. Short commands that always change together can be one.",
        bad="FROM alpine:3.20\nRUN mkdir /a\nRUN mkdir /b\n",
        good="FROM alpine:3.20\nRUN mkdir /a && mkdir /b\n",
        check=_consecutive,
        aliases=("DL3059",),
        level="info",
    ),
    Rule(
        name="TwoDownloaders",
        summary="curl and wget are both used",
        why="One of them is enough; the other is one more package to install and to keep safe.",
        bad='FROM alpine:3.20\nRUN wget -q https://a.example/x\nCMD ["x"]\nRUN curl -o y https://a.example/y\n',
        good="FROM alpine:3.20\nRUN curl -o x https://a.example/x -o y https://a.example/y\n",
        check=_two_downloaders,
        aliases=("DL4001",),
    ),
    Rule(
        name="ShellLink",
        summary="/bin/sh is replaced by a link",
        why="Every script of the image then runs in another shell than its author tried. SHELL changes it for the "
        "instructions alone.",
        bad="FROM debian:12\nRUN ln -sf /bin/bash /bin/sh\n",
        good='FROM debian:12\nSHELL ["/bin/bash", "-c"]\n',
        check=_shell_link,
        aliases=("DL4005",),
    ),
    Rule(
        name="PipefailMissing",
        summary="A pipe is used without pipefail",
        why="The exit status of a pipe is that of its last command: a failed download piped into tar goes unnoticed.",
        bad="FROM debian:12\nRUN cat list | sort > sorted\n",
        good='FROM debian:12\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN cat list | sort > sorted\n',
        check=_pipefail,
        aliases=("DL4006",),
    ),
    Rule(
        name="UseraddHighUid",
        summary="useradd with a high user id writes a huge file",
        why="/var/log/lastlog has room for every id up to the highest. It is sparse on disk, but not in every layer "
        "format.",
        bad="FROM debian:12\nRUN useradd -u 123456 app\n",
        good="FROM debian:12\nRUN useradd --no-log-init -u 123456 app\n",
        check=_high_uid,
        aliases=("DL3046",),
    ),
    Rule(
        name="WgetProgress",
        summary="wget writes its progress into the log",
        why="The bar is drawn line by line where there is no terminal.",
        bad="FROM debian:12\nRUN wget https://a.example/big.iso\n",
        good="FROM debian:12\nRUN wget --progress=dot:giga https://a.example/big.iso\n",
        check=_wget_progress,
        aliases=("DL3047",),
        level="info",
    ),
)
