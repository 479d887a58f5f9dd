# SPDX-License-Identifier: Apache-2.0
"""Changes to what is signed, before a server that judges them, and a client that reads them."""

from __future__ import annotations

import json

import pytest

from fakes.trust import DAY, GUN, NOW, Answered, Key, Person, Repo, TrustTransport, Words, digest, introduce
from scow.errors import InvalidArgumentError
from scow.oci.reference import Reference
from scow.trust import keyfiles
from scow.trust.cache import trust_dir
from scow.trust.failures import NoSigningKeyError, NoTrustDataError, RootError, TrustServerError
from scow.trust.inspecting import signatures
from scow.trust.keystore import KeyStore
from scow.trust.metadata import RELEASES, TARGETS
from scow.trust.notary import all_released, open_server
from scow.trust.signing import Signing

V1 = Reference.parse(f"{GUN}:v1")


@pytest.fixture
def transport():
    return TrustTransport()


@pytest.fixture
def owner(tmp_path, transport):
    return Person(tmp_path / "owner", transport)


@pytest.fixture
def alice(tmp_path, transport):
    return Person(tmp_path / "alice", transport)


@pytest.fixture
def bob(tmp_path, transport):
    return Person(tmp_path / "bob", transport)


@pytest.fixture
def reader(tmp_path, transport):
    return Person(tmp_path / "reader", transport)


# ---------------------------------------------------------------------------------------------------- owners


def test_the_first_signature_makes_everything(owner, reader, transport):
    owner.sign(v1="one")
    assert reader.tags() == {"v1": digest("one")}
    assert sorted((key.role, key.gun) for key in owner.keys.held()) == [("root", ""), ("targets", GUN)]
    assert [line for line in transport.log if line.startswith("POST")] == ["POST "]
    root = json.loads(transport.repos[GUN].current["root"])["signed"]
    assert (root["version"], root["consistent_snapshot"]) == (1, False)
    assert owner.tags() == {"v1": digest("one")}


def test_the_next_one_changes_one_file(owner, reader, transport):
    owner.sign(v1="one")
    before = dict(transport.repos[GUN].current)
    owner.sign(v1="two", v2="one")
    after = transport.repos[GUN].current
    assert reader.tags() == {"v1": digest("two"), "v2": digest("one")}
    assert before["root"] == after["root"]
    assert json.loads(after["targets"])["signed"]["version"] == json.loads(before["targets"])["signed"]["version"] + 1


def test_one_root_key_for_all_repositories(owner, transport):
    owner.sign(v1="one")
    transport.repos.clear()
    other = Reference.parse(f"{GUN}-other")
    signing = Signing(
        open_server(owner.client, owner.place, other, "push"), owner.place, other.repository, owner.keys, print
    )
    signing.begin("v1")
    roles = [key.role for key in owner.keys.held()]
    assert (roles.count("root"), roles.count("targets")) == (1, 2)


def test_keys_are_unlocked_before_anything_is_sent(owner, transport):
    owner.sign(v1="one")
    owner.keys = KeyStore(trust_dir(str(owner.folder)), Words("wrong"), 10)
    transport.log.clear()
    signing = owner.signing()
    with pytest.raises(NoSigningKeyError, match="could not find necessary signing keys") as caught:
        signing.begin("v2")
    assert "password invalid" in caught.value.hint
    assert [line for line in transport.log if line.startswith("POST")] == []


def test_who_has_no_key_signs_nothing(owner, alice):
    owner.sign(v1="one")
    identity = next(key.id for key in owner.keys.held() if key.role == "targets")
    with pytest.raises(NoSigningKeyError, match=f"at least one of these keys must be available: {identity}"):
        alice.sign(v1="evil")


def test_keys_made_for_a_push_that_failed_are_used_by_the_next(owner, transport):
    owner.signing().begin("v1")
    made = sorted(key.id for key in owner.keys.held())
    owner.sign(v1="one")
    assert sorted(key.id for key in owner.keys.held()) == made


