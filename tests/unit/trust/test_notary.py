# SPDX-License-Identifier: Apache-2.0
"""A client that knows a repository and one that does not, before an honest server and before ten that are not."""

from __future__ import annotations

import os

import pytest

from fakes.trust import DAY, GUN, HOST, NOW, Key, Repo, TrustTransport, client_of, digest, place_of, signed
from scow.errors import ScowError, UntrustedError
from scow.oci.reference import Reference
from scow.trust.failures import (
    ExpiredTrustError,
    NoTrustDataError,
    NotSignedError,
    RollbackError,
    RootError,
    ThresholdError,
    TrustServerError,
)
from scow.trust.metadata import RELEASES
from scow.trust.notary import NotaryPolicy

V1 = Reference.parse(f"{GUN}:v1")


class Client:
    """What one machine has: a directory, and a new process for every question."""

    def __init__(self, folder, transport, **place):
        self.folder, self.transport, self.place = folder, transport, place
        self.warnings = []

    def policy(self):
        client = client_of(self.transport, self.folder)
        return NotaryPolicy(client, place_of(self.folder, **self.place), self.warnings.append)

    def resolve(self, name=f"{GUN}:v1"):
        self.transport.log.clear()
        return self.policy().resolve(Reference.parse(name))

    def kept(self):
        """Every kept file with its content."""
        found = {}
        for folder, _, names in os.walk(os.path.join(self.folder, "trust", "tuf")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.relpath(os.path.join(folder, name), self.folder)] = file.read()
        return found


@pytest.fixture
def repo():
    return Repo().publish({"v1": "one"})


@pytest.fixture
def transport(repo):
    return TrustTransport(repo)


@pytest.fixture
def fresh(tmp_path, transport):
    return Client(tmp_path / "fresh", transport)


@pytest.fixture
def known(tmp_path, transport):
    """A client that has seen two versions of the repository, the second one current."""
    client = Client(tmp_path / "known", transport)
    assert client.resolve() == digest("one")
    return client


# ---------------------------------------------------------------------------------------------------- what is signed


def test_the_first_time(fresh, transport, repo):
    assert fresh.resolve() == digest("one")
    assert [line.split(".")[0] for line in transport.log] == [
        "GET root",
        "GET timestamp",
        "GET snapshot",
        "GET targets",
    ]
    base = f"trust/tuf/{GUN}/metadata"
    assert fresh.kept() == {
        f"{base}/{role}.json": repo.current[role] for role in ("root", "targets", "snapshot", "timestamp")
    }


def test_the_second_time_costs_one_request(known, transport):
    assert known.resolve() == digest("one")
    assert transport.log == ["GET timestamp.json"]


def test_one_policy_asks_once(fresh, transport):
    policy = fresh.policy()
    assert policy.resolve(V1) == policy.resolve(V1)
    assert transport.log.count("GET timestamp.json") == 1


def test_kept_files_are_for_their_user_alone(fresh):
    fresh.resolve()
    for folder, _, names in os.walk(fresh.folder / "trust"):
        assert os.stat(folder).st_mode & 0o077 == 0
        assert all(os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0 for name in names)


def test_a_new_signature(known, repo, transport):
    repo.publish({"v1": "two", "v2": "one"})
    assert known.resolve() == digest("two")
    assert [line.split(".")[0] for line in transport.log] == ["GET timestamp", "GET snapshot", "GET targets"]
    assert dict(known.policy().tags(V1)) == {"v1": digest("two"), "v2": digest("one")}
    assert known.policy().vouches(V1.with_digest(digest("one")))
    assert not known.policy().vouches(V1.with_digest(digest("three")))


def test_a_tag_that_nobody_signed(fresh):
    with pytest.raises(NotSignedError, match=r"^No valid trust data for v9$"):
        fresh.resolve(f"{GUN}:v9")
    with pytest.raises(NotSignedError, match=r"^No valid trust data for latest$"):
        fresh.resolve(GUN)


def test_a_repository_that_nobody_signed(fresh):
    gun = f"{HOST}/other"
    with pytest.raises(NoTrustDataError) as caught:
        fresh.resolve(f"{gun}:v1")
    assert (
        caught.value.message == f"remote trust data does not exist for {gun}: {HOST} does not have trust data for {gun}"
    )
    assert caught.value.exit_code == 1
    assert fresh.policy().vouches(Reference.parse(f"{gun}@{digest('one')}")) is False
    assert fresh.kept() == {}


def test_the_server_that_is_configured(tmp_path, transport):
    assert Client(tmp_path, transport, server="https://notary.example").resolve() == digest("one")
    with pytest.raises(ScowError, match=r"valid https URL required for trust server, got http://notary\.example"):
        Client(tmp_path, transport, server="http://notary.example").resolve()


# ---------------------------------------------------------------------------------------------------- delegations


def delegated(repo, releases, targets, **more):
    alice = Key()
    repo.delegations = {RELEASES: ([alice], [""], 1), "targets/alice": ([alice], [""], 1)}
    repo.make_targets(targets)
    repo.make_targets(releases, RELEASES, **more)
    repo.make_targets(releases, "targets/alice", **more)
    return repo.publish()


