# SPDX-License-Identifier: Apache-2.0
"""Values with named members, frozen or not, without the code that ``dataclasses`` writes and compiles for each class.

A Dockerfile's twenty kinds of instruction cost 20 ms of every build that way, and 1 ms this way. Type checkers see a
frozen dataclass. Source: Python library reference, ``typing.dataclass_transform``.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, dataclass_transform

if TYPE_CHECKING:
    from typing import Any, TypeVar

    R = TypeVar("R", bound="Record | State")


class _RecordType(type):
    """Makes slots of what a class annotates, and remembers the defaults."""

    __members__: tuple[str, ...] = ()
    __defaults__: dict[str, Any] = {}  # noqa: RUF012 - each class has its own

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: bool) -> _RecordType:
        own = tuple(namespace.get("__annotations__", ()))
        defaults = {member: namespace.pop(member) for member in own if member in namespace}
        made = super().__new__(mcs, name, bases, {**namespace, "__slots__": own})
        above = made.__mro__[1]
        if isinstance(above, _RecordType):
            made.__members__, made.__defaults__ = (*above.__members__, *own), {**above.__defaults__, **defaults}
        return made


@dataclass_transform(frozen_default=True)
class Record(metaclass=_RecordType):
    """A frozen value: its members are what its class and those above it annotate, in that order.

    Args:
        given: Members by position.
        named: Members by name.

    Raises:
        TypeError: A member is missing, unknown or given twice.
    """

    __slots__ = ()

    def __init__(self, *given: Any, **named: Any) -> None:
        _fill(self, type(self), given, named)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be removed")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).__members__)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in type(self).__members__)))

    def __repr__(self) -> str:
        members = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__members__)
        return f"{type(self).__name__}({members})"


@dataclass_transform(eq_default=False)
class State(metaclass=_RecordType):
    """Something whose members change, equal to nothing but itself. A default that is a list, dict or set is copied.

    Args:
        given: Members by position.
        named: Members by name.

    Raises:
        TypeError: A member is missing, unknown or given twice.
    """

    __slots__ = ()

    def __init__(self, *given: Any, **named: Any) -> None:
        _fill(self, type(self), given, named)


def _fill(made: object, kind: _RecordType, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Set every member of a new object."""
    names, defaults = kind.__members__, kind.__defaults__
    if len(given) > len(names):
        raise TypeError(f"{kind.__name__} has {len(names)} members, not {len(given)}")
    for name, value in zip(names, given, strict=False):
        object.__setattr__(made, name, value)
    for name in names[len(given) :]:
        if name in named:
            object.__setattr__(made, name, named.pop(name))
        elif name in defaults:
            value = defaults[name]
            object.__setattr__(made, name, value.copy() if isinstance(value, (list, dict, set)) else value)
        else:
            raise TypeError(f"{kind.__name__} needs {name!r}")
    if named:
        raise TypeError(f"{kind.__name__} has no further member {', '.join(map(repr, named))}")


def replace(record: R, **changes: Any) -> R:
    """A copy with some members changed; the others are the same objects.

    Args:
        record: What to copy.
        changes: Members by name.

    Raises:
        TypeError: There is no such member.
    """
    return type(record)(**{**{name: getattr(record, name) for name in type(record).__members__}, **changes})
