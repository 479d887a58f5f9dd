# SPDX-License-Identifier: Apache-2.0
"""Two commands at one container: what the other one does between a look at its row and the change of it."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from scow.base.leases import Leases
from scow.containers import detached, ending, settling, stopping
from scow.containers.service import Containers
from scow.containers.store import EXITED, RESTARTING, RUNNING
from scow.errors import ConflictError, UnavailableError
from scow.linux import process

ALWAYS = {"RestartPolicy": {"Name": "always"}, "NetworkMode": "none"}


def another():
    """The mark of another command that waits to start it again."""
    return f"restart {os.getppid()} {process.start_time(os.getppid())}"


def unused():
    raise AssertionError("no image is needed here")


@pytest.fixture
def service(tmp_path, db):
    return Containers(f"{tmp_path}/root", f"{tmp_path}/run", db, Leases(db), unused, unused, unused)


@pytest.fixture
def enter(service, make):
    """Enters a container, with its directory."""

    def enter(**values):
        container = make(**{"host": ALWAYS, "boot": process.boot_id(), **values})
        os.makedirs(service.directory(container.id))
        service.store.insert(container)
        return service.store.get(container.id)

    return enter


@pytest.fixture
def sleeper():
    """A process, as the first one of a container."""
    with subprocess.Popen(["sleep", "600"]) as running:
        yield {"pid": running.pid, "pid_start": process.start_time(running.pid), "status": RUNNING, "monitor": "conmon"}
        running.kill()


@pytest.fixture
def started(monkeypatch):
    """The containers that were started, in place of starting them."""
    found = []
    monkeypatch.setattr(detached, "_start", lambda service, container, before: found.append(container.id))
    return found


def after_the_look(monkeypatch, act):
    """Let something happen when a monitor's exit command has seen that its container has ended."""
    look = settling.settle

    def settle(service, container):
        seen = look(service, container)
        act(seen)
        return seen

    monkeypatch.setattr(settling, "settle", settle)


def test_what_has_ended_is_started_again(service, enter, started):
    container = enter(status=EXITED)
    settling.has_ended(service, container.id)
    assert started == [container.id]
    assert service.store.get(container.id).restarts == 1


def test_a_stop_before_it_waits_for_its_next_start(service, enter, started, monkeypatch):
    container = enter(status=EXITED)
    after_the_look(monkeypatch, lambda seen: stopping.stop(service, seen))
    settling.has_ended(service, container.id)
    assert started == []
    assert service.store.get(container.id).status == EXITED


def test_a_start_before_it_waits_for_its_next_start(service, enter, started, sleeper, monkeypatch):
    container = enter(status=EXITED)
    after_the_look(monkeypatch, lambda seen: service.store.update(seen.id, **sleeper))
    settling.has_ended(service, container.id)
    assert started == []
    now = service.store.get(container.id)
    assert (now.status, now.pid, now.monitor, now.restarts) == (RUNNING, sleeper["pid"], "conmon", 0)


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (lambda service, row: stopping.stop(service, row), EXITED),
        (lambda service, row: stopping.kill(service, row, "TERM"), EXITED),
        (lambda service, row: stopping.kill(service, row, "HUP"), EXITED),
        # it was started by hand, has ended once more, and waits for another command
        (lambda service, row: service.store.update(row.id, monitor=another()), RESTARTING),
    ],
)
def test_while_it_waits_for_its_next_start(service, enter, started, monkeypatch, act, left):
    container = enter(status=EXITED)
    monkeypatch.setattr(settling.time, "sleep", lambda _: act(service, service.store.get(container.id)))
    settling.has_ended(service, container.id)
    assert started == []
    assert service.store.get(container.id).status == left


@pytest.mark.parametrize("ask", [stopping.stop, lambda service, row: stopping.kill(service, row, "KILL")])
def test_who_saw_it_wait_stops_what_runs_by_now(service, enter, sleeper, monkeypatch, ask):
    seen = enter(status=RESTARTING, monitor=f"restart {process.self_mark()}")
    service.store.update(seen.id, **sleeper)
    ended = []
    monkeypatch.setattr(
        ending, "ended", lambda service, row, status, **_: ended.append(service.store.update(row.id, status=EXITED))
    )
    monkeypatch.setattr(settling, "_await_monitor", lambda *_: (143, 1.0))
    ask(service, seen)
    assert ended == [True]
    assert not process.is_alive(sleeper["pid"], sleeper["pid_start"])
    assert service.store.get(seen.id).stopped


def test_who_saw_it_wait_stops_what_is_about_to_run(service, enter, sleeper, monkeypatch):
    """The one that starts it holds it until its row says that it runs."""
    seen = enter(status=RESTARTING, monitor=f"restart {process.self_mark()}")
    sent = []
    monkeypatch.setattr(stopping, "send", lambda container, number: sent.append((container.pid, number)))
    monkeypatch.setattr(settling, "wait_end", lambda *_: None)
    with service.alone(seen):
        stop = threading.Thread(target=stopping.stop, args=(service, seen))
        stop.start()
        stop.join(0.05)
        service.store.update(seen.id, **sleeper, stopped=0)
    stop.join(90)
    assert sent == [(sleeper["pid"], 15)]
    assert service.store.get(seen.id).stopped


def test_a_wait_whose_command_is_gone_has_ended(service, enter):
    container = enter(status=RESTARTING, monitor="restart 1 1")
    assert settling.settle(service, container).status == EXITED
    assert service.store.get(container.id).status == EXITED


def test_what_runs_by_now_does_not_end_with_a_wait(service, enter, sleeper):
    seen = enter(status=RESTARTING, monitor="restart 1 1")
    service.store.update(seen.id, **sleeper)
    assert settling.settle(service, seen).status == RUNNING
    assert service.store.get(seen.id).status == RUNNING


@pytest.mark.parametrize("verb", [stopping.pause, stopping.unpause])
def test_what_has_ended_by_now_is_neither_halted_nor_let_go(service, enter, sleeper, verb):
    seen = enter(**{**sleeper, "status": RUNNING if verb is stopping.pause else "paused"})
    service.store.update(seen.id, status=EXITED, pid=0)
    with pytest.raises(ConflictError):
        verb(service, seen)
    assert service.store.get(seen.id).status == EXITED


def test_nobody_goes_on_without_the_lock(service, enter, monkeypatch):
    container = enter()

    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched, pytest.raises(UnavailableError, match="Too many open files"):
        patched.setattr(os, "open", refuse)
        with service.alone(container):
            pass
    os.rmdir(service.directory(container.id))
    with service.alone(container):  # removed: it is nobody's any more
        pass