def test_releases_come_before_the_owners_own(known, repo, transport):
    delegated(repo, {"v1": "two"}, {"v1": "one", "v0": "zero"})
    assert known.resolve() == digest("two")
    assert not [line for line in transport.log if "alice" in line], "who signed does not matter for a pull"
    assert known.resolve(f"{GUN}:v0") == digest("zero")
    assert known.resolve() == digest("two")
    assert transport.log == ["GET timestamp.json"]


def test_what_only_a_signer_signed_is_not_released(known, repo):
    delegated(repo, {}, {})
    repo.make_targets({"v1": "two"}, "targets/alice")
    repo.publish()
    with pytest.raises(NotSignedError):
        known.resolve()


@pytest.mark.parametrize("how", [{"signers": [Key()]}, {"days": -1}])
def test_a_delegation_that_is_not_to_be_believed_is_as_none(known, repo, how):
    delegated(repo, {"v1": "two"}, {"v1": "one"}, **how)
    assert known.resolve() == digest("one")


def test_after_the_last_signer_is_gone_a_role_without_keys_stays(known, repo):
    delegated(repo, {"v1": "two"}, {"v1": "one"})
    repo.delegations = {RELEASES: ([], [""], 1)}
    repo.publish({"v1": "one"})
    assert known.resolve() == digest("one")


# ---------------------------------------------------------------------------------------------------- rotation


def test_keys_that_were_rotated_meanwhile(known, repo, transport):
    for _ in range(3):
        old, repo.root_keys = repo.root_keys, [Key(GUN)]
        repo.targets_keys, repo.snapshot_key, repo.timestamp_key = [Key()], Key(kind="ed25519"), Key(kind="ed25519")
        repo.make_root(also=old)
        repo.publish({"v1": "two"})
    assert known.resolve() == digest("two")
    assert "GET 2.root.json" in transport.log
    assert "GET 3.root.json" in transport.log
    assert known.resolve() == digest("two")
    assert transport.log == ["GET timestamp.json"]


def test_a_missing_root_breaks_the_chain(known, repo):
    kept = known.kept()
    for _ in range(2):
        repo.make_root()
        repo.publish({"v1": "two"})
    del repo.files["2.root"]
    with pytest.raises(RootError, match="version 2 is missing"):
        known.resolve()
    assert known.kept() == kept


# ---------------------------------------------------------------------------------------------------- ten attacks


def hijacked():
    """A repository of the same name by somebody else."""
    return Repo().publish({"v1": "evil"})


def timestamp_badly_signed(repo, transport):
    key, repo.timestamp_key = repo.timestamp_key, Key(kind="ed25519")
    repo.stamp()
    repo.publish(again=False)
    repo.timestamp_key = key


def timestamp_expired(repo, transport):
    repo.stamp(days=-1)
    repo.publish(again=False)


def old_snapshot_under_a_new_timestamp(repo, transport):
    old = repo.current["snapshot"]
    repo.publish({"v1": "two"})
    transport.fault = lambda name, raw: old if name.startswith("snapshot") else raw


def old_targets_under_a_new_snapshot(repo, transport):
    old = repo.current["targets"]
    repo.publish({"v1": "two"})
    transport.fault = lambda name, raw: old if name.startswith("targets") else raw


def targets_changed(repo, transport):
    repo.publish({"v1": "two"})
    transport.fault = lambda name, raw: raw.replace(b"v1", b"v2") if name.startswith("targets") else raw


def targets_signed_by_nobody(repo, transport):
    repo.make_targets({"v1": "evil"}, signers=[Key()])
    repo.publish()


def endless(repo, transport):
    transport.fault = lambda name, raw: b" " * (2 << 20) if name == "timestamp" else raw


def captive_portal(repo, transport):
    transport.fault = lambda name, raw: b"<html>Log in</html>"


def server_down(repo, transport):
    transport.down = True


def server_ill(repo, transport):
    transport.fault = lambda name, raw: 503