def test_what_the_server_refuses_changes_nothing(owner, transport):
    owner.sign(v1="one")
    kept = {path: path.read_bytes() for path in (owner.folder / "trust" / "tuf").rglob("*.json")}
    transport.take = lambda repo, url, headers, body: transport_answer(url, 400)
    with pytest.raises(TrustServerError):
        owner.sign(v1="two")
    assert {path: path.read_bytes() for path in (owner.folder / "trust" / "tuf").rglob("*.json")} == kept


def transport_answer(url, status):
    return Answered(url, status, b"{}")


def test_a_server_that_publishes_another_root_is_found_out(owner, transport):
    transport.take = lambda repo, url, headers, body: (
        transport.repos.update({GUN: Repo().publish({"v1": "evil"})}),
        transport_answer(url, 200),
    )[1]
    with pytest.raises(RootError, match="another root than the one that was just published"):
        owner.sign(v1="one")


def test_a_repository_whose_trust_data_is_gone_is_not_begun_anew(owner, transport):
    owner.sign(v1="one")
    transport.repos.clear()
    with pytest.raises(NoTrustDataError) as caught:
        owner.sign(v1="one")
    assert "remove" in caught.value.hint


def test_two_of_two_keys(owner, reader, transport):
    keys = [owner.keys.create("targets", GUN) for _ in range(2)]
    repo = Repo()
    repo.targets_keys, repo.threshold = [Key(private=key.inner) for key in keys], 2
    transport.repos[GUN] = repo.publish({"v1": "one"})
    owner.sign(v1="two")
    assert reader.tags() == {"v1": digest("two")}
    (owner.folder / "trust" / "private" / f"{keys[0].id}.key").unlink()
    owner.keys = KeyStore(trust_dir(str(owner.folder)), Words(), 10)
    with pytest.raises(NoSigningKeyError) as caught:
        owner.sign(v1="three")
    assert "needs 2 of them" in caught.value.hint


# ---------------------------------------------------------------------------------------------------- signers


def test_a_signer_releases(owner, alice, reader, transport):
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    alice.sign(v2="two")
    assert reader.tags() == {"v1": digest("one"), "v2": digest("two")}
    told = signatures(alice.signing().believed)
    assert [(row.tag, row.signers) for row in told.tags] == [("v1", ()), ("v2", ("alice",))]


def test_with_signers_the_owner_no_longer_signs(owner, alice):
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    with pytest.raises(NoSigningKeyError, match="no valid signing keys for delegation roles"):
        owner.sign(v1="two")


def test_a_repository_that_begins_with_a_signer(owner, alice, reader):
    signing = owner.signing()
    signing.initialize()
    signing.add_signer("alice", [alice.keys.create("alice").public])
    signing.publish()
    alice.sign(v1="one")
    assert reader.tags() == {"v1": digest("one")}


def test_two_signers_of_one_digest(owner, alice, bob, reader):
    owner.sign(v1="one")
    introduce(owner, alice=alice, bob=bob)
    alice.sign(v2="two")
    bob.sign(v2="two")
    rows = [row for row in signatures(reader.signing().believed).tags if row.tag == "v2"]
    assert rows[0].signers == ("alice", "bob")


def test_a_signer_removed(owner, alice, bob, reader):
    owner.sign(v1="one")
    introduce(owner, alice=alice, bob=bob)
    bob.sign(v2="bob's")
    alice.sign(v3="alice's")
    signing = owner.signing()
    assert (signing.is_last("alice"), signing.is_last("bob"), signing.is_last("nobody")) == (True, False, False)
    signing.remove_signer("alice")
    signing.publish()
    assert reader.tags() == {"v1": digest("one")}, "what alice released last was all that was released"
    with pytest.raises(NoSigningKeyError):
        alice.sign(v4="evil")
    bob.sign(v2="bob's")
    assert reader.tags() == {"v1": digest("one"), "v2": digest("bob's")}
    with pytest.raises(InvalidArgumentError, match="no signer alice"):
        owner.signing().remove_signer("alice")


