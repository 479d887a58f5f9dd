# SPDX-License-Identifier: Apache-2.0
"""What every ``inspect`` shares: indented JSON or a template over the things found, then what was not found.

Docker evaluates a template on a typed value first, where an absent label is ``<no value>`` and an unknown field is an
error, and on error again on the plain JSON, where any absent key is one; :mod:`scow.cli.shapes` has the types.
"""

from __future__ import annotations

import sys

from scow.cli.report import report
from scow.errors import InvalidArgumentError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from scow.cli.shapes import Shape
    from scow.cli.template.evaluator import Template
    from scow.cli.template.values import Struct

_BAD_TEMPLATE_STATUS = 64


def inspect_all(names: Iterable[str], get: Callable[[str], tuple[dict[str, Any], Shape | None]], template: str) -> int:
    """Print every named thing and complain about the others.

    Args:
        names: What to look for.
        get: Returns the thing as docker's JSON and its shape (``None``: every object is a map); raises
            ``NotFoundError`` for what does not exist.
        template: What ``--format`` says; "" for indented JSON, "json" for the same on one line.

    Returns:
        Exit status: 0, 1 when something was not found or lacks a field, 64 for a malformed template.
    """
    from scow.cli.template.parser import TemplateError

    try:
        parsed = _parse(template)
    except TemplateError as error:
        report(error)
        return _BAD_TEMPLATE_STATUS
    found: list[str] = []
    failures: list[Exception] = []
    values: list[dict[str, Any]] = []
    for name in names:
        try:
            value, shape = get(name)
            if parsed is not None:
                found.append(render(parsed, value, shape) + "\n")
            else:
                values.append(value)
        except (NotFoundError, InvalidArgumentError, TemplateError) as error:
            failures.append(error)
    if parsed is not None:
        sys.stdout.write("".join(found) or "\n")
    else:
        sys.stdout.write(_compact(values) if template == "json" else indented(values))
    sys.stdout.flush()
    for failure in failures:
        report(failure)
    return 1 if failures else 0


def show_one(value: Struct, template: str) -> int:
    """Print a template over one thing, as ``info`` and ``version`` do.

    Args:
        value: The thing.
        template: What ``--format`` says; "json" for all of it.

    Returns:
        Exit status: 0, 1 when it lacks a field, 64 for a malformed template.
    """
    from scow.cli.template.evaluator import Template
    from scow.cli.template.parser import TemplateError

    try:
        parsed = Template("{{json .}}" if template == "json" else template)
    except TemplateError as error:
        report(error)
        return _BAD_TEMPLATE_STATUS
    try:
        text = parsed.render(value)
    except TemplateError:
        sys.stdout.write("\n")
        raise
    sys.stdout.write(text + "\n")
    return 0


def indented(values: list[dict[str, Any]]) -> str:
    """Write a list as docker does: four blanks per level, a line break at the end."""
    import json

    return json.dumps(values, indent=4, ensure_ascii=False) + "\n"


def _compact(values: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(values, separators=(",", ":"), ensure_ascii=False) + "\n"


def _parse(template: str) -> Template | None:
    if template in ("", "json"):
        return None
    from scow.cli.template.evaluator import Template

    return Template(template)


def render(template: Template, value: dict[str, Any], shape: Shape | None) -> str:
    """Apply a template to a thing as typed by its shape, else to the plain JSON.

    Raises:
        TemplateError: Both fail.
    """
    if shape is None:
        return template.render(value, strict=True)
    from scow.cli.shapes import typed
    from scow.cli.template.parser import TemplateError

    try:
        return template.render(typed(value, shape))
    except TemplateError:
        return template.render(value, strict=True)
