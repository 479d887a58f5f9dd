# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from scow.base.database import Database, database_error
from scow.errors import CorruptError, UnavailableError, UnsupportedError

SQL = "CREATE TABLE t (x INTEGER); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"


@pytest.fixture
def db(tmp_path):
    made = Database(str(tmp_path / "deep" / "scow.db"))
    made.ensure("room", 1, SQL)
    return made


def rows(db):
    with db.read() as connection:
        return [row[0] for row in connection.execute("SELECT x FROM t ORDER BY x")]


def insert(db, value):
    with db.write() as connection:
        connection.execute("INSERT INTO t VALUES (?)", (value,))


def test_write_commits_and_read_sees_it(db):
    insert(db, 1)
    assert rows(db) == [1]
    with db.read() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_failure_rolls_back(db):
    with pytest.raises(KeyError), db.write() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    assert rows(db) == []
    insert(db, 2)
    assert rows(db) == [2]


def test_blocks_nest_and_an_inner_failure_undoes_itself_only(db):
    with db.write():
        insert(db, 1)
        with pytest.raises(KeyError), db.write():
            insert(db, 2)
            raise KeyError
        insert(db, 3)
    assert rows(db) == [1, 3]


def test_outer_failure_undoes_inner_blocks(db):
    with pytest.raises(KeyError), db.write():
        insert(db, 1)
        raise KeyError
    assert rows(db) == []


def test_threads_have_connections_of_their_own(db):
    threads = [threading.Thread(target=insert, args=(db, number)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(db) == list(range(10))


def test_a_forked_child_writes_too(db):
    insert(db, 1)
    pid = os.fork()
    if not pid:
        insert(db, 2)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    insert(db, 3)
    assert rows(db) == [1, 2, 3]


def test_ensure_is_idempotent_and_refuses_other_versions(db, tmp_path):
    db.ensure("room", 1, SQL)
    again = Database(db.path)
    again.ensure("room", 1, SQL)
    with pytest.raises(UnsupportedError, match="version 1, this scow knows version 2"):
        again.ensure("room", 2, SQL)


def test_ensure_from_two_processes_at_once_makes_the_tables_once(tmp_path):
    path = str(tmp_path / "scow.db")
    databases = [Database(path) for _ in range(4)]
    threads = [threading.Thread(target=each.ensure, args=("room", 1, SQL)) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    insert(databases[0], 1)
    assert rows(databases[3]) == [1]


def test_processes_that_make_a_database_at_once_wait_for_each_other(tmp_path):
    """In 60 rounds some always met: setting the journal's mode was refused at once."""

    def write(path, gate):
        os.read(gate, 1)
        db = Database(path)
        db.ensure("room", 1, "CREATE TABLE t (a);")
        with db.write() as connection:
            connection.execute("INSERT INTO t VALUES (1)")

    for number in range(60):
        path = str(tmp_path / str(number) / "scow.db")
        gate, opener = os.pipe()
        children = []
        for _ in range(8):
            child = os.fork()
            if not child:
                os.close(opener)
                status = 1
                try:
                    write(path, gate)
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        os.close(gate)
        os.close(opener)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
        with Database(path).read() as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (8,)


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "scow.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(CorruptError, match="damaged"):
        Database(str(path)).ensure("room", 1, SQL)


def test_check_finds_nothing_wrong(db):
    assert db.check() == []


def test_close_and_use_again(db):
    insert(db, 1)
    db.close()
    assert rows(db) == [1]


def test_sql_mistakes_are_errors_of_ours(db):
    with pytest.raises(UnavailableError, match="no such table"), db.read() as connection:
        connection.execute("SELECT * FROM nowhere")
    with pytest.raises(UnavailableError, match="no such table"), db.write() as connection:
        connection.execute("SELECT * FROM nowhere")
    assert rows(db) == []


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (sqlite3.OperationalError("database or disk is full"), UnavailableError, "no space left"),
        (OSError(28, "No space left on device"), UnavailableError, "no space left"),
        (sqlite3.OperationalError("database is locked"), UnavailableError, "too long"),
        (sqlite3.DatabaseError("database disk image is malformed"), CorruptError, "damaged"),
        (sqlite3.OperationalError("unable to open database file"), UnavailableError, "cannot open"),
        (PermissionError(13, "Permission denied"), UnavailableError, "cannot open"),
        (sqlite3.OperationalError("strange"), UnavailableError, "failed: strange"),
    ],
)
def test_errors_become_sentences(error, kind, words):
    found = database_error(error, "/x/scow.db")
    assert type(found) is kind
    assert words in found.message
    assert "/x/scow.db" in found.message


def test_full_disk_rolls_back_and_the_database_works_on(db):
    with db.read() as connection:
        connection.execute("PRAGMA max_page_count = 8")
    with pytest.raises(UnavailableError, match="no space left"), db.write() as connection:
        connection.execute("CREATE TABLE big (b)")
        for _ in range(100):
            connection.execute("INSERT INTO big VALUES (zeroblob(4000))")
    insert(db, 1)
    assert rows(db) == [1]


def test_a_limit_on_the_size_of_files_is_named(tmp_path):
    """What a quota does too: SQLite says that input or output failed, and not which."""
    script = f"""
import resource
from scow.base.database import Database
from scow.errors import UnavailableError
db = Database({str(tmp_path / "scow.db")!r})
db.ensure("room", 1, "CREATE TABLE t (x BLOB);")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    with db.write() as connection:
        for _ in range(100):
            connection.execute("INSERT INTO t VALUES (randomblob(4000))")
except UnavailableError as error:
    print(error.message, error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with db.read() as connection:
    print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    said, count = done.stdout.splitlines()
    assert "scow.db" in said
    assert "quota" in said
    assert "ulimit -f" in said
    assert count == "0"
