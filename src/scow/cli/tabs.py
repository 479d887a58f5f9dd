# SPDX-License-Identifier: Apache-2.0
"""Columns from tabs, as Go's tabwriter aligns them with docker's settings.

A cell ends with a tab; what follows the last tab of a line belongs to no column. A column is a run of lines that all
have a cell at that place, and is as wide as its widest cell plus 3, at least 10.

Source: Go text/tabwriter, package documentation; docker CLI, formatter (minimum 10, padding 3, blanks).
"""

from __future__ import annotations

_MINIMUM, _PADDING = 10, 3


def align(text: str, *, minimum: int = _MINIMUM, padding: int = _PADDING) -> str:
    """Turn the tabs of a text into aligned columns.

    Args:
        text: Lines with tabs between cells.
        minimum: Narrowest column.
        padding: Blanks after the widest cell.
    """
    if "\t" not in text:
        return text
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(cells) - 1) for cells in lines]
    column = 0
    deepest = max(map(len, widths))
    while column < deepest:
        at = 0
        while at < len(lines):
            end = at
            while end < len(lines) and len(widths[end]) > column:
                end += 1
            if end > at:
                width = max([minimum, *(len(lines[row][column]) + padding for row in range(at, end))])
                for row in range(at, end):
                    widths[row][column] = width
            at = max(end, at + 1)
        column += 1
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(cells, row, strict=False)) + cells[-1]
        for cells, row in zip(lines, widths, strict=True)
    )


def table(lines: list[list[str]]) -> str:
    """Align rows of cells that all have the same columns; a line break ends each row."""
    columns = [max([_MINIMUM, *(len(cell) + _PADDING for cell in column)]) for column in zip(*lines, strict=True)]
    last = len(columns) - 1
    return "".join(
        "".join(cell if at == last else cell.ljust(columns[at]) for at, cell in enumerate(cells)) + "\n"
        for cells in lines
    )
