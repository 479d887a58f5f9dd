# SPDX-License-Identifier: Apache-2.0
"""The registry as a notary server, before people who sign and before one who must not."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest

from fakes.trust import DAY, GUN, NOW, Answered, Key, Person, Repo, digest, introduce, signed, stamp
from scow.registry import notary
from scow.registry.notary import Notary
from scow.registry.protocol import RefusedError, Request, refusal
from scow.registry.storage import RegistryStore
from scow.trust.inspecting import signatures
from scow.trust.metadata import RELEASES

BASE = f"/v2/{GUN}/_trust/tuf/"


class Host:
    """A registry, as the network sees it."""

    def __init__(self, folder):
        self.now = NOW
        self.notary = Notary(RegistryStore(str(folder)).db, lambda: self.now)
        self.log = []

    def close(self):
        pass

    def send(self, method, url, *, headers, body=None, redirects=True):
        path = unquote(urlsplit(url).path)
        raw = body.open().read() if body is not None else b""
        self.log.append(f"{method} {path.rpartition('/_trust/tuf/')[2]}")
        try:
            answer = self.ask(method, path, raw, **headers)
        except RefusedError as error:
            answer = refusal(error)
        return Answered(url, answer.status, answer.body, answer.headers)

    def ask(self, method, path, raw=b"", **headers):
        return self.notary.answer(Request(method, path, {}, headers), path.partition("/_trust/tuf/")[2], raw)

    def get(self, name):
        return self.ask("GET", f"{BASE}{name}").body

    def post(self, **files):
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="files"; filename="{role}"\r\n\r\n'.encode() + raw + b"\r\n"
            for role, raw in files.items()
        ]
        return self.ask(
            "POST", BASE, b"".join(parts) + b"--b--\r\n", **{"Content-Type": "multipart/form-data; boundary=b"}
        )

    def refuses(self, why, **files):
        before = {name: self.found(name) for name in ("root", "targets", "snapshot", "timestamp")}
        with pytest.raises(RefusedError, match=why) as caught:
            self.post(**files)
        assert caught.value.http_status == 400
        assert {name: self.found(name) for name in before} == before, "whole or not at all"

    def found(self, name):
        try:
            return self.get(f"{name}.json")
        except RefusedError as error:
            assert error.http_status == 404
            return None

    def repo(self, **tags):
        """A repository whose owner has every key but the registry's, published."""
        repo = Repo()
        for role in ("snapshot", "timestamp"):
            key = Key(kind="ed25519")
            key.members = json.loads(self.get(f"{role}.key"))
            key.id = hashed(key.members)
            setattr(repo, f"{role}_key", key)
        repo.make_root()
        repo.make_targets(tags)
        self.post(root=repo.current["root"], targets=repo.current["targets"])
        return repo


def hashed(members):
    import hashlib

    from fakes.trust import canonical

    return hashlib.sha256(canonical(members)).hexdigest()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "registry")


@pytest.fixture
def people(tmp_path, host):
    return [Person(tmp_path / name, host) for name in ("owner", "alice", "bob", "reader")]


def version(raw):
    return json.loads(raw)["signed"]["version"]


def test_people_sign_and_read(people, host):
    owner, alice, bob, reader = people
    owner.sign(v1="one")
    assert reader.tags() == {"v1": digest("one")}
    introduce(owner, alice=alice, bob=bob)
    alice.sign(v2="two")
    bob.sign(v2="two")
    assert reader.tags() == {"v1": digest("one"), "v2": digest("two")}
    assert [row.signers for row in signatures(reader.signing().believed).tags] == [(), ("alice", "bob")]
    host.log.clear()
    reader.tags()
    assert host.log == ["GET timestamp.json"]


def test_a_signer_removed_and_another_that_comes(people, host):
    owner, alice, bob, reader = people
    owner.sign(v1="one")
    introduce(owner, alice=alice)
    for text in ("a", "b"):
        alice.sign(v2=text)
    signing = owner.signing()
    signing.remove_signer("alice")
    signing.publish()
    assert set(json.loads(host.get("snapshot.json"))["signed"]["meta"]) == {"root", "targets"}
    assert reader.tags() == {"v1": digest("one")}
    introduce(owner, bob=bob)
    bob.sign(v3="three")
    assert reader.tags() == {"v1": digest("one"), "v3": digest("three")}


