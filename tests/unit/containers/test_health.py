# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from scow.base.leases import Leases
from scow.containers import health
from scow.containers.service import Containers
from scow.runtime.health import begin


def test_what_was_found_of_a_run_that_is_over_is_not_said_of_the_next_one(db, make, tmp_path, monkeypatch):
    """The container was started anew after the last look at its process, and before the row was written."""
    service = Containers(str(tmp_path), str(tmp_path / "run"), db, Leases(db), None, None, None)
    check = {"Cmd": ["sh"], "Healthcheck": {"Test": ["CMD", "true"]}}
    container = make(config=check, pid=5, pid_start=1, status="running", health=begin())
    service.store.insert(container)
    waits = iter([False, True])

    def alive(pid, _started):
        if pid == 5:
            service.store.update(container.id, pid=6)
        return True

    monkeypatch.setattr(health.process, "adopt_orphans", lambda: None)
    monkeypatch.setattr(health.process, "wait_gone", lambda *_: next(waits))
    monkeypatch.setattr(health.process, "is_alive", alive)
    monkeypatch.setattr(health.executing, "probe", lambda *_, **__: (0, "fine"))
    health.watch(service, container.id)
    assert service.still(container).health == begin()
