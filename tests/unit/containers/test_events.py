# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time

from scow.containers.events import Events


def test_events_in_their_order(db):
    events = Events(db)
    for action in ("create", "start", "die"):
        events.add("container", action, "x", {"exitCode": "3"})
    events.add("container", "die", "y", {"exitCode": "4"})
    assert [event.action for event in events.since(0)] == ["create", "start", "die", "die"]
    assert events.last("x", "die").attributes == {"exitCode": "3"}
    assert events.last("x", "nothing") is None
    assert events.since(0, time.time() + 60) == []


def test_following(db):
    events = Events(db)
    events.add("volume", "create", "v", {})
    left = [True, False]
    seen = []
    for event in events.follow(0.0, lambda: left.pop(0)):
        seen.append(event.actor)
        if len(seen) == 1:
            events.add("volume", "destroy", "w", {})
    assert seen == ["v", "w"]


def test_old_events_go(db, monkeypatch):
    monkeypatch.setattr("scow.containers.events._KEPT", 10)
    monkeypatch.setattr("scow.containers.events._EVERY", 4)
    events = Events(db)
    for number in range(40):
        events.add("container", "create", str(number), {})
    assert len(events.since(0)) <= 14
    assert events.since(0)[-1].actor == "39"
