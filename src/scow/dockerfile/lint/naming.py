# SPDX-License-Identifier: Apache-2.0
"""Rules about names and letter case: stages, keywords, descriptions, labels."""

from __future__ import annotations

import re

from scow.dockerfile import ast
from scow.dockerfile.lint.rule import Rule, finding
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from scow.dockerfile.lint.rule import Finding
    from scow.dockerfile.lint.subject import Subject

_RESERVED: Final = frozenset({"context", "scratch"})
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9]|[._/-](?=[a-z0-9]))*")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]+\S*", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_LICENSE: Final = re.compile(
    r"\(?[A-Za-z0-9][A-Za-z0-9.+:-]*\)?(?: +(?:AND|OR|WITH) +\(*[A-Za-z0-9][A-Za-z0-9.+:-]*\)*)*"
)
_OCI: Final = "org.opencontainers.image."


def _stage_name_casing(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        args = stage.from_.args
        if len(args) == 3 and args[2] != args[2].lower():
            edits = subject.replace(stage.from_, args[2], args[2].lower())
            yield finding(stage.from_, f"stage name {args[2]!r} should be in lower case", *edits)


def _from_as_casing(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        node = stage.from_
        if len(node.args) < 3 or not _one_case(node.keyword):
            continue
        wanted = node.args[1].lower() if node.keyword.islower() else node.args[1].upper()
        if node.args[1] != wanted:
            message = f"{node.args[1]!r} is not written in the letter case of {node.keyword!r}"
            yield finding(node, message, *subject.replace(node, node.args[1], wanted))


def _duplicate_stage_name(subject: Subject) -> Iterator[Finding]:
    seen: set[str] = set()
    for stage in subject.dockerfile.stages:
        if stage.name and stage.name in seen:
            yield finding(stage.from_, f"stage name {stage.name!r} is used before")
        seen.add(stage.name)


def _reserved_stage_name(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        if stage.name in _RESERVED:
            yield finding(stage.from_, f"stage name {stage.name!r} is reserved")


def _one_case(word: str) -> bool:
    return word in (word.lower(), word.upper())


def _instruction_casing(subject: Subject) -> Iterator[Finding]:
    nodes = list(subject.nodes())
    lower = sum(node.keyword == node.keyword.lower() for node in nodes)
    upper = sum(node.keyword == node.keyword.upper() != node.keyword.lower() for node in nodes)
    wanted = "lowercase" if lower > upper else "uppercase"
    for node in nodes:
        right = node.keyword.lower() if wanted == "lowercase" else node.keyword.upper()
        if node.keyword != right:
            message = f"{node.keyword!r} should be in {wanted} like most instructions of this file"
            yield finding(node, message, *subject.replace(node, node.keyword, right))


def _description(subject: Subject) -> Iterator[Finding]:
    for node in subject.dockerfile.instructions:
        if isinstance(node, ast.Arg):
            names = [argument.name for argument in node.arguments]
        elif isinstance(node, ast.From) and node.stage:
            names = [node.stage]
        else:
            continue
        above = subject.lines[node.span.first - 2] if node.span.first > 1 else ""
        if not node.comments or not above.lstrip().startswith("#") or node.comments[-1].split(" ")[0] in names:
            continue
        name = names[0] if len(names) == 1 else "NAME"
        yield finding(node, f"the comment above {node.name} should read '# {name} DESCRIPTION', or stand apart")


def _label_key(subject: Subject) -> Iterator[Finding]:
    for node in subject.nodes():
        for pair in node.pairs if isinstance(node, ast.Label) else ():
            name = pair.name.strip("\"'")
            if "$" not in name and not _LABEL.fullmatch(name):
                yield finding(
                    node, f"label {name!r} should have lower-case letters, digits and single '.', '-', '_', '/'"
                )


def _labels(subject: Subject, *names: str) -> Iterator[tuple[ast.Label, str, str]]:
    """Labels whose value holds no variable: the node, the name and the value without quotes."""
    for node in subject.nodes():
        if not isinstance(node, ast.Label):
            continue
        for pair in node.pairs:
            name, value = pair.name.strip("\"'"), pair.value.strip("\"'")
            if "$" not in value and (not names or name in names):
                yield node, name, value


def _label_empty(subject: Subject) -> Iterator[Finding]:
    for node, name, value in _labels(subject):
        if not value.strip():
            yield finding(node, f"label {name!r} is empty")


def _label_url(subject: Subject) -> Iterator[Finding]:
    for node, name, value in _labels(subject, *(_OCI + key for key in ("url", "documentation", "source"))):
        if value and not _URL.fullmatch(value):
            yield finding(node, f"label {name!r} is no URL: {value!r}")


def _label_time(subject: Subject) -> Iterator[Finding]:
    for node, name, value in _labels(subject, _OCI + "created"):
        if value and not _TIME.fullmatch(value):
            yield finding(node, f"label {name!r} is no time as in RFC 3339: {value!r}")


def _label_license(subject: Subject) -> Iterator[Finding]:
    for node, name, value in _labels(subject, _OCI + "licenses"):
        if value and not _LICENSE.fullmatch(value):
            yield finding(node, f"label {name!r} is no SPDX license expression: {value!r}")


RULES: Final = (
    Rule(
        name="StageNameCasing",
        summary="A stage name has capital letters",
        why="Stage names are compared without regard to letter case and kept in lower case. Writing them so avoids "
        "two spellings of one name.",
        bad="FROM alpine:3.20 AS BuildBase\n",
        good="FROM alpine:3.20 AS build-base\n",
        check=_stage_name_casing,
        buildkit=True,
        fixes=True,
    ),
    Rule(
        name="FromAsCasing",
        summary="`AS` is not written in the letter case of its `FROM`",
        why="Both words belong to one instruction; written alike, the line is easier to read.",
        bad="FROM alpine:3.20 as base\n",
        good="FROM alpine:3.20 AS base\n",
        check=_from_as_casing,
        buildkit=True,
        fixes=True,
    ),
    Rule(
        name="DuplicateStageName",
        summary="Two stages have one name",
        why="A reference to the name means the last stage before it, so the first one is out of reach.",
        bad="FROM alpine:3.20 AS one\nFROM alpine:3.20 AS one\n",
        good="FROM alpine:3.20 AS one\nFROM alpine:3.20 AS two\n",
        check=_duplicate_stage_name,
        aliases=("DL3024",),
        level="error",
        buildkit=True,
        whole=True,
    ),
    Rule(
        name="ReservedStageName",
        summary="A stage has a name that means something else",
        why="`scratch` is the empty base and `context` the build context; a stage of that name hides nothing, it "
        "confuses readers and some builders.",
        bad="FROM alpine:3.20 AS scratch\n",
        good="FROM alpine:3.20 AS minimal\n",
        check=_reserved_stage_name,
        aliases=("DL3063",),
        level="error",
        buildkit=True,
        whole=True,
    ),
    Rule(
        name="ConsistentInstructionCasing",
        summary="Instructions are written in different letter cases",
        why="Instructions may be written in any case; mixing them makes the file harder to scan. The case that most "
        "instructions have is taken as the right one.",
        bad="FROM alpine:3.20\nRUN true\nrun false\n",
        good="FROM alpine:3.20\nRUN true\nRUN false\n",
        check=_instruction_casing,
        buildkit=True,
        whole=True,
        fixes=True,
    ),
    Rule(
        name="InvalidDefinitionDescription",
        summary="The comment above a stage or argument is no description of it",
        why="`build --call=outline` and `--call=targets` show the comment directly above ARG and FROM when it begins "
        "with the name. A comment that is meant otherwise should be followed by an empty line.",
        bad="# the compiler's version\nARG GO=1.22\nFROM golang:${GO}\n",
        good="# GO is the compiler's version\nARG GO=1.22\nFROM golang:${GO}\n",
        check=_description,
        level="info",
        buildkit=True,
        experimental=True,
    ),
    Rule(
        name="LabelKey",
        summary="A label's name has characters that label names should not have",
        why="Label names are lower-case letters and digits, parted by single dots, hyphens, underscores or slashes; "
        "tools that filter by label rely on that.",
        bad='FROM alpine:3.20\nLABEL My__Label="x"\n',
        good='FROM alpine:3.20\nLABEL org.example.my-label="x"\n',
        check=_label_key,
        aliases=("DL3048",),
        level="info",
    ),
    Rule(
        name="LabelEmpty",
        summary="A label has no value",
        why="An empty label says nothing; leave it out or give it its value.",
        bad='FROM alpine:3.20\nLABEL org.opencontainers.image.title=""\n',
        good='FROM alpine:3.20\nLABEL org.opencontainers.image.title="shop"\n',
        check=_label_empty,
        aliases=("DL3051",),
    ),
    Rule(
        name="LabelUrl",
        summary="A label that should hold a URL holds none",
        why="`org.opencontainers.image.url`, `.documentation` and `.source` are links that registries show.",
        bad='FROM alpine:3.20\nLABEL org.opencontainers.image.source="our git"\n',
        good='FROM alpine:3.20\nLABEL org.opencontainers.image.source="https://git.example.com/shop"\n',
        check=_label_url,
        aliases=("DL3052",),
    ),
    Rule(
        name="LabelTime",
        summary="A label that should hold a time holds none",
        why="`org.opencontainers.image.created` is a date and time as in RFC 3339, with a time zone.",
        bad='FROM alpine:3.20\nLABEL org.opencontainers.image.created="yesterday"\n',
        good='FROM alpine:3.20\nLABEL org.opencontainers.image.created="2026-01-31T12:00:00Z"\n',
        check=_label_time,
        aliases=("DL3053",),
    ),
    Rule(
        name="LabelLicense",
        summary="A label that should hold a license holds none",
        why="`org.opencontainers.image.licenses` is an SPDX license expression, so that scanners can read it.",
        bad='FROM alpine:3.20\nLABEL org.opencontainers.image.licenses="see the LICENSE file"\n',
        good='FROM alpine:3.20\nLABEL org.opencontainers.image.licenses="Apache-2.0 OR MIT"\n',
        check=_label_license,
        aliases=("DL3054",),
    ),
)
