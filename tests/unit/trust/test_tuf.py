# SPDX-License-Identifier: Apache-2.0
"""The rules, on what docker made and on what breaks each of them."""

from __future__ import annotations

import pytest

from fakes.trust import DAY, GUN, NOW, Key, Repo, golden, meta
from scow.base.clock import parse_time
from scow.trust import tuf
from scow.trust.failures import ChecksumError, ExpiredTrustError, RollbackError, RootError, ThresholdError
from scow.trust.metadata import RELEASES, TARGETS, decode, decode_root, file_meta

SAMPLES_NOW = parse_time("2026-11-24T00:00:00Z")
SAMPLES = {
    "app-with-delegation": "localhost:5601/trustt/app",
    "hub-gun": "docker.io/library/scowtest",
}


def gun_of(folder):
    """What the sample's own certificate says it is for."""
    from scow.trust.keys import certificate

    key = next(iter(decode_root(golden(folder, "root.json")).roles["root"].keys.values()))
    return next(str(name.value) for name in certificate(key).subject)


def load(folder, now=SAMPLES_NOW):
    gun = gun_of(folder)
    believed = tuf.Believed(gun, tuf.first_root(golden(folder, "root.json"), gun, now), now)
    believed.load_timestamp(golden(folder, "timestamp.json"))
    believed.load_snapshot(golden(folder, "snapshot.json"))
    believed.load_targets(believed.root.roles[TARGETS], golden(folder, "targets.json"))
    return believed


@pytest.mark.parametrize("folder", ["app-with-delegation", "hub-gun", "ecdsa-server-keys", "rotated-root"])
def test_what_docker_made_is_believed(folder):
    believed = load(folder)
    assert believed.targets[TARGETS].targets


@pytest.mark.parametrize(("folder", "gun"), SAMPLES.items())
def test_for_the_repository_it_was_made_for(folder, gun):
    assert gun_of(folder) == gun
    with pytest.raises(RootError, match="leaf certificates"):
        tuf.first_root(golden(folder, "root.json"), gun + "x", SAMPLES_NOW)


def test_delegations_of_docker():
    believed = load("app-with-delegation")
    for name in (RELEASES, "targets/alice"):
        role = believed.role_of(name)
        assert role is not None
        believed.load_targets(role, golden("app-with-delegation", f"{name}.json"))
    assert believed.target("v2", RELEASES) == believed.target("v2", "targets/alice")
    assert believed.target("v1", TARGETS) is not None


def test_the_samples_timestamps_expire():
    with pytest.raises(ExpiredTrustError, match=r"timestamp expired at \w{3} Dec 7 \d\d:\d\d:\d\d UTC 2026"):
        load("app-with-delegation", parse_time("2026-12-08T00:00:00Z"))


def test_six_roots_of_docker_follow_each_other():
    gun = gun_of("rotated-root")
    believed = tuf.Believed(gun, tuf.first_root(golden("rotated-root", "1.root.json"), gun, SAMPLES_NOW), SAMPLES_NOW)
    for version in range(2, 7):
        believed.next_root(golden("rotated-root", f"{version}.root.json"))
    assert believed.root.document.version == 6
    assert believed.root.document.raw == golden("rotated-root", "root.json")


def test_no_root_may_be_left_out():
    gun = gun_of("rotated-root")
    believed = tuf.Believed(gun, tuf.first_root(golden("rotated-root", "1.root.json"), gun, SAMPLES_NOW), SAMPLES_NOW)
    with pytest.raises(RootError, match="does not follow"):
        believed.next_root(golden("rotated-root", "3.root.json"))


# ---------------------------------------------------------------------------------------------------- own repositories


def believed_of(repo, now=NOW):
    found = tuf.Believed(GUN, tuf.first_root(repo.current["root"], GUN, now), now)
    found.load_timestamp(repo.current["timestamp"])
    found.load_snapshot(repo.current["snapshot"])
    found.load_targets(found.root.roles[TARGETS], repo.current["targets"])
    return found


def test_a_root_must_vouch_for_itself():
    repo = Repo()
    repo.make_root(signers=[Key(GUN)])
    with pytest.raises(RootError, match="integrity of roots"):
        tuf.first_root(repo.current["root"], GUN, NOW)


def test_a_new_root_needs_the_old_key():
    repo = Repo()
    old = tuf.first_root(repo.make_root(), GUN, NOW)
    before, repo.root_keys = repo.root_keys, [Key(GUN)]
    with pytest.raises(RootError, match="current trusted certificates"):
        tuf.Believed(GUN, old, NOW).next_root(repo.make_root())
    repo.versions["root"] = 1
    followed = tuf.Believed(GUN, old, NOW)
    followed.next_root(repo.make_root(also=before))
    assert followed.root.document.version == 2


def test_a_new_root_needs_its_own_key_too():
    repo = Repo()
    old = tuf.first_root(repo.make_root(), GUN, NOW)
    before, repo.root_keys = repo.root_keys, [Key(GUN)]
    with pytest.raises(RootError, match="integrity of roots"):
        tuf.Believed(GUN, old, NOW).next_root(repo.make_root(signers=before))


