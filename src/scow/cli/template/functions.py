# SPDX-License-Identifier: Apache-2.0
"""The functions a template may call: Go's own and docker's.

Source: Go 1.24 text/template, "Functions"; docker CLI 28.2.2, behaviour recorded in tests/golden/template.
"""

from __future__ import annotations

from scow.cli.template import printing
from scow.cli.template.gojson import dumps
from scow.cli.template.values import INVALID, Invalid, NilPointer, Struct, TypedList, TypedMap, is_nil, truth, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class CallError(Exception):
    """A function refuses its arguments; the evaluator adds where."""


class Function:
    """What the evaluator must know of a function.

    Args:
        call: The Python function.
        types: The types of its parameters: ``any``, ``value`` (which may be nothing), ``string`` or ``int``.
        variadic: Whether the last parameter repeats.
    """

    __slots__ = ("call", "types", "variadic")

    def __init__(self, call: Callable[..., Any], types: tuple[str, ...], *, variadic: bool = False) -> None:
        self.call = call
        self.types = types
        self.variadic = variadic


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _string(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _length(value: Any) -> int:
    if isinstance(value, Struct):
        raise CallError(f"len of type {value.type_name}")
    if isinstance(value, str):
        return len(_octets(value))
    if isinstance(value, (list, dict)):
        return len(value)
    if isinstance(value, Invalid):
        raise CallError("reflect: call of reflect.Value.Type on zero Value")
    nil = value is None or isinstance(value, NilPointer)
    raise CallError("len of nil pointer" if nil else f"len of type {type_name(value)}")


def _position(index: Any, size: int) -> int:
    if index is None or isinstance(index, Invalid):
        raise CallError("cannot index slice/array with nil")
    if isinstance(index, bool) or not isinstance(index, int):
        raise CallError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= size:
        raise CallError(f"index out of range: {index}")
    return index


def _index(item: Any, *indexes: Any) -> Any:
    if item is None or isinstance(item, Invalid):
        raise CallError("index of untyped nil")
    for index in indexes:
        if isinstance(item, (str, list)):
            kind = "string" if isinstance(item, str) else "slice"
            sequence = _octets(item) if isinstance(item, str) else item
            at = _position(index, len(sequence))
            if at == len(sequence):
                raise CallError(f"reflect: {kind} index out of range")
            item = sequence[at]
        elif isinstance(item, dict) and not isinstance(item, Struct):
            if index is None or isinstance(index, Invalid):
                raise CallError("value is nil; should be of type string")
            if not isinstance(index, str):
                raise CallError(f"value has type {type_name(index)}; should be string")
            item = item.get(index, item.zero if isinstance(item, TypedMap) else None)
        elif item is None or isinstance(item, NilPointer):
            raise CallError("index of nil pointer")
        else:
            raise CallError(f"can't index item of type {type_name(item)}")
    return item


def _slice(item: Any, *indexes: Any) -> Any:
    if item is None or isinstance(item, Invalid):
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, (str, list)):
        raise CallError(f"can't slice item of type {type_name(item)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise CallError("cannot 3-index slice a string")
    sequence = _octets(item) if isinstance(item, str) else item
    bounds = [_position(index, len(sequence)) for index in indexes]
    for at, high in enumerate(bounds[1:]):
        if bounds[at] > high:
            raise CallError(f"invalid slice index: {bounds[at]} > {high}")
    low, high = [*bounds[:2], *[0, len(sequence)][len(bounds[:2]) :]]
    if isinstance(sequence, bytes):
        return _string(sequence[low:high])
    part = sequence[low:high]
    return TypedList(part, sequence.element) if isinstance(sequence, TypedList) else part


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    for name, kind in (("int", int), ("float", float), ("complex", complex), ("string", str)):
        if isinstance(value, kind):
            return name
    return ""


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    kind = _kind(first)
    for other in others:
        if kind != _kind(other):
            if (
                not isinstance(first, Invalid)
                and first is not None
                and not isinstance(other, Invalid)
                and other is not None
            ):
                raise CallError("incompatible types for comparison")
            continue
        same = first == other if kind else _same_composite(first, other)
        if same:
            return True
    return False


def _same_composite(first: Any, other: Any) -> bool:
    """Compare what has no basic kind: only nil with nil, and structs."""
    if is_nil(first) or is_nil(other):
        return is_nil(first) and is_nil(other)
    left = printing.sprintf("%s", (first,))
    if isinstance(first, list) != isinstance(other, list) or isinstance(first, Struct) != isinstance(other, Struct):
        raise CallError(f"non-comparable types {left}: {type_name(first)}, {type_name(other)}: {printing.plain(other)}")
    if not isinstance(other, Struct):
        raise CallError(f"non-comparable type {printing.sprintf('%s', (other,))}: {type_name(other)}")
    return bool(first == other)


def _less(first: Any, second: Any) -> bool:
    kind, other = _kind(first), _kind(second)
    if not kind or not other:
        raise CallError("invalid type for comparison")
    if kind != other:
        raise CallError("incompatible types for comparison")
    if kind in ("bool", "complex"):
        raise CallError("invalid type for comparison")
    return bool(_octets(first) < _octets(second) if kind == "string" else first < second)


def _not_equal(first: Any, second: Any) -> bool:
    return not _equal(first, second)


def _less_equal(first: Any, second: Any) -> bool:
    return _less(first, second) or _equal(first, second)


def _greater(first: Any, second: Any) -> bool:
    return not _less_equal(first, second)


def _greater_equal(first: Any, second: Any) -> bool:
    return not _less(first, second)


def _text_of(values: tuple[Any, ...]) -> str:
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return printing.sprint(
        ["<no value>" if is_nil(value) and type_name(value) == "interface {}" else value for value in values]
    )


_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _html(*values: Any) -> str:
    return "".join(_HTML.get(char, char) for char in _text_of(values))


def _js(*values: Any) -> str:
    out = []
    for char in _text_of(values):
        if char in _JS:
            out.append(_JS[char])
        elif char < " " or (not char.isprintable() and char != "\x7f"):
            out.append(f"\\u{ord(char):04X}")
        else:
            out.append(char)
    return "".join(out)


def _urlquery(*values: Any) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    return "".join(
        chr(byte) if byte in safe else "+" if byte == 0x20 else f"%{byte:02X}" for byte in _octets(_text_of(values))
    )


def _call(*values: Any) -> Any:
    value = values[0]
    if value is None or isinstance(value, Invalid):
        raise CallError("call of nil")
    raise CallError(f"non-function of type {type_name(value)}")


def _print(*values: Any) -> str:
    return printing.sprint(values)


def _println(*values: Any) -> str:
    return printing.sprintln(values)


def _printf(template: str, *values: Any) -> str:
    return printing.sprintf(template, values)


def _split(text: str, separator: str) -> TypedList:
    parts = text.split(separator) if separator else list(text)
    return TypedList(parts, "string")


def _join(items: Any, separator: str) -> str:
    if items is None:
        return ""
    if isinstance(items, Struct) or not isinstance(items, (list, dict)):
        raise CallError(f"expected slice, got {type_name(items)}")
    if isinstance(items, dict):
        return separator.join(sorted(map(printing.plain, items.values()), key=_octets))
    return separator.join(map(printing.plain, items))


def _title(text: str) -> str:
    out = []
    after = " "
    for char in text:
        starts = after.isspace() if not after.isascii() else not (after.isalnum() or after == "_")
        out.append(char.title() if starts and len(char.title()) == 1 else char)
        after = char
    return "".join(out)


def _case(text: str, *, upper: bool) -> str:
    """Change case rune by rune, as Go does; Python maps some to several characters."""
    if not upper:
        return "".join(char.lower()[0] for char in text)
    mapped = ((char, char.upper()) for char in text)
    return "".join(new if len(new) == 1 else char for char, new in mapped)


def _lower(text: str) -> str:
    return _case(text, upper=False)


def _upper(text: str) -> str:
    return _case(text, upper=True)


def _pad(text: str, before: int, after: int) -> str:
    if not text:
        return text
    if before < 0 or after < 0:
        raise CallError("strings: negative Repeat count")
    return " " * before + text + " " * after


def _truncate(text: str, length: int) -> str:
    data = _octets(text)
    if len(data) < length:
        return text
    if length < 0:
        raise CallError(f"runtime error: slice bounds out of range [:{length}]")
    return _string(data[:length])


def _negate(value: Any) -> bool:
    return not truth(value)


def _first(*values: Any) -> Any:
    return values[0]


# "and" and "or" are evaluated by the evaluator, which stops at the first argument that decides.
FUNCTIONS: dict[str, Function] = {
    "and": Function(_first, ("value", "value"), variadic=True),
    "or": Function(_first, ("value", "value"), variadic=True),
    "not": Function(_negate, ("value",)),
    "eq": Function(_equal, ("value", "value"), variadic=True),
    "ne": Function(_not_equal, ("value", "value")),
    "lt": Function(_less, ("value", "value")),
    "le": Function(_less_equal, ("value", "value")),
    "gt": Function(_greater, ("value", "value")),
    "ge": Function(_greater_equal, ("value", "value")),
    "index": Function(_index, ("value", "value"), variadic=True),
    "slice": Function(_slice, ("value", "value"), variadic=True),
    "len": Function(_length, ("value",)),
    "call": Function(_call, ("value", "value"), variadic=True),
    "print": Function(_print, ("any",), variadic=True),
    "println": Function(_println, ("any",), variadic=True),
    "printf": Function(_printf, ("string", "any"), variadic=True),
    "html": Function(_html, ("any",), variadic=True),
    "js": Function(_js, ("any",), variadic=True),
    "urlquery": Function(_urlquery, ("any",), variadic=True),
    "json": Function(dumps, ("any",)),
    "split": Function(_split, ("string", "string")),
    "join": Function(_join, ("any", "string")),
    "title": Function(_title, ("string",)),
    "lower": Function(_lower, ("string",)),
    "upper": Function(_upper, ("string",)),
    "pad": Function(_pad, ("string", "int", "int")),
    "truncate": Function(_truncate, ("string", "int")),
}

# A table's header row is made by the row's own template, with these in place of what would change a heading.
HEADER_FUNCTIONS: dict[str, Function] = FUNCTIONS | {
    "json": Function(_first, ("any",)),
    "split": Function(_first, ("any", "any")),
    "join": Function(_first, ("any", "any")),
    "title": Function(_first, ("any",)),
    "lower": Function(_first, ("any",)),
    "upper": Function(_first, ("any",)),
    "truncate": Function(_first, ("any", "any")),
}

__all__ = ["FUNCTIONS", "HEADER_FUNCTIONS", "INVALID", "CallError", "Function"]
