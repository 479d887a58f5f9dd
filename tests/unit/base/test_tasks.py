# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest

from scow.base.tasks import TaskGroup
from scow.errors import CancelledError, UnavailableError


def test_results_in_any_order():
    with TaskGroup() as group:
        tasks = [group.spawn(pow, number, 2) for number in range(20)]
        assert [task.result() for task in tasks] == [number**2 for number in range(20)]
    assert all(task.done for task in tasks)


def test_limit_bounds_what_runs_together():
    running, most, lock = [], [], threading.Lock()

    def work(number):
        with lock:
            running.append(number)
            most.append(len(running))
        threading.Event().wait(0.002)
        with lock:
            running.remove(number)

    before = threading.active_count()
    with TaskGroup(3) as group:
        for number in range(30):
            group.spawn(work, number)
        assert threading.active_count() <= before + 3
    assert max(most) <= 3
    assert len(most) == 30


def test_first_failure_cancels_the_siblings_and_is_raised():
    stopped = threading.Event()

    def wait_for_cancel(group):
        while True:
            try:
                group.check()
            except CancelledError:
                stopped.set()
                raise

    def fail():
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"), TaskGroup() as group:
        group.spawn(wait_for_cancel, group)
        group.spawn(fail)
    assert stopped.is_set()


def test_tasks_not_begun_never_begin():
    ran = []

    def fail():
        raise KeyError

    with pytest.raises(KeyError), TaskGroup(1) as group:
        group.spawn(fail)
        late = [group.spawn(ran.append, number) for number in range(5)]
    assert ran == []
    with pytest.raises(CancelledError):
        late[0].result()


def test_failure_of_the_body_cancels_and_wins():
    with pytest.raises(ZeroDivisionError), TaskGroup() as group:
        group.spawn(threading.Event().wait, 0.001)
        _ = 1 / 0
    assert group.cancelled


def test_result_of_a_failed_task_is_a_cancellation_but_the_cause_is_reported():
    def fail():
        raise KeyError("cause")

    with pytest.raises(KeyError, match="cause"), TaskGroup() as group:
        group.spawn(fail).result()


def test_several_failures_become_a_group():
    barrier = threading.Barrier(2)

    def fail(error):
        barrier.wait()
        raise error

    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.spawn(fail, KeyError("a"))
        group.spawn(fail, ValueError("b"))
    assert {type(error) for error in caught.value.exceptions} == {KeyError, ValueError}


def test_an_interrupt_outranks_other_failures():
    barrier = threading.Barrier(2)

    def fail(error):
        barrier.wait()
        raise error

    with pytest.raises(KeyboardInterrupt), TaskGroup() as group:
        group.spawn(fail, KeyError("a"))
        group.spawn(fail, KeyboardInterrupt())


def test_hooks_run_on_cancel_once_and_at_once_when_late():
    called = []
    with TaskGroup() as group:
        group.on_cancel(lambda: called.append("early"))
        group.cancel()
        group.cancel()
        group.on_cancel(lambda: called.append("late"))
    assert called == ["early", "late"]


def test_tasks_may_spawn_tasks():
    found = []

    def outer():
        group.spawn(found.append, 1)

    with TaskGroup() as group:
        group.spawn(outer)
    assert found == [1]


def test_a_thread_that_cannot_be_started_is_said_and_nothing_waits_for_it(monkeypatch):
    """As in a container whose filter answers clone3 with EPERM, or at the limit of processes."""
    ended, allowed, start = [], [True, True, False], threading.Thread.start

    def begin(thread):
        if not allowed.pop(0):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)
    with pytest.raises(UnavailableError, match="start a thread") as caught, TaskGroup() as group:
        for number in range(5):
            group.spawn(ended.append, number)
    assert "seccomp" in caught.value.hint
    assert set(ended) <= {0, 1}
    assert allowed == []