def test_a_root_on_the_way_may_have_expired_and_the_last_may_not():
    repo = Repo()
    believed = tuf.Believed(GUN, tuf.first_root(repo.make_root(), GUN, NOW), NOW)
    believed.next_root(repo.make_root(days=-1))
    with pytest.raises(ExpiredTrustError, match="root expired"):
        believed.check_root()
    with pytest.raises(ExpiredTrustError):
        tuf.first_root(repo.current["root"], GUN, NOW)
    believed.next_root(repo.make_root())
    believed.check_root()


def test_a_kept_root_is_checked_but_not_for_its_age():
    repo = Repo()
    raw = repo.make_root(days=-1)
    assert tuf.kept_root(raw, GUN).document.version == 1
    with pytest.raises(ThresholdError):
        tuf.kept_root(repo.make_root(signers=[Key(GUN)]), GUN)


def test_two_of_two_signatures():
    repo = Repo()
    repo.targets_keys, repo.threshold = [Key(), Key()], 2
    repo.publish({"v1": "one"})
    assert believed_of(repo).target("v1", TARGETS)
    repo.make_targets({"v1": "one"}, signers=repo.targets_keys[:1])
    repo.publish()
    with pytest.raises(ThresholdError, match="valid signatures did not meet threshold for targets"):
        believed_of(repo)
    repo.make_targets({"v1": "one"}, signers=[repo.targets_keys[0]] * 2)
    repo.publish()
    with pytest.raises(ThresholdError):
        believed_of(repo)


def test_one_key_in_two_dresses_is_one():
    key = Key()
    dressed = Key("any", private=key.private)
    repo = Repo()
    repo.targets_keys, repo.threshold = [key, dressed], 2
    repo.publish({"v1": "one"})
    with pytest.raises(ThresholdError):
        believed_of(repo)


def test_a_role_without_keys_signs_nothing():
    repo = Repo().publish({"v1": "one"})
    role = decode_root(repo.current["root"]).roles[TARGETS]._replace(keys={})
    with pytest.raises(ThresholdError):
        tuf.verify(decode(repo.current["targets"], "targets"), role)


def test_versions_never_go_back():
    repo = Repo().publish({"v1": "one"})
    old = dict(repo.current)
    repo.publish({"v1": "two"})
    found = tuf.Believed(GUN, tuf.first_root(old["root"], GUN, NOW), NOW)
    with pytest.raises(RollbackError, match="version 1 is lower than current version 2"):
        found.load_timestamp(old["timestamp"], repo.current["timestamp"])
    found.load_timestamp(old["timestamp"])
    with pytest.raises(RollbackError):
        found.load_snapshot(old["snapshot"], repo.current["snapshot"])
    found.load_snapshot(old["snapshot"])
    with pytest.raises(RollbackError):
        found.load_targets(found.root.roles[TARGETS], old["targets"], repo.current["targets"])


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_files_of_different_days_do_not_mix(role):
    repo = Repo().publish({"v1": "one"})
    old = dict(repo.current)
    repo.publish({"v1": "two"})
    repo.current[role] = old[role]
    with pytest.raises(ChecksumError, match=f"checksum for {role} did not match"):
        believed_of(repo)


def test_a_version_signed_by_a_key_of_yesterday_does_not_block():
    repo = Repo().publish({"v1": "one"})
    repo.versions["timestamp"] = 2**40
    repo.publish()
    stolen = repo.current["timestamp"]
    repo.timestamp_key = Key(kind="ed25519")
    repo.versions["timestamp"] = 0
    repo.make_root()
    repo.publish()
    found = tuf.Believed(GUN, tuf.first_root(repo.current["root"], GUN, NOW), NOW)
    found.load_timestamp(repo.current["timestamp"], stolen)


def test_the_snapshot_lists_the_root():
    repo = Repo().publish({"v1": "one"})
    other = decode_root(repo.make_root())
    found = tuf.Believed(GUN, other, NOW)
    found.load_timestamp(repo.current["timestamp"])
    with pytest.raises(ChecksumError, match=r"sha256 checksum for root did not match: expected [0-9a-f]{64}"):
        found.load_snapshot(repo.files["snapshot"])


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_nothing_expired_is_believed(role):
    repo = Repo().publish({"v1": "one"})
    if role == "targets":
        repo.make_targets({"v1": "one"}, days=-1)
    repo.seal(days=-1 if role == "snapshot" else 1)
    if role == "timestamp":
        repo.stamp(days=-1)
    with pytest.raises(ExpiredTrustError, match=f"{role} expired"):
        believed_of(repo)
    assert believed_of(repo, NOW - 2 * DAY)


def test_hashes_and_length_must_both_fit():
    raw = b"content"
    good = file_meta(meta(raw), "it")
    tuf.check_file(raw, good, "it")
    for bad in (good._replace(length=6), good._replace(hashes={**good.hashes, "sha512": bytes(64)})):
        with pytest.raises(ChecksumError):
            tuf.check_file(raw, bad, "it")


def test_a_delegation_signs_below_its_paths_only():
    repo = Repo()
    repo.delegations = {RELEASES: ([Key()], ["v"], 1)}
    repo.publish({})
    repo.make_targets({"v1": "one", "w1": "one"}, RELEASES)
    repo.publish()
    found = believed_of(repo)
    found.load_targets(found.role_of(RELEASES), repo.current[RELEASES])
    assert found.target("v1", RELEASES)
    assert found.target("w1", RELEASES) is None
