# SPDX-License-Identifier: Apache-2.0
"""Lists of things as tables, JSON lines or Go templates, in docker's shape.

A listing command describes itself once and prints rows::

    LISTING = Listing(
        {"ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Size": "SIZE"},   # field -> heading
        default=("Repository", "Tag", "ID", "Size"),                                    # columns of the plain table
        kind="*formatter.imageContext",                                                 # named in error messages
    )
    rows = [{"ID": "sha256...", "Repository": "debian", "Tag": "12", "Size": human_size(n, 3)}, ...]
    return LISTING.show(rows, options.format or config_format("imagesFormat"), quiet="ID" if options.quiet else "")

A row maps each field to what a template sees, mostly strings. A callable is computed when it is asked for; a
``Method(function)`` takes arguments (``{{.Label "x"}}``) and is left out of ``{{json .}}``.
"""

from __future__ import annotations

import sys

from scow.cli.sizes import binary_size, human_age, human_duration, human_size
from scow.cli.tabs import align, table
from scow.cli.template.values import Method

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = [
    "Listing",
    "Method",
    "align",
    "binary_size",
    "config_format",
    "ellipsis",
    "human_age",
    "human_duration",
    "human_size",
    "table",
]


class Listing:
    """How one kind of thing is listed.

    Args:
        headings: Every field and the heading of its column.
        default: The fields of the plain table.
        kind: The Go type docker names when a template asks for an unknown field.
        raw: The template that ``--format raw`` stands for, if there is one.
        raw_quiet: The same with ``-q``.
    """

    __slots__ = ("default", "headings", "kind", "raw", "raw_quiet")

    def __init__(
        self,
        headings: Mapping[str, str],
        *,
        default: tuple[str, ...],
        kind: str = "*formatter.context",
        raw: str = "",
        raw_quiet: str = "",
    ) -> None:
        self.headings = headings
        self.default = default
        self.kind = kind
        self.raw = raw
        self.raw_quiet = raw_quiet

    def show(self, rows: Iterable[Mapping[str, Any]], template: str = "", *, quiet: str = "") -> int:
        """Print the rows.

        Args:
            rows: The things.
            template: What ``--format`` says: "" and "table" for the plain table, "json", "raw", "table TEMPLATE" or a
                template.
            quiet: The one field that ``-q`` shows.

        Returns:
            0, to be returned by the command.

        Raises:
            TemplateError: The template is malformed or asks for what is not there; nothing was printed.
        """
        sys.stdout.write(self.text(rows, template, quiet=quiet))
        return 0

    def text(self, rows: Iterable[Mapping[str, Any]], template: str = "", *, quiet: str = "") -> str:
        """Return what :meth:`show` prints."""
        if template in ("", "table"):
            return self._plain(rows, quiet)
        if template == "raw" and self.raw:
            template = self.raw_quiet if quiet and self.raw_quiet else self.raw
        elif quiet and template.startswith("table"):
            template = "{{." + quiet + "}}"
        return self._templated(rows, template)

    def _plain(self, rows: Iterable[Mapping[str, Any]], quiet: str) -> str:
        if quiet:
            return "".join(f"{_cell(row[quiet])}\n" for row in rows)
        fields = self.default
        lines = [[self.headings[field] for field in fields]]
        lines += [[_cell(row[field]) for field in fields] for row in rows]
        return table(lines)

    def _templated(self, rows: Iterable[Mapping[str, Any]], template: str) -> str:
        from scow.cli.template.evaluator import Template
        from scow.cli.template.functions import HEADER_FUNCTIONS
        from scow.cli.template.values import Struct

        tabular = template.startswith("table")
        if template == "json":
            template = "{{json .}}"
        elif tabular:
            template = template[len("table") :]
        text = template.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
        parsed = Template(text)
        lines = [parsed.render(Struct(sorted(row.items()), self.kind)) + "\n" for row in rows]
        if not tabular:
            return "".join(lines)
        headings: dict[str, Any] = dict(self.headings)
        if "Label" in headings:
            headings["Label"] = Method(_label_heading)
        heading = Template(text, HEADER_FUNCTIONS).render(Struct(headings.items(), self.kind)) + "\n"
        return align(heading + "".join(lines))


def _label_heading(name: str) -> str:
    """The heading of ``{{.Label "com.example.some-name"}}``: the last part of the label's name, in words."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def _cell(value: Any) -> str:
    return str(value() if callable(value) else value)


def config_format(key: str) -> str:
    """Return a default format from docker's ``config.json``, such as ``psFormat``, or "".

    A missing or unreadable file counts as empty, as for docker.
    """
    from scow.cli.clientconfig import client_config

    value = client_config(key)
    return value if isinstance(value, str) else ""


def ellipsis(text: str, width: int) -> str:
    """Cut text to ``width`` columns, the last one an ellipsis.

    Source: docker CLI, formatter.Ellipsis.
    """
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if width > 1 else text[:width]
