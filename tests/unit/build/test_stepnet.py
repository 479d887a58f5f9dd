# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from fakes.busybox import until
from scow.build.stepnet import StepNetworks
from scow.errors import UnavailableError


class Maker:
    """Makes numbers instead of networks."""

    def __init__(self):
        self.made = 0
        self.there = set()
        self.lock = threading.Lock()
        self.fails = False

    @contextmanager
    def __call__(self, _identity):
        if self.fails:
            raise UnavailableError("no addresses")
        with self.lock:
            self.made += 1
            number = self.made
            self.there.add(number)
        yield number
        with self.lock:
            self.there.remove(number)


@pytest.fixture
def maker():
    return Maker()


def test_a_later_step_gets_the_place_of_an_earlier_one(maker):
    networks = StepNetworks(maker)
    for _ in range(3):
        with networks.lend("x") as place:
            assert place == 1
    assert maker.there == {1}
    networks.close()
    assert maker.there == set()


def test_steps_side_by_side_have_places_of_their_own(maker):
    networks = StepNetworks(maker)
    with networks.lend("x") as one, networks.lend("y") as two:
        assert one != two
    networks.close()
    assert maker.there == set()


def test_places_are_made_early_and_go_after_the_last_step(maker):
    networks = StepNetworks(maker)
    networks.expect(2, 2)
    with networks.lend("x"), networks.lend("y"):
        assert maker.made == 2
        networks.step_done()
    networks.step_done()
    networks.close()
    assert maker.there == set()


def wait_for(maker, count):
    assert until(lambda: len(maker.there) == count)


def test_a_place_goes_as_soon_as_no_step_can_need_it(maker):
    networks = StepNetworks(maker)
    networks.expect(3, 2)
    with networks.lend("x"):
        with networks.lend("y"):
            assert maker.made == 2
        assert len(maker.there) == 2  # a third step is to come
        networks.step_done()
        with networks.lend("z"):
            assert maker.made == 2
        wait_for(maker, 1)
        networks.step_done()
    wait_for(maker, 0)
    networks.step_done()
    networks.close()


def test_places_that_nobody_took_go_too(maker):
    networks = StepNetworks(maker)
    networks.expect(5, 3)
    networks.close()
    assert (maker.made, maker.there) == (3, set())


def test_what_cannot_be_made_is_told_when_it_is_needed(maker):
    maker.fails = True
    networks = StepNetworks(maker)
    networks.expect(1, 1)
    with pytest.raises(UnavailableError, match="no addresses"), networks.lend("x"):
        pass
    networks.close()
    networks.expect(1, 1)
    networks.close()


def test_a_step_that_fails_gives_its_place_back(maker):
    networks = StepNetworks(maker)
    with pytest.raises(RuntimeError), networks.lend("x"):
        raise RuntimeError
    networks.close()
    assert maker.there == set()
