# SPDX-License-Identifier: Apache-2.0
"""Rules about bases, stages, and what is copied between them and from the context."""

from __future__ import annotations

import re

from scow.dockerfile import ast
from scow.dockerfile.errors import IgnorePatternError
from scow.dockerfile.ignore import IgnoreMatcher
from scow.dockerfile.lint.rule import Rule, finding
from scow.errors import InvalidArgumentError
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.dryrun import StageRun
    from scow.dockerfile.lint.rule import Finding
    from scow.dockerfile.lint.subject import Subject

_ARCHIVE: Final = re.compile(r"\.(?:tar|tar\.(?:gz|bz2|xz|zst|Z|lz|lzma)|tgz|tbz2?|txz|tzst|tlz)$", re.IGNORECASE)
_REMOTE: Final = re.compile(r"https?://|git://|ssh://|git@|[^/]+@[^/]+:|github\.com/")
_HEAVY: Final = frozenset(
    {".git", "node_modules", ".venv", "venv", "target", "dist", "build", "__pycache__", ".tox", ".cache"}
)
_TOOLS: Final = frozenset(
    {"gcc", "g++", "clang", "make", "cmake", "build-essential", "build-base", "golang", "go", "cargo", "rustc", "maven",
     "gradle", "openjdk-17-jdk", "openjdk-21-jdk", "default-jdk", "python3-dev", "nodejs-dev", "git"}
)  # fmt: skip


def _reference(run: StageRun) -> Reference | None:
    """The base as a reference, when it is an image whose name is known."""
    if run.parent is not None or run.base_words is None or run.base_words.unset or run.base == "scratch":
        return None
    try:
        return Reference.parse(run.base)
    except InvalidArgumentError:
        return None