def test_after_the_last_signer_the_owner_signs_again(owner, alice, reader):
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    alice.sign(v2="two")
    signing = owner.signing()
    signing.remove_signer("alice")
    signing.publish()
    owner.sign(v3="three")
    assert reader.tags() == {"v1": digest("one"), "v3": digest("three")}
    assert set(owner.signing().believed.targets) == {TARGETS}


def test_the_versions_of_a_delegation_go_on_after_it_was_passed_over(owner, alice, bob, transport):
    owner.sign(v1="one")
    introduce(owner, alice=alice, bob=bob)
    for text in ("a", "b", "c"):
        alice.sign(v2=text)
    before = json.loads(transport.repos[GUN].current[RELEASES])["signed"]["version"]
    signing = owner.signing()
    signing.remove_signer("alice")
    signing.publish()
    bob.sign(v2="bob's")
    assert json.loads(transport.repos[GUN].current[RELEASES])["signed"]["version"] == before + 1


# ---------------------------------------------------------------------------------------------------- revoking


def test_a_tag_revoked(owner, reader):
    owner.sign(v1="one", v2="two")
    signing = owner.signing()
    signing.revoke(["v1"])
    signing.publish()
    assert reader.tags() == {"v2": digest("two")}


def test_all_revoked_in_every_role(owner, alice, reader):
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    alice.sign(v1="two", v2="two")
    for key in list(alice.keys.held()):
        owner.keys.keep(alice.keys.unlock(key.id), key.role)
    signing = owner.signing()
    signing.revoke(all_released(signing.believed))
    signing.publish()
    assert reader.tags() == {}
    assert signatures(owner.signing().believed).tags == ()


def test_no_older_release_comes_to_light(owner, alice, reader):
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    alice.sign(v1="two")
    signing = alice.signing()
    signing.revoke(["v1"])
    with pytest.raises(NoSigningKeyError):
        signing.publish()
    assert reader.tags() == {"v1": digest("two")}


# ---------------------------------------------------------------------------------------------------- rotated meanwhile


def test_what_is_signed_already_stays_as_it_is(owner, alice, bob, transport):
    owner.sign(v1="one")
    introduce(owner, alice=alice, bob=bob)
    alice.sign(v2="two")
    before = dict(transport.repos[GUN].current)
    alice.sign(v2="two")
    bob.sign(v2="two")
    after = transport.repos[GUN].current
    assert {role: after[role] for role in (TARGETS, RELEASES, "targets/alice")} == {
        role: before[role] for role in (TARGETS, RELEASES, "targets/alice")
    }
    assert "targets/bob" in after


def test_what_will_expire_soon_is_signed_again(owner, transport):
    owner.sign(v1="one")
    before = transport.repos[GUN].current["targets"]
    owner.place = owner.place._replace(now=lambda: NOW + 2.6 * 365 * DAY)
    transport.repos[GUN].now = NOW + 2.6 * 365 * DAY
    transport.repos[GUN].publish()
    owner.sign(v1="one")
    assert transport.repos[GUN].current["targets"] != before


def test_a_signature_lasts_three_years(owner, transport):
    owner.sign(v1="one")
    expires = json.loads(transport.repos[GUN].current["targets"])["signed"]["expires"]
    from scow.base.clock import parse_time

    assert parse_time(expires) == pytest.approx(NOW + 3 * 365 * DAY)


def test_a_signer_s_key_may_be_a_certificate(owner, alice, reader):
    owner.sign(v1="one")
    key = alice.keys.create("alice")
    signing = owner.signing()
    signing.add_signer("alice", [key.certificate("alice", NOW, 1000)])
    signing.publish()
    alice.sign(v2="two")
    assert reader.tags()["v2"] == digest("two")


def test_files_are_written_as_notary_server_writes_them_again(owner, transport):
    owner.sign(v1="one")
    raw = transport.repos[GUN].current["targets"]
    value = json.loads(raw)
    assert list(value) == ["signed", "signatures"]
    assert raw == json.dumps(value, separators=(",", ":")).encode()
    assert keyfiles.ITERATIONS >= 1_300_000