def test_the_same_once_more_makes_a_new_timestamp(host):
    repo = host.repo(v1="one")
    before = version(host.get("timestamp.json"))
    host.post()
    host.post(root=repo.current["root"], targets=repo.current["targets"])
    assert version(host.get("timestamp.json")) == before + 2
    assert version(host.get("targets.json")) == 1
    empty = b"\r\n--b--\r\n"  # as Go writes a form without files
    assert host.ask("POST", BASE, empty, **{"Content-Type": "multipart/form-data; boundary=b"}).status == 200


def test_files_by_hash_and_roots_by_number(host):
    repo = host.repo(v1="one")
    first = host.get("targets.json")
    listed = json.loads(host.get("snapshot.json"))["signed"]["meta"]["targets"]["hashes"]["sha256"]
    import base64

    name = f"targets.{base64.b64decode(listed).hex()}.json"
    repo.make_targets({"v1": "two"})
    repo.make_root()
    host.post(root=repo.current["root"], targets=repo.current["targets"])
    assert host.get(name) == first
    assert version(host.get("1.root.json")) == 1
    assert host.get("2.root.json") == host.get("root.json") == repo.current["root"]


@pytest.mark.parametrize(
    "name",
    [
        "root",
        "3.root.json",
        "targets/x.json",
        f"targets.{'0' * 64}.json",
        "..json",
        "private.json",
        "x.key",
        "root.key",
    ],
)
def test_what_there_is_not(host, name):
    host.repo(v1="one")
    with pytest.raises(RefusedError) as caught:
        host.get(name)
    assert (caught.value.http_status, caught.value.wire) == (404, "METADATA_NOT_FOUND")


def test_the_registry_s_keys_stay_the_same_and_differ_between_repositories(host):
    assert host.get("snapshot.key") == host.get("snapshot.key") != host.get("timestamp.key")
    other = host.ask("GET", f"/v2/{GUN}-other/_trust/tuf/snapshot.key").body
    assert host.get("snapshot.key") != other


def test_a_timestamp_is_renewed_before_it_expires(host, people):
    host.repo(v1="one")
    before = version(host.get("timestamp.json"))
    host.now += 6 * DAY
    assert version(host.get("timestamp.json")) == before
    host.now += 2 * DAY
    assert version(host.get("timestamp.json")) == version(host.get("timestamp.json")) == before + 1
    host.now += 600 * DAY
    assert version(host.get("timestamp.json")) == before + 2
    assert version(host.get("snapshot.json")) == 2
    reader = people[3]
    reader.place = reader.place._replace(now=lambda: host.now)
    assert reader.tags() == {"v1": digest("one")}


def test_the_last_versions_are_kept(host):
    repo = host.repo(v1="one")
    for text in range(15):
        repo.make_targets({"v1": str(text)})
        host.post(targets=repo.current["targets"])
    with pytest.raises(RefusedError):
        host.get("3.targets.json")
    assert version(host.get("10.targets.json")) == 10


def test_deleting_takes_all_of_it(host):
    host.repo(v1="one")
    key = host.get("snapshot.key")
    assert host.ask("DELETE", BASE).status == 200
    assert host.found("root") is None
    assert host.get("snapshot.key") != key


# ---------------------------------------------------------------------------------------------------- what is refused


def test_the_first_upload_is_whole(host):
    repo = Repo()
    repo.make_root()
    repo.make_targets({"v1": "one"})
    host.refuses("there is no root file", targets=repo.current["targets"])
    host.refuses("there is no root file")
    host.refuses("snapshot key must be the registry's own", root=repo.current["root"], targets=repo.current["targets"])


def test_a_root_alone_is_not_enough(host):
    good = host.repo(v1="one")
    host.ask("DELETE", BASE)
    for role in ("snapshot", "timestamp"):
        members = json.loads(host.get(f"{role}.key"))
        key = getattr(good, f"{role}_key")
        key.members, key.id = members, hashed(members)
    good.versions["root"] = 0
    good.make_root()
    host.refuses("there is no targets file", root=good.current["root"])


