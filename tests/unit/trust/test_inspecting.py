# SPDX-License-Identifier: Apache-2.0
"""What docker 28.2.2 printed of the sample, byte for byte."""

from __future__ import annotations

from fakes.trust import GUN, NOW, Key, Repo, golden
from scow.base.clock import parse_time
from scow.cli.commands.trust import _pretty
from scow.cli.inspection import indented
from scow.trust import tuf
from scow.trust.inspecting import Signatures, SignedTag, as_json, natural, signatures
from scow.trust.metadata import RELEASES, TARGETS

SAMPLE = "localhost:5601/trustt/app"


def sample():
    now = parse_time("2026-11-24T00:00:00Z")
    folder = "app-with-delegation"
    believed = tuf.Believed(SAMPLE, tuf.first_root(golden(folder, "root.json"), SAMPLE, now), now)
    believed.load_timestamp(golden(folder, "timestamp.json"))
    believed.load_snapshot(golden(folder, "snapshot.json"))
    for name in (TARGETS, RELEASES, "targets/alice"):
        believed.load_targets(believed.role_of(name), golden(folder, f"{name}.json"))
    return believed


D1 = "cfd35b34ce051c913050de34ec980e88d8c183e905beca7a44cef40f5c5b8d22"
D2 = "30d3d8a0e9d01cdad7b9ab43d1d4aebd8c79d60e58dfffc66593fe6116734606"
ALICE = "ac8d56b200aa2910f4faed01c403904f27383636ecd975fd10a6036cf995191d"
KEYS = {
    "Root": ("9441145402511648c7650cb3ab41b4afc1d2e0fc9de3b40b1bceb4181e224b9c",),
    "Repository": ("3fb875c9da9689432544bf8ab68db8606d21c24011558d68d2cd8f3b6d592eb0",),
}
TAGS = (
    SignedTag("latest", D1, ("alice",)),
    SignedTag("v1", D1, ()),
    SignedTag("v2", D2, ("alice",)),
    SignedTag("v3", D1, ("alice",)),
)


def test_the_sample():
    told = signatures(sample())
    assert (told.signers, told.administrators) == ({"alice": (ALICE,)}, KEYS)
    assert SignedTag("v1", D1, ()) in told.tags
    assert {row.signers for row in told.tags if row.tag != "v1"} == {("alice",)}


def test_as_docker_prints_it():
    told = Signatures(TAGS, {"alice": (ALICE,)}, KEYS)
    assert _pretty(SAMPLE, told).encode() == golden("cli-output", "inspect-pretty.txt")


def test_a_tag_that_is_not_signed():
    told = Signatures((), {"alice": (ALICE,)}, KEYS)
    assert _pretty(f"{SAMPLE}:v2", told).encode() == golden("cli-output", "inspect-pretty-unsigned-tag.txt")


def test_as_json_of_docker():
    told = Signatures(TAGS[1:3], {"alice": (ALICE,)}, KEYS)
    assert indented([as_json(SAMPLE, told)]).encode() == golden("cli-output", "inspect.json")


def test_who_signed_another_digest_did_not_sign_this_one():
    repo = Repo()
    alice, bob = Key(), Key()
    repo.delegations = {
        RELEASES: ([alice], [""], 1),
        "targets/alice": ([alice], [""], 1),
        "targets/bob": ([bob], [""], 1),
    }
    repo.publish({"v1": "owner's"})
    for role, tags in ((RELEASES, {"v1": "one"}), ("targets/alice", {"v1": "one"}), ("targets/bob", {"v1": "two"})):
        repo.make_targets(tags, role)
    repo.publish()
    believed = tuf.Believed(GUN, tuf.first_root(repo.current["root"], GUN, NOW), NOW)
    believed.load_timestamp(repo.current["timestamp"])
    believed.load_snapshot(repo.current["snapshot"])
    for name in (TARGETS, *repo.delegations):
        believed.load_targets(believed.role_of(name), repo.current[name])
    told = signatures(believed)
    assert sorted(row.signers for row in told.tags) == [(), ("alice",)]
    assert told.signers == {"alice": (alice.id,), "bob": (bob.id,)}
    assert signatures(believed, "v2").tags == ()


def test_two_comes_before_ten():
    assert sorted(["v10", "v2", "a", "10", "9"], key=natural) == ["9", "10", "a", "v2", "v10"]
