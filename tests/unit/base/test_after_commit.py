# SPDX-License-Identifier: Apache-2.0
"""What is put off until a transaction is durable."""

from __future__ import annotations

import pytest

from scow.base.database import Database


def test_calls_wait_for_the_outermost_commit(tmp_path) -> None:
    db = Database(str(tmp_path / "db"))
    done: list[str] = []
    db.after_commit(lambda: done.append("at once"))
    assert done == ["at once"]
    with db.write():
        db.after_commit(lambda: done.append("outer"))
        with db.write():
            db.after_commit(lambda: done.append("inner"))
        assert done == ["at once"]
    assert done == ["at once", "outer", "inner"]


def test_a_rollback_forgets_its_calls_only(tmp_path) -> None:
    db = Database(str(tmp_path / "db"))
    done: list[str] = []
    with db.write():
        db.after_commit(lambda: done.append("kept"))
        with pytest.raises(RuntimeError), db.write():
            db.after_commit(lambda: done.append("lost"))
            raise RuntimeError
    with pytest.raises(RuntimeError), db.write():
        db.after_commit(lambda: done.append("lost"))
        raise RuntimeError
    with db.write():
        pass
    assert done == ["kept"]
