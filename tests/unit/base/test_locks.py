# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import threading

import pytest

from scow.base.locks import FileLock
from scow.errors import UnavailableError


def test_many_share(tmp_path):
    lock = FileLock(str(tmp_path / "deep" / "l"))
    with lock.shared(0), lock.shared(0), pytest.raises(UnavailableError, match="holds the lock"), lock.exclusive(0):
        pass
    with lock.exclusive(0):
        pass


def test_one_alone(tmp_path):
    lock = FileLock(str(tmp_path / "l"))
    with lock.exclusive():
        for other in (lock.shared, lock.exclusive):
            with pytest.raises(UnavailableError), other(0.03):
                pass


def test_waits_for_its_turn(tmp_path):
    lock = FileLock(str(tmp_path / "l"))
    order = []

    def second():
        with lock.exclusive(5):
            order.append(2)

    with lock.exclusive():
        thread = threading.Thread(target=second)
        thread.start()
        order.append(1)
    thread.join()
    assert order == [1, 2]


def test_a_dead_process_holds_none(tmp_path):
    lock = FileLock(str(tmp_path / "l"))
    pid = os.fork()
    if not pid:
        lock.exclusive().__enter__()
        os._exit(0)
    os.waitpid(pid, 0)
    with lock.exclusive(0):
        pass


def test_who_waited_for_a_lock_that_was_taken_away_locks_the_next_one(tmp_path):
    lock = FileLock(str(tmp_path / "cache" / "l"))
    waiting, held = threading.Event(), threading.Event()
    let_go = threading.Event()

    def wait():
        waiting.set()
        with lock.shared():
            held.set()
            let_go.wait(90)

    with lock.exclusive():
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(90)
        assert not held.wait(0.05)
        os.rename(tmp_path / "cache", tmp_path / "gone")
    assert held.wait(90)
    with pytest.raises(UnavailableError), lock.exclusive(0):
        pass
    assert os.path.exists(lock.path)
    let_go.set()
    thread.join(90)
