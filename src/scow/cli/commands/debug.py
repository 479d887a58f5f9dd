# SPDX-License-Identifier: Apache-2.0
"""``scow debug``: hidden commands that answer in the protocols of the conformance kit, as JSON.

``parse PATH`` and ``lint PATH`` read a file; ``words``, ``ignore`` and ``ignorefile`` read JSON lines from standard
input and write one JSON line for each.
"""

from __future__ import annotations

import sys

from scow.cli.flags import Command, parse
from scow.errors import FlagError, ScowError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from scow.dockerfile import ast

COMMAND = Command(
    name="debug",
    usage="parse PATH\nlint PATH\nwords\nignore\nignorefile",
    summary="Answer conformance kits",
    min_args=1,
    max_args=2,
)


def main(argv: list[str]) -> int:
    """Run one of the protocols; the exit status is 1 for a faulty Dockerfile."""
    options = parse(COMMAND, argv)
    match options.args:
        case ["parse", path]:
            return _parse(path)
        case ["lint", path]:
            return _lint(path)
        case ["words"]:
            return _lines(_words)
        case ["ignore"]:
            return _lines(_ignore)
        case ["ignorefile"]:
            return _lines(_ignorefile)
        case _:
            pass
    raise FlagError(f"'scow debug {' '.join(options.args)}' is no protocol", hint="see scow debug --help")


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def _dump(value: object) -> None:
    import json

    text = json.dumps(value, ensure_ascii=False)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")


def _parse(path: str) -> int:
    from scow.dockerfile.errors import DockerfileError
    from scow.dockerfile.parser import parse as parse_dockerfile

    try:
        dockerfile = parse_dockerfile(_read(path), path)
    except DockerfileError as error:
        # The recorded parser counts only the lines before a bad directive or a line too long.
        line = error.line - (error.kind in ("bad-directive", "limit"))
        _dump({"error": {"message": error.message, "line": line, "end_line": error.end_line, "class": error.kind}})
        return 1
    _dump(
        {
            "escape": dockerfile.escape,
            "instructions": [_instruction(node) for node in dockerfile.instructions],
            "stages": [
                {
                    "name": _clean(stage.name),
                    "base": _clean(stage.from_.image),
                    "platform": _clean(stage.from_.platform),
                }
                for stage in dockerfile.stages
            ],
        }
    )
    return 0


def _lint(path: str) -> int:
    from scow.dockerfile.errors import DockerfileError
    from scow.dockerfile.lint.render import entries
    from scow.dockerfile.lint.rules import BUILDKIT
    from scow.dockerfile.lint.run import lint
    from scow.dockerfile.parser import parse as parse_dockerfile

    try:
        report = lint(parse_dockerfile(_read(path), path), rules=BUILDKIT)
    except DockerfileError as error:
        _dump({"error": {"message": error.message, "line": error.line, "class": error.kind}})
        return 1
    _dump(entries(report))
    return 0


def _instruction(node: ast.Node) -> dict[str, Any]:
    from scow.dockerfile import ast

    out: dict[str, Any] = {
        "cmd": _clean(node.keyword.lower()),
        "args": [_clean(arg) for arg in node.args],
        "flags": [_clean(flag) for flag in node.flags],
        "json": node.json,
        "start_line": node.span.first,
        "end_line": node.span.last,
    }
    if node.heredocs:
        out["heredocs"] = [
            {"name": _clean(doc.name), "expand": doc.expand, "chomp": doc.chomp, "content": _clean(doc.content)}
            for doc in node.heredocs
        ]
    if isinstance(node, ast.Onbuild):
        inner = _instruction(node.inner)
        inner.pop("heredocs", None)
        out["sub"] = {key: inner[key] for key in inner if not key.endswith("_line")}
    return out


def _clean(text: str) -> str:
    """The text with bytes that are no UTF-8 shown as JSON writers of Go show them."""
    return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= char <= "\udfff" else char for char in text)


def _lines(answer: Callable[[Mapping[str, Any]], object]) -> int:
    for case in _cases():
        try:
            _dump({"expected": answer(case)})
        except ScowError as error:
            _dump({"error": error.message})
        sys.stdout.buffer.flush()
    return 0


def _cases() -> Iterator[Mapping[str, Any]]:
    import json

    for line in sys.stdin.buffer:
        if line.strip():
            yield json.loads(line)


def _words(case: Mapping[str, Any]) -> object:
    from scow.dockerfile import words

    env = {name: value for name, _, value in (entry.partition("=") for entry in case.get("env") or ())}
    escape = case.get("escape") or "\\"
    if case.get("mode") == "words":
        return list(words.split(case["input"], env, escape).words)
    return words.expand(case["input"], env, escape).text


def _ignore(case: Mapping[str, Any]) -> object:
    from scow.dockerfile.ignore import IgnoreMatcher

    return IgnoreMatcher(case.get("patterns") or ()).excludes(case["path"])


def _ignorefile(case: Mapping[str, Any]) -> object:
    from scow.dockerfile.ignore import read

    return read(case["file"])