def _untagged(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        reference = _reference(run)
        if reference is not None and reference.tag is None and reference.digest is None:
            yield finding(run.stage.from_, f"base image {run.base!r} has no tag")


def _latest(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        reference = _reference(run)
        if reference is not None and reference.tag == "latest" and reference.digest is None:
            yield finding(run.stage.from_, f"base image {run.base!r} changes without notice")


def _registry(subject: Subject) -> Iterator[Finding]:
    allowed = subject.around.registries
    for run in subject.stages if allowed else ():
        reference = _reference(run)
        if reference is not None and reference.domain not in allowed:
            yield finding(run.stage.from_, f"registry {reference.domain!r} is not among {', '.join(allowed)}")


def _copy_needs_folder(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for paths in run.paths:
            count = len(paths.sources) + len(paths.node.inline)
            if count > 1 and not paths.destination.endswith(("/", "\\")) and paths.destination not in (".", ".."):
                yield finding(paths.node, f"several sources need a folder: write {paths.destination + '/'!r}")


def _copies(subject: Subject) -> Iterator[tuple[StageRun, ast.Copy]]:
    for run in subject.stages:
        for node in run.stage.instructions:
            if isinstance(node, ast.Copy) and node.from_:
                yield run, node


def _copy_from_unknown(subject: Subject) -> Iterator[Finding]:
    for run, node in _copies(subject):
        before = subject.stages[: run.stage.index]
        name = node.from_
        known = name.lower() in {other.stage.name for other in (*before, run)}
        number = name.isdecimal() and int(name) < len(before) if len(name) < 6 else False
        if not known and not number and not re.search(r"[:/$@]", name):
            yield finding(node, f"--from={name} is no stage before this one")


def _copy_from_itself(subject: Subject) -> Iterator[Finding]:
    for run, node in _copies(subject):
        if node.from_.lower() == run.stage.name or node.from_ == str(run.stage.index):
            yield finding(node, f"--from={node.from_} is the stage that this instruction stands in")


def _copy_whole_stage(subject: Subject) -> Iterator[Finding]:
    for _, node in _copies(subject):
        if node.sources == ("/",) and node.destination == "/" and not node.excludes:
            yield finding(node, f"everything in {node.from_!r} is copied; begin with FROM {node.from_} instead")


def _add_for_copy(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for paths in run.paths:
            node = paths.node
            if not isinstance(node, ast.Add) or node.unpack is not None or node.checksum:
                continue
            plain = [source for source in paths.sources if not _REMOTE.match(source) and not _ARCHIVE.search(source)]
            if plain and len(plain) == len(paths.sources):
                yield finding(node, "ADD of files and folders does what COPY says better")


def _relative_destination(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for paths in run.paths:
            target = paths.destination
            if paths.workdir or target.startswith(("/", "$")) or re.match(r"[A-Za-z]:", target):
                continue
            if run.root_image is None or not run.root_image.workdir:
                yield finding(paths.node, f"destination {target!r} is relative, and no WORKDIR is set")


def _root_user(subject: Subject) -> Iterator[Finding]:
    run = subject.final
    if run is None or run.user_node is None:
        return
    if run.user.partition(":")[0] in ("root", "0"):
        yield finding(run.user_node, "the last USER is root")


def _numeric_user(subject: Subject) -> Iterator[Finding]:
    run = subject.final
    if run is None or run.user_node is None or "$" in run.user_node.user:
        return
    name = run.user.partition(":")[0]
    if name and not name.isdecimal():
        yield finding(run.user_node, f"user {name!r} is a name, which an orchestrator cannot tell from root")


def _unknown_user(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        image = run.root_image
        if image is None or image.users is None or run.user_node is None:
            continue
        name = run.user.partition(":")[0]
        creates = any(
            command.name in ("useradd", "adduser", "addgroup", "groupadd")
            for entry in subject.runs
            if run.descends_from(entry.stage)
            for command in entry.commands
        )
        copies = any(paths.destination.startswith("/etc") for paths in run.paths)
        if name and not name.isdecimal() and name not in image.users and not creates and not copies:
            yield finding(run.user_node, f"user {name!r} is not in the base image, and nothing adds it")


def _low_port(subject: Subject) -> Iterator[Finding]:
    run = subject.final
    if run is None or run.user.partition(":")[0] in ("", "root", "0"):
        return
    for port in run.ports:
        number = port.text.rpartition(":")[2].partition("/")[0]
        if number.isdecimal() and 0 < int(number[:6]) < 1024:
            yield finding(port.node, f"port {number} is below 1024, and the image runs as {run.user!r}")


def _healthcheck_missing(subject: Subject) -> Iterator[Finding]:
    run = subject.final
    while run is not None:
        image = run.image
        if any(isinstance(node, ast.Healthcheck) for node in run.nodes) or (image is not None and image.healthcheck):
            return
        run = run.parent
    if subject.final is not None:
        yield finding(subject.final.stage.from_, "the image has no HEALTHCHECK")


def _ignore_file(subject: Subject) -> Iterator[Finding]:
    """An ignore file that is missing or lets heavy folders in, when the whole context is copied."""
    around = subject.around
    if around.ignore is None:
        return
    whole = [
        paths.node
        for run in subject.stages
        for paths in run.paths
        if not (isinstance(paths.node, ast.Copy) and paths.node.from_)
        and any(source in (".", "./", "/", "*", "./*") for source in paths.sources)
    ]
    if not whole:
        return
    if not around.ignore:
        yield finding(whole[0], "the whole context is copied, and there is no .dockerignore")
        return
    try:
        matcher = IgnoreMatcher(around.ignore)
        heavy = sorted(name for name in _HEAVY.intersection(around.context or ()) if not matcher.excludes(name))
    except IgnorePatternError:
        return
    if heavy:
        yield finding(whole[0], f"the whole context is copied, with {', '.join(heavy)}; name them in .dockerignore")


def _build_tools_stay(subject: Subject) -> Iterator[Finding]:
    """The final stage installs compilers and uses no other stage."""
    run = subject.final
    if run is None or any(isinstance(node, ast.Copy) and node.from_ for node in run.nodes):
        return
    for entry in subject.runs:
        if not run.descends_from(entry.stage):
            continue
        names = {arg.partition("=")[0] for command in entry.commands for arg in _installed(command.name, command.args)}
        removed = any(
            {"purge", "remove", "autoremove", "del", "erase"} & set(command.args) for command in entry.commands
        )
        if (found := sorted(names & _TOOLS - {"git"})) and not removed:
            yield finding(
                entry.node, f"build tools stay in the image ({', '.join(found)}); build in a stage of its own"
            )


def _installed(name: str, args: tuple[str, ...]) -> tuple[str, ...]:
    verbs = {
        "apt-get": "install",
        "apt": "install",
        "apk": "add",
        "dnf": "install",
        "yum": "install",
        "microdnf": "install",
    }
    return args if verbs.get(name) in args else ()


RULES: Final = (
    Rule(
        name="UntaggedImage",
        summary="A base image has no tag",
        why="Without a tag `latest` is meant, which is another image tomorrow. A tag says which version is expected, a "
        "digest makes it certain.",
        bad="FROM debian\n",
        good="FROM debian:12\n",
        check=_untagged,
        aliases=("DL3006",),
    ),
    Rule(
        name="LatestTag",
        summary="A base image has the tag `latest`",
        why="`latest` moves from one major version to the next; builds then break on a day on which nobody changed "
        "anything.",
        bad="FROM debian:latest\n",
        good="FROM debian:12\n",
        check=_latest,
        aliases=("DL3007",),
    ),
    Rule(
        name="UntrustedRegistry",
        summary="A base image comes from a registry that is not allowed",
        why="With `--trusted-registry` only the registries named may be used for bases.",
        bad="FROM elsewhere.example/debian:12\n",
        good="FROM debian:12\n",
        check=_registry,
        aliases=("DL3026",),
        level="error",
        needs="the registries allowed, here `docker.io`",
    ),
    Rule(
        name="CopyNeedsFolder",
        summary="Several sources are copied to something that is not written as a folder",
        why="With more than one source the destination has to be a folder, which its trailing slash says.",
        bad="FROM alpine:3.20\nCOPY one two /srv\n",
        good="FROM alpine:3.20\nCOPY one two /srv/\n",
        check=_copy_needs_folder,
        aliases=("DL3021",),
        level="error",
    ),
    Rule(
        name="CopyFromUnknownStage",
        summary="`COPY --from` names no stage before it",
        why="The name is then taken for an image, which is seldom meant and may exist.",
        bad="FROM alpine:3.20 AS build\nFROM alpine:3.20\nCOPY --from=biuld /out /out\n",
        good="FROM alpine:3.20 AS build\nFROM alpine:3.20\nCOPY --from=build /out /out\n",
        check=_copy_from_unknown,
        aliases=("DL3022",),
    ),
    Rule(
        name="CopyFromItself",
        summary="`COPY --from` names its own stage",
        why="A stage cannot be copied from before it is built.",
        bad="FROM alpine:3.20 AS build\nCOPY --from=build /a /b\n",
        good="FROM alpine:3.20 AS build\nRUN cp /a /b\n",
        check=_copy_from_itself,
        aliases=("DL3023",),
        level="error",
    ),
    Rule(
        name="CopyWholeStage",
        summary="A whole stage is copied",
        why="The copy is one more layer as large as the stage, and loses its configuration. Name what is needed, or "
        "begin the stage with `FROM` that stage.",
        bad="FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build / /\n",
        good="FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build /usr/bin/app /app\n",
        check=_copy_whole_stage,
        aliases=("DL3067",),
    ),
    Rule(
        name="AddForCopy",
        summary="ADD is used where COPY would do",
        why="ADD unpacks archives and fetches URLs. For plain files COPY does the same and says that nothing else "
        "happens.",
        bad="FROM alpine:3.20\nADD src /src\n",
        good="FROM alpine:3.20\nCOPY src /src\n",
        check=_add_for_copy,
        aliases=("DL3020",),
        level="error",
    ),
    Rule(
        name="CopyRelativeDestination",
        summary="The destination of COPY is relative, and no WORKDIR is set",
        why="Where the files go depends on the base image, whose WORKDIR may change.",
        bad="FROM alpine:3.20\nCOPY src app\n",
        good="FROM alpine:3.20\nWORKDIR /srv\nCOPY src app\n",
        check=_relative_destination,
        aliases=("DL3045",),
    ),
    Rule(
        name="RootUser",
        summary="The image runs as root",
        why="A process that runs as root and is taken over has the rights of root in the container. Give the image a "
        "user of its own.",
        bad="FROM alpine:3.20\nUSER app\nRUN true\nUSER root\n",
        good="FROM alpine:3.20\nUSER root\nRUN true\nUSER app\n",
        check=_root_user,
        aliases=("DL3002",),
    ),
    Rule(
        name="NumericUser",
        summary="USER is a name, not a number",
        why="An orchestrator that forbids root cannot know from outside which number a name has.",
        bad="FROM alpine:3.20\nUSER app\n",
        good="FROM alpine:3.20\nUSER 10001\n",
        check=_numeric_user,
        aliases=("DL3066",),
        level="info",
        on=False,
    ),
    Rule(
        name="UnknownUser",
        summary="USER names a user that does not exist",
        why="The base image has no such user and nothing in the Dockerfile adds one: containers will not start.",
        bad="FROM debian:12\nUSER app\n",
        good="FROM debian:12\nRUN useradd --no-log-init app\nUSER app\n",
        check=_unknown_user,
        needs="the users of the base image, here those of `debian:12`",
    ),
    Rule(
        name="LowPort",
        summary="A port below 1024 is exposed by an image that does not run as root",
        why="Without a capability or a changed kernel setting, only root may listen there.",
        bad="FROM alpine:3.20\nUSER 10001\nEXPOSE 80\n",
        good="FROM alpine:3.20\nUSER 10001\nEXPOSE 8080\n",
        check=_low_port,
        level="info",
    ),
    Rule(
        name="HealthcheckMissing",
        summary="The image has no HEALTHCHECK",
        why="With one, the engine knows whether the program in a container works or only exists.",
        bad='FROM alpine:3.20\nCMD ["serve"]\n',
        good='FROM alpine:3.20\nHEALTHCHECK CMD ["serve", "--ping"]\nCMD ["serve"]\n',
        check=_healthcheck_missing,
        aliases=("DL3057",),
        level="info",
        on=False,
    ),
    Rule(
        name="IgnoreFile",
        summary="The whole context is copied without a useful `.dockerignore`",
        why="Version history, dependencies and build results make the context large, break the cache with every "
        "change and may carry secrets into the image.",
        bad="FROM alpine:3.20\nCOPY . /src\n",
        good="FROM alpine:3.20\nCOPY src /src\n",
        check=_ignore_file,
        level="info",
        needs="the build context, here without an ignore file",
    ),
    Rule(
        name="BuildToolsStay",
        summary="Compilers stay in the image",
        why="They make the image larger and help an intruder. Build in a stage of its own and copy the result, or "
        "remove the tools in the same RUN.",
        bad="FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends gcc make\nRUN make\n",
        good="FROM gcc:14 AS build\nRUN make\nFROM debian:12-slim\nCOPY --from=build /app /app\n",
        check=_build_tools_stay,
        level="info",
    ),
)
