# SPDX-License-Identifier: Apache-2.0
"""The files that docker 28.2.2 and notary-server 0.7.0 made, and files that are none."""

from __future__ import annotations

import json

import pytest

from fakes.trust import Repo, canonical, digest, golden
from scow.trust.failures import MalformedTrustError
from scow.trust.metadata import (
    RELEASES,
    decode,
    decode_key,
    decode_listing,
    decode_root,
    decode_targets,
    file_meta,
    is_delegation,
)


def test_a_root_of_docker():
    root = decode_root(golden("app-with-delegation", "root.json"))
    assert root.document.version == 1
    assert {name: (len(role.keys), role.threshold) for name, role in root.roles.items()} == dict.fromkeys(
        ("root", "targets", "snapshot", "timestamp"), (1, 1)
    )
    assert [key.keytype for key in root.roles["root"].keys.values()] == ["ecdsa-x509"]


def test_targets_of_docker():
    targets = decode_targets(golden("app-with-delegation", "targets.json"), "targets")
    assert targets.targets["v1"].digest == "sha256:cfd35b34ce051c913050de34ec980e88d8c183e905beca7a44cef40f5c5b8d22"
    assert targets.targets["v1"].length == 739
    assert [role.name for role in targets.delegations] == [RELEASES, "targets/alice"]
    assert all(role.may_sign("anything") for role in targets.delegations)
    assert decode_targets(golden("app-with-delegation", "targets", "alice.json"), "targets/alice").targets


def test_listings_of_docker():
    snapshot = decode_listing(golden("app-with-delegation", "snapshot.json"), "snapshot")
    assert set(snapshot.meta) == {"root", "targets", "targets/releases", "targets/alice"}
    assert set(decode_listing(golden("hub-gun", "timestamp.json"), "timestamp").meta["snapshot"].hashes) == {
        "sha256",
        "sha512",
    }


def test_what_was_signed_is_spelt_as_it_was():
    for folder in ("app-with-delegation", "hub-gun", "ecdsa-server-keys", "rotated-root"):
        raw = golden(folder, "targets.json")
        found = decode(raw, "targets")
        assert found.message in raw


def test_a_role_without_keys():
    value = json.loads(golden("app-with-delegation", "targets.json"))
    value["signed"]["delegations"]["roles"][0]["keyids"] = None
    assert decode_targets(canonical(value), "targets").delegations[0].keys == {}


def changed(path, to):
    """A root file in which one member is another one, or missing."""
    repo = Repo().publish({"v1": "one"})
    value = json.loads(repo.current["root"])
    *above, last = path
    place = value
    for name in above:
        place = place[name]
    if to is KeyError:
        del place[last]
    else:
        place[last] = to
    return canonical(value)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (["signed"], []),
        (["signed", "_type"], "Targets"),
        (["signed", "_type"], "root"),
        (["signed", "version"], 0),
        (["signed", "version"], True),
        (["signed", "version"], "1"),
        (["signed", "expires"], "tomorrow"),
        (["signed", "expires"], 5),
        (["signed", "keys"], []),
        (["signed", "roles"], KeyError),
        (["signed", "roles", "timestamp"], KeyError),
        (["signed", "roles", "root", "threshold"], 0),
        (["signed", "roles", "root", "keyids"], "text"),
        (["signatures"], {}),
        (["signatures", 0], "text"),
        (["signatures", 0, "sig"], "***"),
        (["signatures", 0, "method"], KeyError),
    ],
)
def test_a_root_of_the_wrong_shape_is_refused(path, to):
    with pytest.raises(MalformedTrustError):
        decode_root(changed(path, to))


def test_a_key_under_another_id_is_refused():
    repo = Repo().publish({"v1": "one"})
    value = json.loads(repo.current["root"])
    value["signed"]["keys"]["0" * 64] = repo.targets_keys[0].members
    with pytest.raises(MalformedTrustError, match="key ID"):
        decode_root(canonical(value))


def test_thousands_of_keys_are_refused():
    value = json.loads(Repo().publish({"v1": "one"}).current["root"])
    value["signed"]["keys"] = {str(number): {} for number in range(1001)}
    with pytest.raises(MalformedTrustError, match="more than"):
        decode_root(canonical(value))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"hashes": {}, "length": 1},
        {"hashes": {"md5": "AAAA"}, "length": 1},
        {"hashes": {"sha256": "AAAA"}, "length": 1},
        {"hashes": {"sha256": 5}, "length": 1},
        {"hashes": {"sha256": "A" * 43 + "="}, "length": -1},
        {"hashes": {"sha256": "A" * 43 + "="}},
    ],
)
def test_what_says_nothing_of_a_file_is_refused(value):
    with pytest.raises(MalformedTrustError):
        file_meta(value, "it")


def test_a_listing_lists_what_it_must():
    value = json.loads(golden("app-with-delegation", "snapshot.json"))
    del value["signed"]["meta"]["root"]
    with pytest.raises(MalformedTrustError, match="does not list the root"):
        decode_listing(canonical(value), "snapshot")


def test_a_key_is_a_key():
    with pytest.raises(MalformedTrustError):
        decode_key({"keytype": "ecdsa"}, "it")


def test_delegations_are_files_below_a_directory():
    assert is_delegation("targets/releases")
    assert is_delegation("targets/a/b")
    for name in (
        "targets",
        "root",
        "targets/",
        "targets/..",
        "targets/../x",
        "targets/a//b",
        "targets/A",
        "/targets/a",
    ):
        assert not is_delegation(name)


def test_delegations_of_other_names_are_left_out():
    repo = Repo()
    repo.delegations = {
        name: (repo.targets_keys, [""], 1) for name in ("targets/..", "targets/a/b", "other", "targets/x")
    }
    repo.publish({"v1": "one"})
    found = decode_targets(repo.current["targets"], "targets")
    assert [role.name for role in found.delegations] == ["targets/x"]
    assert found.targets["v1"].digest == digest("one")
