# SPDX-License-Identifier: Apache-2.0
"""The mode of working: a pure decision from facts."""

from __future__ import annotations

import pytest

from scow.linux.idmaps import IdMap
from scow.linux.standing import CHROOT, NOTHING, ROOT, SINGLE, SUBIDS, Facts, decide, look, lowest, subordinate_ids

RANGE = "me:100000:65536\n"
FULL = Facts(
    uid=1000,
    gid=1001,
    name="me",
    subuid=RANGE,
    subgid=RANGE,
    newuidmap="/usr/bin/newuidmap",
    newgidmap="/usr/bin/newgidmap",
)


def test_ranges_of_a_user() -> None:
    text = "root:1:2\nme:100000:65536\n# comment\nbroken\nme:x:1\n1000:300000:10\nme:5:0\n"
    assert subordinate_ids(text, "me", 1000) == [(100000, 65536), (300000, 10)]
    assert subordinate_ids(text, "nobody", 65534) == []


def test_a_user_with_ranges_gets_them_after_the_own_id() -> None:
    standing = decide(FULL._replace(subuid=RANGE + "me:300000:10\n"))
    assert standing.mode == SUBIDS
    assert standing.uids == (IdMap(0, 1000, 1), IdMap(1, 100000, 65536), IdMap(65537, 300000, 10))
    assert standing.gids == (IdMap(0, 1001, 1), IdMap(1, 100000, 65536))
    assert standing.helpers == ("/usr/bin/newuidmap", "/usr/bin/newgidmap")
    assert "65546" in standing.reason
    assert standing.more == ""


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        (FULL._replace(subuid=""), "--add-subuids"),
        (FULL._replace(subgid="you:1:2\n"), "--add-subgids"),
        (FULL._replace(newuidmap=""), "apt install uidmap"),
        (FULL._replace(newgidmap=""), "apt install uidmap"),
        (FULL._replace(no_new_privileges=True), "no-new-privileges"),
        (FULL._replace(uid=0, gid=0, capabilities=0), "--privileged"),
    ],
)
def test_whatever_is_missing_is_named_and_leaves_the_own_id(facts, names) -> None:
    standing = decide(facts)
    assert standing.mode == SINGLE
    assert names in standing.more
    assert standing.uids == (IdMap(0, facts.uid, 1),)
    assert standing.gids == (IdMap(0, facts.gid, 1),)
    assert standing.helpers == ()


def test_a_forbidding_setting_is_named() -> None:
    standing = decide(FULL._replace(forbidden="sysctl a=b"))
    assert standing.mode == NOTHING
    assert "sysctl a=b" in standing.more
    assert standing.uids == ()


def test_root_is_root_only_with_its_power() -> None:
    assert decide(Facts(uid=0, gid=0, capabilities=1 << 21 | 1 << 12)).mode == ROOT
    assert decide(FULL._replace(capabilities=1 << 21)).mode == SUBIDS


def test_root_that_may_mount_but_make_no_networks_has_them_in_a_namespace_of_its_own() -> None:
    standing = decide(CONTAINER._replace(capabilities=CONTAINER.capabilities | 1 << 21))
    assert standing.mode == SUBIDS
    assert "CAP_NET_ADMIN" in standing.reason
    facts = Facts(uid=0, gid=0, capabilities=1 << 21, forbidden="sysctl a=b")
    assert decide(facts).mode == ROOT, "where there are no user namespaces it makes do"


def test_this_host_is_looked_at() -> None:
    assert look().mode in {ROOT, SUBIDS, SINGLE, NOTHING}


CONTAINER = Facts(uid=0, gid=0, capabilities=1 << 6 | 1 << 7 | 1 << 18, ids=4294967295)


def test_root_of_a_container_maps_every_id_it_has() -> None:
    standing = decide(CONTAINER)
    assert standing.mode == SUBIDS
    assert standing.uids == standing.gids == (IdMap(0, 0, 1 << 31),)
    assert standing.helpers == ()
    assert decide(CONTAINER._replace(ids=65536)).uids == (IdMap(0, 0, 65536),)
    assert decide(CONTAINER._replace(capabilities=1 << 18)).mode == SINGLE


@pytest.mark.parametrize(
    ("facts", "mode"),
    [(CONTAINER, CHROOT), (CONTAINER._replace(capabilities=0), NOTHING), (FULL, NOTHING)],
)
def test_without_namespaces_root_changes_its_root_and_others_move_images(facts, mode) -> None:
    standing = decide(facts._replace(forbidden="sysctl a=b"))
    assert standing.mode == mode
    assert "sysctl a=b" in standing.more
    assert lowest(facts, "why", "more") == (mode, "why", "more", (), (), ())
