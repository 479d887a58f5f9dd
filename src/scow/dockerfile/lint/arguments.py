# SPDX-License-Identifier: Apache-2.0
"""Rules about variables: declared or not, secret, in FROM lines, in their old form."""

from __future__ import annotations

import re

from scow.dockerfile import ast, words
from scow.dockerfile.errors import DockerfileError, WordError
from scow.dockerfile.lint.rule import Edit, Rule, finding
from scow.dockerfile.platforms import automatic_args, global_scope
from scow.dockerfile.raw import split_quoted
from scow.oci.platform import InvalidPlatformError, parse_platform
from scow.oci.reference import InvalidReferenceError, Reference, ReservedNameError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.dryrun import Undefined
    from scow.dockerfile.lint.rule import Finding
    from scow.dockerfile.lint.subject import Subject

_SECRET: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NOT_SECRET: Final = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def _near(undefined: Undefined, sign: str = "") -> str:
    return f" (did you mean {sign}{undefined.near}?)" if undefined.near else ""


def _undefined_in_from(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for name in run.undeclared:
            yield finding(name.node, f"FROM uses {name.name!r}, which no ARG before it declares{_near(name)}")


def _undefined(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for name in run.undefined:
            yield finding(name.node, f"variable '${name.name}' is not defined{_near(name, '$')}")


def _invalid_default(subject: Subject) -> Iterator[Finding]:
    dockerfile, around = subject.dockerfile, subject.around
    if not dockerfile.stages:
        return
    automatic = automatic_args(around.build, around.target, dockerfile.stages[-1].name)
    try:
        values = global_scope(dockerfile, automatic, {}).values
    except DockerfileError:
        return
    for stage in dockerfile.stages:
        try:
            name = words.expand(stage.from_.image, values, dockerfile.escape).text
            Reference.parse(name)
        except WordError:
            return
        except ReservedNameError:
            continue
        except InvalidReferenceError:
            message = f"with default arguments {stage.from_.image!r} is no valid image name"
            yield finding(stage.from_, message)


def _secrets(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for node, name in run.names:
            if _SECRET.search(name) and not _NOT_SECRET.search(name):
                yield finding(node, f"{node.name} {name!r} looks like a secret, which would stay in the image")


def _redundant_platform(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        result, node = run.platform_words, run.stage.from_
        if result is None or result.used != {"TARGETPLATFORM"} or result.unset:
            continue
        target = automatic_args(subject.around.build, subject.around.target)["TARGETPLATFORM"]
        if result.text == subject.around.build_args.get("TARGETPLATFORM", target):
            yield finding(
                node, f"--platform={node.platform} is the default", *_without_flag(subject, node, "--platform=")
            )


def _without_flag(subject: Subject, node: ast.Node, flag: str) -> tuple[Edit, ...]:
    for number in range(node.span.first, node.span.last + 1):
        if match := re.search(rf"{flag}\S+\s*", subject.lines[number - 1]):
            return (Edit(number, match.start(), match.end()),)
    return ()


def _constant_platform(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        result = run.platform_words
        if result is None or result.used or result.unset:
            continue
        try:
            platform = parse_platform(result.text)
        except InvalidPlatformError:
            continue
        if platform.os not in run.stage.name and platform.architecture not in run.stage.name:
            yield finding(run.stage.from_, f"--platform has the constant value {result.text!r}")


def _legacy_pairs(subject: Subject) -> Iterator[Finding]:
    for run in subject.stages:
        for node in run.nodes:
            if not isinstance(node, (ast.Env, ast.Label)):
                continue
            for pair in node.pairs:
                if pair.legacy:
                    edits = _modern(subject, node, pair)
                    yield finding(node, f"{node.name} should be written NAME=value, not NAME value", *edits)


def _modern(subject: Subject, node: ast.Env | ast.Label, pair: ast.Pair) -> tuple[Edit, ...]:
    """``NAME value`` as ``NAME=value``, where that certainly means the same and stands on one line."""
    escape = subject.dockerfile.escape
    line = subject.lines[node.span.first - 1]
    match = re.search(rf"{re.escape(pair.name)}[\t\v\f\r ]+{re.escape(pair.value)}(?=\s*$)", line)
    if match is None or node.span.first != node.span.last or "=" in pair.name:
        return ()
    value = pair.value
    if split_quoted(value, escape) != [value]:
        if any(char in value for char in ("'", '"', escape)):
            return ()
        value = f'"{value}"'
    return (Edit(node.span.first, match.start(), match.end(), f"{pair.name}={value}"),)


def _env_uses_itself(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        known = {"PATH"}
        for node in stage.instructions:
            if isinstance(node, ast.Arg):
                known.update(argument.name for argument in node.arguments)
            if not isinstance(node, ast.Env):
                continue
            names = {pair.name for pair in node.pairs}
            for pair in node.pairs:
                others = names - {pair.name} - known
                for name in sorted(others & _variables(pair.value, subject.dockerfile.escape)):
                    yield finding(node, f"'${name}' in {pair.name!r} has the value from before this ENV")
            known |= names


def _variables(word: str, escape: str) -> set[str]:
    try:
        return set(words.expand(word, {}, escape).unset)
    except WordError:
        return set()


RULES: Final = (
    Rule(
        name="UndefinedArgInFrom",
        summary="FROM uses an argument that is not declared",
        why="A FROM line sees only the arguments declared before the first FROM, and the automatic platform ones. An "
        "undeclared name is empty, whatever `--build-arg` says.",
        bad="FROM alpine:3${VERSION}\n",
        good="ARG VERSION=.20\nFROM alpine:3${VERSION}\n",
        check=_undefined_in_from,
        buildkit=True,
    ),
    Rule(
        name="UndefinedVar",
        summary="A variable is used that nobody set",
        why="An undefined variable is empty, which is seldom meant: often its name is misspelt, or an ARG before FROM "
        "was not declared again in the stage. Variables of shell commands are not looked at.",
        bad="FROM alpine:3.20\nCOPY $SOURCE /app/\n",
        good="FROM alpine:3.20\nARG SOURCE=src\nCOPY $SOURCE /app/\n",
        check=_undefined,
        buildkit=True,
    ),
    Rule(
        name="InvalidDefaultArgInFrom",
        summary="Without build arguments a base has no valid name",
        why="A Dockerfile should build without `--build-arg`; give the argument a default, or the reference one with "
        "`${NAME:-default}`.",
        bad="ARG TAG\nFROM alpine:${TAG}\n",
        good="ARG TAG=3.20\nFROM alpine:${TAG}\n",
        check=_invalid_default,
        buildkit=True,
        whole=True,
    ),
    Rule(
        name="SecretsUsedInArgOrEnv",
        summary="An argument or variable has the name of a secret",
        why="Values of ARG and ENV stay in the image's configuration and history, where everybody who has the image "
        "reads them. Pass secrets with `RUN --mount=type=secret`.",
        bad="FROM alpine:3.20\nARG API_TOKEN\nRUN fetch --token=$API_TOKEN\n",
        good="FROM alpine:3.20\nRUN --mount=type=secret,id=token,env=API_TOKEN fetch --token=$API_TOKEN\n",
        check=_secrets,
        aliases=("DL3064",),
        buildkit=True,
    ),
    Rule(
        name="RedundantTargetPlatform",
        summary="FROM asks for the platform that it has anyway",
        why="Without `--platform` a stage is built for the target platform. Saying so hides the lines where the flag "
        "matters.",
        bad="FROM --platform=$TARGETPLATFORM alpine:3.20\n",
        good="FROM alpine:3.20\n",
        check=_redundant_platform,
        aliases=("DL3065",),
        buildkit=True,
        fixes=True,
    ),
    Rule(
        name="FromPlatformFlagConstDisallowed",
        summary="FROM asks for one fixed platform",
        why="A constant platform makes the image for that platform whatever `build --platform` says. Use "
        "`$BUILDPLATFORM`, leave it to the command line, or name the stage after the platform when it is meant.",
        bad="FROM --platform=linux/amd64 alpine:3.20\n",
        good="FROM --platform=$BUILDPLATFORM alpine:3.20\n",
        check=_constant_platform,
        aliases=("DL3029",),
        buildkit=True,
    ),
    Rule(
        name="LegacyKeyValueFormat",
        summary="ENV or LABEL is written without `=`",
        why="`ENV NAME value` takes the rest of the line as the value; it allows one name only and is easily misread. "
        "The form will go one day.",
        bad="FROM alpine:3.20\nENV MODE production\n",
        good="FROM alpine:3.20\nENV MODE=production\n",
        check=_legacy_pairs,
        buildkit=True,
        fixes=True,
    ),
    Rule(
        name="EnvUsesItself",
        summary="ENV uses a variable that the same ENV sets",
        why="All values of one ENV are expanded before any of its names is set, so the reference is empty. Use two "
        "instructions.",
        bad='FROM alpine:3.20\nENV HOME_DIR=/srv BIN_DIR="$HOME_DIR/bin"\n',
        good='FROM alpine:3.20\nENV HOME_DIR=/srv\nENV BIN_DIR="$HOME_DIR/bin"\n',
        check=_env_uses_itself,
        aliases=("DL3044",),
        level="error",
    ),
)
