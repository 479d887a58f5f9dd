# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time

import pytest

from scow.base.database import Database
from scow.base.leases import Edge, Leases


@pytest.fixture
def leases(tmp_path):
    return Leases(Database(str(tmp_path / "scow.db")))


def test_lease_holds_until_released(leases):
    with leases.hold("pull") as lease:
        lease.add("blob", "a")
        lease.add("blob", "a")
        assert leases.owners("blob", "a") == [lease.owner]
        assert leases.reap() == 0
        assert leases.graph() == [Edge(lease.owner, "blob", "a")]
    assert leases.graph() == []
    lease.release()


def test_released_when_the_block_fails(leases):
    with pytest.raises(KeyError), leases.hold("pull") as lease:
        lease.add("blob", "a")
        raise KeyError
    assert leases.graph() == []


def test_links_of_durable_owners(leases):
    leases.link("container:1", "image", "i")
    leases.link("container:1", "snapshot", "s")
    leases.link("image:i", "blob", "b")
    assert leases.owners("image", "i", "container:") == ["container:1"]
    assert leases.owners("blob", "b", "container:") == []
    assert leases.owned("container:1") == [("image", "i"), ("snapshot", "s")]
    assert leases.owned("container:1", "image") == [("image", "i")]
    leases.unlink("container:1", "image", "i")
    assert leases.owned("container:1") == [("snapshot", "s")]
    leases.unlink("container:1", "snapshot")
    assert leases.owned("container:1") == []
    leases.unlink("image:i")
    assert leases.graph() == []


def test_links_roll_back_with_their_transaction(leases):
    with pytest.raises(KeyError), leases.db.write():
        leases.link("image:i", "blob", "b")
        raise KeyError
    assert leases.graph() == []


def test_lease_of_a_dead_process_is_void(leases):
    pid = os.fork()
    if not pid:
        leases.hold("crash").add("blob", "a")
        os._exit(0)
    os.waitpid(pid, 0)
    with leases.hold("alive") as lease:
        lease.add("blob", "b")
        assert len(leases.graph()) == 2
        assert leases.reap() == 1
        assert leases.graph() == [Edge(lease.owner, "blob", "b")]


@pytest.mark.parametrize("column", ["boot", "started"])
def test_lease_of_another_boot_or_a_recycled_pid_is_void(leases, column):
    leases.hold("old").add("blob", "a")
    with leases.db.write() as connection:
        connection.execute(f"UPDATE leases SET {column} = 'other'")
    assert leases.reap() == 1


def test_lease_of_another_pid_namespace_lives_a_week(leases):
    leases.hold("elsewhere").add("blob", "a")
    with leases.db.write() as connection:
        connection.execute("UPDATE leases SET namespace = 'pid:[1]', pid = 1, started = 'x'")
    assert leases.reap() == 0
    with leases.db.write() as connection:
        connection.execute("UPDATE leases SET created = ?", (time.time() - 8 * 86400,))
    assert leases.reap() == 1


def test_links_without_their_lease_go(leases):
    leases.link("lease:none", "blob", "a")
    leases.reap()
    assert leases.graph() == []
