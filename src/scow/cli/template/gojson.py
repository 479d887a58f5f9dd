# SPDX-License-Identifier: Apache-2.0
"""JSON as Go's encoder writes it without HTML escapes: compact, map keys sorted, floats in the shortest form.

The rows of a listing are the exception: docker lets them encode themselves, with HTML escapes.

Source: Go encoding/json, Marshal.
"""

from __future__ import annotations

from scow.cli.template.printing import shortest
from scow.cli.template.values import Mark, Method, Struct, fields, is_nil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def dumps(value: Any) -> str:
    """Encode a value of a template."""
    out: list[str] = []
    _write(value, out)
    text = "".join(out)
    if isinstance(value, Struct) and value.type_name.endswith("Context"):
        text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text


def _write(value: Any, out: list[str]) -> None:
    if is_nil(value):
        out.append("null")
    elif isinstance(value, str):
        out.append(string(value.in_json if isinstance(value, Mark) else value))
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, dict):
        mark = "{"
        present = getattr(value, "present", None)
        for name, item in fields(value):
            if present is not None and name not in present:
                continue
            out.append(f"{mark}{string(present[name] if present else name)}:")
            _write(item, out)
            mark = ","
        out.append("}" if mark == "," else "{}")
    elif isinstance(value, list):
        mark = "["
        for item in value:
            out.append(mark)
            _write(item, out)
            mark = ","
        out.append("]" if mark == "," else "[]")
    elif callable(value) and not isinstance(value, Method):
        _write(value(), out)
    else:
        out.append(string(str(value)))


def string(text: str) -> str:
    """Encode one string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char < " " or char in "\u2028\u2029":
        return f"\\u{ord(char):04x}"
    return "\\ufffd" if "\ud800" <= char <= "\udfff" else char


def _number(value: float) -> str:
    sign, digits, point = shortest(value)
    if -6 < point <= 21:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}" if digits != "0" else f"{sign}0"
        if len(digits) <= point:
            return sign + digits + "0" * (point - len(digits))
        return f"{sign}{digits[:point]}.{digits[point:]}"
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"
