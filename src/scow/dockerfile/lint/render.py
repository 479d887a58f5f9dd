# SPDX-License-Identifier: Apache-2.0
"""Reports as text for people, JSON for programs and SARIF for code review."""

from __future__ import annotations

import json

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from scow.dockerfile.lint.rule import Level, Rule
    from scow.dockerfile.lint.run import Problem, Report

_SARIF_LEVEL: Final[Mapping[Level, str]] = {"error": "error", "warning": "warning", "info": "note"}
_SHOWN: Final = 6
"""Lines of a long instruction that text shows."""


def as_text(report: Report, lines: Sequence[str]) -> str:
    """The problems with the lines they are about; ends with a line end, or is empty.

    Args:
        report: What was found.
        lines: The file's lines.
    """
    return "".join(_block(report.filename, problem, lines) for problem in report.problems)


def _block(filename: str, problem: Problem, lines: Sequence[str]) -> str:
    rule = problem.rule
    number = f" ({rule.aliases[0]})" if rule.aliases else ""
    out = [f"{filename}:{problem.line}: {rule.level}: {rule.name}{number}: {problem.message}"]
    last = min(problem.end_line, problem.line + _SHOWN - 1, len(lines))
    out += [f"{at:>5} | {_printable(lines[at - 1])}" for at in range(problem.line, last + 1)]
    if last < problem.end_line:
        out.append("      | ...")
    return "\n".join(out) + "\n\n"


def _printable(line: str) -> str:
    cut = line if len(line) <= 160 else line[:157] + "..."
    return "".join(char if char == "\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)


def as_json(reports: Sequence[Report]) -> str:
    """A list of objects: file, rule, level, message, first and last line, whether ``--fix`` repairs it."""
    return json.dumps([entry for report in reports for entry in entries(report)], indent=2) + "\n"


def entries(report: Report) -> list[dict[str, Any]]:
    """The objects of one report."""
    return [
        {
            "file": report.filename,
            "rule": problem.rule.name,
            "aliases": list(problem.rule.aliases),
            "level": problem.rule.level,
            "message": problem.message,
            "start_line": problem.line,
            "end_line": problem.end_line,
            "fixable": bool(problem.edits),
            "page": f"docs/lint/{problem.rule.slug}.md",
        }
        for problem in report.problems
    ]


def as_sarif(reports: Sequence[Report], version: str) -> str:
    """A log that code review systems read.

    Args:
        reports: One for each file.
        version: Of scow.

    Source: OASIS SARIF 2.1.0.
    """
    rules: dict[str, Rule] = {}
    results: list[dict[str, Any]] = []
    for report in reports:
        for problem in report.problems:
            rules.setdefault(problem.rule.name, problem.rule)
            results.append(_result(report, problem, list(rules).index(problem.rule.name)))
    driver = {"name": "scow", "version": version, "rules": [_descriptor(rule) for rule in rules.values()]}
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2) + "\n"


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"Bad:\n{rule.bad}\nGood:\n{rule.good}"},
        "defaultConfiguration": {"level": _SARIF_LEVEL[rule.level]},
        "properties": {"tags": [*rule.aliases, *(("buildkit",) if rule.buildkit else ())]},
    }


def _result(report: Report, problem: Problem, index: int) -> dict[str, Any]:
    region = {"startLine": max(problem.line, 1), "endLine": max(problem.end_line, problem.line, 1)}
    place = {"artifactLocation": {"uri": _uri(report.filename)}, "region": region}
    return {
        "ruleId": problem.rule.name,
        "ruleIndex": index,
        "level": _SARIF_LEVEL[problem.rule.level],
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(filename: str) -> str:
    """A file name as a URI reference: everything but plain characters in hexadecimal."""
    plain = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
    raw = filename.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in raw)