ATTACKS = [
    timestamp_badly_signed,
    timestamp_expired,
    old_snapshot_under_a_new_timestamp,
    old_targets_under_a_new_snapshot,
    targets_changed,
    targets_signed_by_nobody,
    endless,
    captive_portal,
    server_down,
    server_ill,
]
SAID = {
    timestamp_badly_signed: "Warning: potential malicious behavior - trust data has insufficient signatures for remote"
    f" repository {GUN}: valid signatures did not meet threshold for timestamp",
    timestamp_expired: f"remote repository {GUN} out-of-date: timestamp expired at Thu Jan 14 08:00:00 UTC 2027",
    old_snapshot_under_a_new_timestamp: "sha256 checksum for snapshot did not match: expected ",
    old_targets_under_a_new_snapshot: "sha256 checksum for targets did not match: expected ",
    targets_changed: "sha256 checksum for targets did not match: expected ",
    targets_signed_by_nobody: "Warning: potential malicious behavior - trust data has insufficient signatures",
    endless: "trust server returned a bad response",
    captive_portal: "trust server returned a bad response",
    server_down: "error contacting notary server: ",
    server_ill: "unable to reach trust server at this time: 503.",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("who", ["known", "fresh"])
def test_an_attack_is_refused_and_nothing_of_it_kept(request, repo, transport, who, attack):
    client = request.getfixturevalue(who)
    kept = client.kept()
    attack(repo, transport)
    with pytest.raises((UntrustedError, TrustServerError)) as caught:
        client.resolve()
    assert caught.value.message.startswith(SAID[attack])
    assert caught.value.exit_code == 1
    assert client.kept() == kept


def test_the_control_of_all_attacks(known, fresh):
    assert known.resolve() == fresh.resolve() == digest("one")


def test_older_trust_data_than_seen_before(known, fresh, repo):
    old = dict(repo.files)
    repo.publish({"v1": "two"})
    assert known.resolve() == digest("two")
    repo.files = old
    with pytest.raises(RollbackError, match="version 1 is lower than current version 2"):
        known.resolve()
    assert fresh.resolve() == digest("one"), "who never saw the newer one cannot know"


def test_another_root_of_the_same_version(known, fresh, transport):
    transport.repos[GUN] = hijacked()
    with pytest.raises(RootError, match="another root than the trusted one, and calls it version 1 too"):
        known.resolve()
    assert fresh.resolve() == digest("evil"), "trust on first use, as docker's"


def test_another_root_of_a_higher_version(known, transport):
    other = hijacked()
    other.make_root()
    transport.repos[GUN] = other.publish({"v1": "evil"})
    with pytest.raises(RootError, match="current trusted certificates"):
        known.resolve()


def test_an_older_root(known, repo, transport):
    first = dict(repo.files)
    repo.make_root()
    repo.publish({"v1": "two"})
    known.resolve()
    repo.files = first
    with pytest.raises(RollbackError):
        known.resolve()


def test_a_repository_taken_away_from_one_who_knows_it(known, transport):
    transport.repos.clear()
    with pytest.raises(NoTrustDataError):
        known.resolve()


def test_a_root_for_another_repository(fresh, transport):
    transport.repos[GUN] = Repo(f"{HOST}/team/other").publish({"v1": "evil"})
    with pytest.raises(RootError, match="unable to retrieve valid leaf certificates"):
        fresh.resolve()


def test_a_kept_root_that_was_damaged_stops_all(known):
    path = known.folder / "trust" / "tuf" / GUN / "metadata" / "root.json"
    path.write_bytes(path.read_bytes().replace(b"2036", b"2037").replace(b"2037-01", b"2099-01"))
    path.write_bytes(signed({"_type": "Root"}, []))
    with pytest.raises(UntrustedError):
        known.resolve()


# ---------------------------------------------------------------------------------------------------- offline


def test_offline_what_was_seen_lately_may_be_enough(known, transport):
    transport.down = True
    with pytest.raises(TrustServerError) as caught:
        known.resolve()
    assert "SCOW_TRUST_MAX_OFFLINE" in caught.value.hint
    known.place["max_offline"] = 3600.0
    assert known.resolve() == digest("one")
    assert "connection refused" in known.warnings[0]


def test_offline_what_was_seen_long_ago_is_not(known, transport):
    known.place["max_offline"] = 3600.0
    path = known.folder / "trust" / "tuf" / GUN / "metadata" / "timestamp.json"
    os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    transport.down = True
    with pytest.raises(TrustServerError):
        known.resolve()


def test_offline_nothing_expired_is_believed(known, transport):
    known.place.update(max_offline=1e9, now=lambda: NOW + 15 * DAY)
    transport.down = True
    with pytest.raises((ExpiredTrustError, TrustServerError)):
        known.resolve()


def test_using_what_is_kept_does_not_make_it_younger(known, transport):
    known.place["max_offline"] = 1e9
    path = known.folder / "trust" / "tuf" / GUN / "metadata" / "timestamp.json"
    os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    before = path.stat().st_mtime
    transport.down = True
    known.resolve()
    assert path.stat().st_mtime == before


# ---------------------------------------------------------------------------------------------------- two at once


def test_what_another_process_kept_meanwhile_is_not_overwritten_by_older(known, repo, transport, tmp_path):
    slow = known.policy()

    def overtaken(name, raw):
        if name.startswith("targets"):
            transport.fault = None
            repo.publish({"v1": "three"})
            assert known.resolve() == digest("three")
        return raw

    repo.publish({"v1": "two"})
    transport.fault = overtaken
    assert slow.resolve(V1) == digest("two")
    assert known.resolve() == digest("three")
    assert transport.log == ["GET timestamp.json"]


def test_a_threshold_error_is_one_of_trust(known, repo, transport):
    timestamp_badly_signed(repo, transport)
    with pytest.raises(ThresholdError) as caught:
        known.resolve()
    assert isinstance(caught.value, UntrustedError)
