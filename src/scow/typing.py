# SPDX-License-Identifier: Apache-2.0
"""What the modules that every command loads need of :mod:`typing`, at a tenth of its cost.

Type checkers see the names of ``typing``. At run time it is not loaded (nor ``re``, ``enum`` and more behind it),
and a ``NamedTuple`` is made without compiling each annotation: docs/adr/0004-values.md has the figures.
"""

from __future__ import annotations

__all__ = [
    "TYPE_CHECKING",
    "Generic",
    "NamedTuple",
    "NewType",
    "ParamSpec",
    "Protocol",
    "TypeVar",
    "cast",
    "dataclass_transform",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NamedTuple, NewType, ParamSpec, Protocol, TypeVar, cast, dataclass_transform
else:
    from _collections import _tuplegetter

    def cast(kind, value):
        """The value; its type is known better than a type checker can see."""
        del kind
        return value

    def NewType(name, base):  # noqa: N802
        """A name for some values of a type; the function gives its argument."""
        del name, base
        return lambda value: value

    def TypeVar(name, **_):  # noqa: N802
        """A name for a type that is open; says nothing at run time."""
        return name

    ParamSpec = TypeVar

    class Generic:
        """What is made for open types: of any of them the same class."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def dataclass_transform(**_):
        """Tells type checkers what a base class does; the class stays as it is."""
        return lambda kind: kind

    class Protocol:
        """What others implement; says nothing at run time."""

        __slots__ = ()

    class _NamedTupleMeta(type):
        """Makes tuple classes of class statements that have ``NamedTuple`` as their base."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            given = {field: namespace.pop(field) for field in fields if field in namespace}
            if tuple(given) != fields[len(fields) - len(given) :]:
                raise TypeError(f"{name}: a field without a default follows one with a default")
            own = {field: _tuplegetter(index, "") for index, field in enumerate(fields)}
            own.update(_fields=fields, _field_defaults=given, __match_args__=fields, __slots__=(), **_METHODS)
            return type(name, (tuple,), {**own, **namespace})

    # One constructor for all, where collections.namedtuple compiles one for each class.
    def _new(cls, *values, **named):
        if named or len(values) != len(cls._fields):
            values = _complete(cls, values, named)
        return tuple.__new__(cls, values)

    def _complete(cls, values, named):
        """The values of all fields, from those given in order, those given by name and the defaults."""
        if len(values) > len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(values)}")
        complete = list(values)
        for field in cls._fields[len(values) :]:
            if field in named:
                complete.append(named.pop(field))
            elif field in cls._field_defaults:
                complete.append(cls._field_defaults[field])
            else:
                raise TypeError(f"{cls.__name__} needs a value for {field!r}")
        if named:
            raise TypeError(f"{cls.__name__} takes no {next(iter(named))!r} here")
        return complete

    def _make(cls, iterable):
        made = tuple.__new__(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
        return made

    def _replace(self, /, **changes):
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"{type(self).__name__} has no field {next(iter(changes))!r}")
        return made

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        inside = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({inside})"

    def _getnewargs(self):
        return tuple(self)

    _METHODS = {
        "__new__": _new,
        "_make": classmethod(_make),
        "_replace": _replace,
        "_asdict": _asdict,
        "__repr__": _repr,
        "__getnewargs__": _getnewargs,
    }

    class NamedTuple(metaclass=_NamedTupleMeta):
        """Base of values: a tuple whose places have names, as ``typing.NamedTuple``."""
