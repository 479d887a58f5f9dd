# SPDX-License-Identifier: Apache-2.0
"""``scow.typing`` gives at run time what ``typing`` gives, as far as anything here uses it."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from scow.typing import Generic, NamedTuple, NewType, ParamSpec, Protocol, TypeVar, cast, dataclass_transform


class Ours(NamedTuple):
    """A point."""

    x: int
    y: int = 2
    label: str = "p"

    @property
    def total(self) -> int:
        return self.x + self.y

    @classmethod
    def at(cls, x: int) -> Ours:
        return cls(x)


class Theirs(typing.NamedTuple):
    x: int
    y: int = 2
    label: str = "p"


@pytest.mark.parametrize(
    ("values", "named"), [((1,), {}), ((1, 5), {}), ((1, 5, "q"), {}), ((), {"x": 1}), ((1,), {"label": "z"})]
)
def test_made_as_those_of_typing(values, named):
    ours, theirs = Ours(*values, **named), Theirs(*values, **named)
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert (ours.x, ours.y, ours.label) == (theirs.x, theirs.y, theirs.label)
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, "a", 4), {}), ((1,), {"z": 1}), ((1,), {"x": 2})])
def test_refused_as_by_typing(values, named):
    with pytest.raises(TypeError):
        Theirs(*values, **named)
    with pytest.raises(TypeError):
        Ours(*values, **named)


def test_values_are_tuples_that_cannot_change():
    value = Ours(1)
    assert isinstance(value, tuple)
    with pytest.raises(AttributeError):
        value.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        value.other = 3  # type: ignore[attr-defined]


def test_changed_copies():
    assert Ours(1)._replace(y=9, label="r") == (1, 9, "r")
    with pytest.raises(ValueError, match="nosuch"):
        Ours(1)._replace(nosuch=1)
    assert Ours._make([4, 5, "s"]) == (4, 5, "s")
    with pytest.raises(TypeError):
        Ours._make([4])


def test_methods_docstrings_and_names_are_kept():
    assert Ours(1).total == 3
    assert Ours.at(7).x == 7
    assert Ours.__doc__ == "A point."
    assert (Ours.__module__, Ours.__qualname__) == (__name__, "Ours")
    assert Ours._fields == Theirs._fields
    assert Ours._field_defaults == Theirs._field_defaults


def test_copied_pickled_and_matched():
    value = Ours(1, 2, "c")
    assert copy.copy(value) == copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    match value:
        case Ours(x, label="c"):
            assert x == 1
        case _:
            pytest.fail("the pattern names the fields in their order")


def test_a_field_without_a_default_after_one_with_it():
    with pytest.raises(TypeError):

        class Wrong(NamedTuple):
            x: int = 1
            y: int


def test_the_rest_does_nothing():
    marker = object()
    assert cast("int", marker) is marker
    assert NewType("Number", int)(marker) is marker

    class Shape(Protocol):
        def area(self) -> int: ...

    class Square(Shape):
        def area(self) -> int:
            return 4

    assert Square().area() == 4


T = TypeVar("T")
P = ParamSpec("P")


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


def test_classes_of_open_types():
    assert Box[int](3).value == 3
    assert isinstance(Box("x"), Box)

    class Named(Box[str]):
        pass

    assert Named.__mro__[1] is Box

    @dataclass_transform(frozen_default=True)
    class Base:
        pass

    assert Base.__name__ == "Base"
