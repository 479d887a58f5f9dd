# SPDX-License-Identifier: Apache-2.0
"""How Python values stand for Go's in a template.

``str``, ``bool``, ``int``, ``float`` are Go's ``string``, ``bool``, ``int`` and ``float64``; a plain ``dict`` is a
``map[string]interface {}``, a plain ``list`` a ``[]interface {}``, ``None`` a nil interface. The classes here stand for
what has a Go type of its own: a struct refuses unknown fields and prints as ``{a b}``, a typed map or list knows what a
missing element is and may be nil.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Self


class Invalid:
    """No value at all: what an absent map key gives; printed as ``<no value>``."""

    __slots__ = ()


INVALID = Invalid()


class Struct(dict[str, "Any"]):
    """A Go struct: the fields in their declared order; a callable value is a method.

    Args:
        fields: Names and values.
        type_name: As error messages name it: ``*formatter.imageContext``.
        present: The fields that JSON shows, with their names there; ``None`` for all as they are. The others were empty
            and left out where it came from.
    """

    __slots__ = ("present", "type_name")

    def __init__(
        self, fields: Iterable[tuple[str, Any]], type_name: str, present: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(fields)
        self.type_name = type_name
        self.present = present


class Method:
    """A struct's method with arguments, such as ``.Label "key"``; not part of ``{{json .}}``.

    Args:
        function: Takes the arguments, which must be strings.
        count: How many.
    """

    __slots__ = ("count", "function")

    def __init__(self, function: Callable[..., Any], count: int = 1) -> None:
        self.function = function
        self.count = count


class TypedMap(dict[str, "Any"]):
    """A Go map whose elements have a type of their own.

    Args:
        items: The entries.
        element: The element type: ``string``, ``struct {}``.
        zero: What a missing element is.
        nil: Whether the map is nil, which JSON shows as ``null``.
    """

    __slots__ = ("element", "nil", "zero")

    def __init__(self, items: Iterable[tuple[str, Any]], element: str, zero: Any, *, nil: bool = False) -> None:
        super().__init__(items)
        self.element = element
        self.zero = zero
        self.nil = nil


class TypedList(list["Any"]):
    """A Go slice whose elements have a type of their own.

    Args:
        items: The elements.
        element: Their type: ``string``.
        nil: Whether the slice is nil, which JSON shows as ``null``.
    """

    __slots__ = ("element", "nil")

    def __init__(self, items: Iterable[Any], element: str, *, nil: bool = False) -> None:
        super().__init__(items)
        self.element = element
        self.nil = nil


class Duration(int):
    """A Go ``time.Duration`` in nanoseconds: an integer that prints as ``1m30s``."""

    __slots__ = ()


class Mark(str):
    """A string of a table that JSON shows as another one.

    Args:
        text: In tables and templates.
        in_json: In JSON.
    """

    __slots__ = ("in_json",)
    in_json: str

    def __new__(cls, text: str, in_json: str) -> Self:
        """Make one."""
        mark = super().__new__(cls, text)
        mark.in_json = in_json
        return mark


class NilPointer:
    """A nil pointer to a struct: false, printed as ``<nil>``, ``null`` in JSON."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name


def type_name(value: Any) -> str:
    """Name the Go type of a value."""
    if isinstance(value, (Struct, NilPointer)):
        return value.type_name
    if isinstance(value, TypedMap):
        return f"map[string]{value.element}"
    if isinstance(value, TypedList):
        return f"[]{value.element}"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Duration):
        return "time.Duration"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, complex):
        return "complex128"
    return "string" if isinstance(value, str) else "interface {}"


def truth(value: Any) -> bool:
    """Tell whether ``if`` takes the value for true: not zero, not empty, not nil."""
    if isinstance(value, Struct):
        return True
    return bool(value) if not isinstance(value, (NilPointer, Invalid)) else False


def is_nil(value: Any) -> bool:
    """Tell whether the value is nil or nothing."""
    return value is None or isinstance(value, (NilPointer, Invalid)) or bool(getattr(value, "nil", False))


def fields(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """The entries in the order Go prints them: structs as declared, maps by key."""
    if isinstance(value, Struct):
        return [(name, entry) for name, entry in value.items() if not isinstance(entry, Method)]
    return sorted(value.items(), key=lambda item: item[0].encode("utf-8", "surrogateescape"))
