# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.record import Record, State, replace


class Shape(Record):
    """A shape."""

    name: str
    sides: int = 3

    kind = "shape"

    @property
    def upper(self) -> str:
        return self.name.upper()


class Box(Shape):
    size: tuple[int, ...] = ()


class Named(Record, kw_only=True):
    one: int
    two: int = 2


def test_members_by_position_by_name_and_by_default():
    assert (Shape("a").name, Shape("a").sides, Shape("a", 4).sides) == ("a", 3, 4)
    assert (Box("b", size=(1,)).size, Box("b").sides, Box.kind) == ((1,), 3, "shape")
    assert (Named(one=1).two, Shape("a").upper) == (2, "A")


@pytest.mark.parametrize(
    ("given", "named"), [((), {}), (("a", 1, 2), {}), (("a",), {"other": 1}), (("a",), {"name": "b"})]
)
def test_what_does_not_fit_is_refused(given, named):
    with pytest.raises(TypeError):
        Shape(*given, **named)


def test_nothing_can_be_changed():
    shape = Shape("a")
    with pytest.raises(AttributeError):
        shape.name = "b"
    with pytest.raises(AttributeError):
        del shape.name
    with pytest.raises(AttributeError):
        shape.other = 1
    assert not hasattr(shape, "__dict__")


def test_equal_when_kind_and_members_are():
    assert Shape("a") == Shape("a", 3)
    assert hash(Shape("a")) == hash(Shape("a", 3))
    assert Shape("a") != Shape("a", 4)
    assert Shape("a") != Box("a")
    assert repr(Box("a")) == "Box(name='a', sides=3, size=())"


def test_copies_with_changes():
    assert replace(Box("a", 4), name="b") == Box("b", 4)
    with pytest.raises(TypeError):
        replace(Box("a"), colour="red")


def test_classes_do_not_share_members():
    assert Shape.__members__ == ("name", "sides")
    assert Box.__members__ == ("name", "sides", "size")
    assert Record.__members__ == ()


class Walk(State):
    place: str
    seen: list[str] = []  # noqa: RUF012 - copied
    left: int = 0


def test_states_change_and_share_no_defaults():
    one, two = Walk("a"), Walk("a", left=2)
    one.seen.append("x")
    one.left += 1
    assert (one.seen, two.seen) == (["x"], [])
    assert (one.left, two.left) == (1, 2)
    assert one != Walk("a", ["x"], 1)
    assert len({one, two, one}) == 2


def test_states_have_the_members_of_their_class_and_no_others():
    with pytest.raises(TypeError, match="needs 'place'"):
        Walk()
    with pytest.raises(TypeError, match="no further member 'way'"):
        Walk("a", way=1)
    with pytest.raises(AttributeError):
        Walk("a").way = 1
