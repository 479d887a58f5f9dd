# SPDX-License-Identifier: Apache-2.0
"""What happened to containers, volumes and networks: written down in the store, read by ``scow events``.

There is no daemon to tell others; who follows looks at the table. Old entries go when there are many.
"""

from __future__ import annotations

import time

from scow import jsontext
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL,
  actor TEXT NOT NULL, attributes TEXT NOT NULL
);
CREATE INDEX events_by_actor ON events (actor, action);
"""
_KEPT = 4096
_EVERY = 256
_FOLLOW_SECONDS = 0.1


class Event(NamedTuple):
    """One thing that happened.

    Args:
        number: Rises with every event.
        at: Seconds since the epoch.
        kind: ``container``, ``volume`` or ``network``.
        action: ``create``, ``start``, ``die`` ...
        actor: Id or name of what it happened to.
        attributes: More about it.
    """

    number: int
    at: float
    kind: str
    action: str
    actor: str
    attributes: dict[str, str]


class Events:
    """The table of events.

    Args:
        db: The store's database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        db.ensure("events", 1, SCHEMA)

    def add(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Write an event down."""
        row = (time.time(), kind, action, actor, jsontext.dumps(dict(attributes)))
        with self.db.write() as connection:
            cursor = connection.execute(
                "INSERT INTO events (at, kind, action, actor, attributes) VALUES (?, ?, ?, ?, ?)", row
            )
            number = cursor.lastrowid or 0
            if number % _EVERY == 0:
                connection.execute("DELETE FROM events WHERE number <= ?", (number - _KEPT,))

    def last(self, actor: str, action: str) -> Event | None:
        """The latest event of this kind that happened to something."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT * FROM events WHERE actor = ? AND action = ? ORDER BY number DESC LIMIT 1", (actor, action)
            ).fetchone()
        return None if row is None else _event(row)

    def since(self, number: int, at: float = 0.0) -> list[Event]:
        """Events after one, and not before a moment."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM events WHERE number > ? AND at >= ? ORDER BY number", (number, at)
            ).fetchall()
        return [_event(row) for row in rows]

    def follow(self, at: float, going: Callable[[], bool]) -> Iterator[Event]:
        """Events from a moment on, for as long as ``going`` says."""
        number = 0
        while True:
            for event in self.since(number, at):
                number = event.number
                yield event
            if not going():
                return
            time.sleep(_FOLLOW_SECONDS)


def _event(row: tuple[int, float, str, str, str, str]) -> Event:
    return Event(row[0], row[1], row[2], row[3], row[4], jsontext.loads(row[5]))