def test_only_the_owner_publishes(host):
    repo = host.repo(v1="one")
    thief = Key()
    repo.make_targets({"v1": "evil"}, signers=[thief])
    host.refuses("valid signatures did not meet threshold for targets", targets=repo.current["targets"])
    repo.root_keys = [Key(GUN)]
    repo.make_root()
    host.refuses("current trusted certificates", root=repo.current["root"])


def test_a_root_for_another_name_is_refused(host):
    repo = Repo(f"{GUN}-other")
    repo.make_root()
    repo.make_targets({"v1": "one"})
    host.refuses("leaf certificates", root=repo.current["root"], targets=repo.current["targets"])


def test_versions_only_grow(host):
    repo = host.repo(v1="one")
    old = repo.current["targets"]
    repo.make_targets({"v1": "two"})
    host.post(targets=repo.current["targets"])
    host.refuses("no newer", targets=old)
    repo.versions["targets"] = 1
    repo.make_targets({"v1": "three"})
    host.refuses("no newer", targets=repo.current["targets"])
    repo.make_root()
    repo.make_root()
    host.refuses("does not follow", root=repo.current["root"])


def test_keys_may_be_rotated(host, people):
    reader = people[3]
    repo = host.repo(v1="one")
    assert reader.tags() == {"v1": digest("one")}
    old, repo.root_keys, repo.targets_keys = repo.root_keys, [Key(GUN)], [Key()]
    repo.make_root(also=old)
    host.refuses("threshold for targets", root=repo.current["root"])
    repo.make_targets({"v1": "two"})
    host.post(root=repo.current["root"], targets=repo.current["targets"])
    assert reader.tags() == {"v1": digest("two")}


def test_only_delegated_roles_may_be_uploaded(host):
    repo = host.repo(v1="one")
    repo.delegations = {RELEASES: ([Key()], [""], 1)}
    repo.make_targets({"v2": "two"}, RELEASES)
    host.refuses("nobody has delegated", **{RELEASES: repo.current[RELEASES]})
    repo.make_targets({"v1": "one"})
    host.post(targets=repo.current["targets"], **{RELEASES: repo.current[RELEASES]})
    repo.make_targets({"v2": "evil"}, RELEASES, signers=[Key()])
    host.refuses("threshold for targets/releases", **{RELEASES: repo.current[RELEASES]})


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets/../x", "../../x", "config"])
def test_no_other_role_is_taken(host, role):
    host.repo(v1="one")
    raw = signed({"_type": "Timestamp", "version": 9, "expires": stamp(NOW + DAY), "meta": {}}, [])
    host.refuses("not a role that clients sign", **{role: raw})


@pytest.mark.parametrize("raw", [b"", b"{}", b"<html>", b"[" * 10_000])
def test_what_is_no_trust_data(host, raw):
    host.repo(v1="one")
    host.refuses("targets", targets=raw)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", b""),
        ("application/json", b"{}"),
        ("multipart/form-data", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"x\r\n--b--\r\n"),
    ],
)
def test_what_is_no_upload(host, kind, body):
    with pytest.raises(RefusedError, match="not a form with files"):
        host.ask("POST", BASE, body, **{"Content-Type": kind})


def test_a_role_that_is_delegated_to_again_and_again_is_looked_at_once(host, monkeypatch):
    repo = host.repo(v1="one")
    value = repo.common("Targets", "targets", 100) | {"targets": {}}
    alice = {"name": "targets/alice", "paths": [""], **repo.role(repo.targets_keys)}
    keys = {key.id: key.members for key in repo.targets_keys}
    value["delegations"] = {"keys": keys, "roles": [alice] * 500}
    targets = signed(value, repo.targets_keys)
    empty = repo.common("Targets", "targets/alice", 100) | {"targets": {}, "delegations": {"keys": {}, "roles": []}}
    read, looks = notary.decode_targets, []
    monkeypatch.setattr(notary, "decode_targets", lambda raw, role: looks.append(role) or read(raw, role))
    host.post(targets=targets, **{"targets/alice": signed(empty, repo.targets_keys)})
    assert looks == ["targets", "targets/alice"]
