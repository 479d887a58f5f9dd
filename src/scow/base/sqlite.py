# SPDX-License-Identifier: Apache-2.0
"""SQLite's driver without what :mod:`sqlite3` adds for dates: ``datetime`` costs each command over a millisecond."""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection, Error, complete_statement, connect
else:
    try:
        from _sqlite3 import Connection, Error, complete_statement, connect
    except ImportError:  # another interpreter than CPython
        from sqlite3 import Connection, Error, complete_statement, connect

__all__ = ["Connection", "Error", "complete_statement", "connect"]
