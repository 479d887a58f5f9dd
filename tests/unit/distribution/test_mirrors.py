# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.distribution.mirrors import BlockedRegistryError, Hosts
from scow.errors import InvalidArgumentError
from scow.oci.digest import Digest
from scow.oci.reference import Reference

DIGEST = Digest("sha256:" + "a" * 64)
CONF = """
unqualified-search-registries = ["example.org"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.local:5000/hub"
insecure = true
[[registry.mirror]]
location = "tags.local"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "old.example/team"
location = "new.example/moved"
[[registry]]
prefix = "old.example/team/special"
location = "special.example/x"
mirror-by-digest-only = true
[[registry.mirror]]
location = "digests.example"
[[registry]]
location = "blocked.example"
blocked = true
[[registry]]
location = "plain.example:5000"
insecure = true
[[registry]]
prefix = "*.wild.example"
insecure = true
"""


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return Hosts([str(path)])


def where(hosts, name, **kwargs):
    return [(e.host, e.path) for e in hosts.endpoints(Reference.parse(name), **kwargs)]


def test_mirrors_of_a_registry_come_first_and_are_never_pushed_to(hosts):
    hub = ("registry-1.docker.io", "library/alpine")
    assert where(hosts, "alpine:3") == [
        ("mirror.local:5000", "hub/library/alpine"),
        ("tags.local", "library/alpine"),
        hub,
    ]
    assert where(hosts, f"alpine@{DIGEST}") == [("mirror.local:5000", "hub/library/alpine"), hub]
    assert where(hosts, "alpine:3", push=True) == [hub]
    first, *_, last = hosts.endpoints(Reference.parse("alpine:3"))
    assert (first.mirror, first.insecure, first.scheme) == (True, True, "")
    assert (last.mirror, last.insecure, last.scheme) == (False, False, "https")


def test_the_longest_prefix_decides(hosts):
    assert where(hosts, "old.example/team/app:1") == [("new.example", "moved/app")]
    assert where(hosts, "old.example/team/special/app:1") == [("special.example", "x/app")]
    assert where(hosts, f"old.example/team/special/app@{DIGEST}")[0] == ("digests.example", "app")
    assert where(hosts, "old.example/teams/app:1") == [("old.example", "teams/app")]


def test_blocked_and_insecure(hosts):
    with pytest.raises(BlockedRegistryError):
        hosts.endpoints(Reference.parse("blocked.example/app"))
    assert hosts.endpoints(Reference.parse("plain.example:5000/app"))[0].insecure
    assert hosts.endpoints(Reference.parse("a.wild.example/app"))[0].insecure
    assert not hosts.endpoints(Reference.parse("wild.example/app"))[0].insecure


def test_a_prefix_with_a_wildcard_keeps_the_rest_of_the_name(tmp_path):
    path = tmp_path / "registries.conf"
    path.write_text(
        """
[[registry]]
prefix = "*.wild.example"
location = "one.example/base"
[[registry.mirror]]
location = "near.example/copy"
[[registry]]
prefix = "*.port.example"
location = "two.example"
"""
    )
    hosts = Hosts([str(path)])
    expected = [("near.example", "copy/team/app"), ("one.example", "base/team/app")]
    assert where(hosts, "a.b.wild.example/team/app:1") == expected
    assert where(hosts, "a.port.example:5000/team/app:1") == [("two.example:5000", "team/app")]
    assert where(hosts, "a.wild.example.org/app:1") == [("a.wild.example.org", "app")]
    assert where(hosts, "other.example/x.wild.example/app:1") == [("other.example", "x.wild.example/app")]


def test_what_is_asked_of_a_registry_itself_obeys_the_same_rules(hosts):
    assert hosts.endpoint("plain.example:5000").insecure
    assert hosts.endpoint("a.wild.example").insecure
    assert not hosts.endpoint("example.org").insecure
    assert hosts.endpoint("old.example").host == "old.example"
    with pytest.raises(BlockedRegistryError, match=r"blocked\.example"):
        hosts.endpoint("blocked.example")


def test_this_machine_is_always_insecure():
    hosts = Hosts()
    for name in ("localhost:5000/a", "localhost/a", "127.0.0.1:5000/a", "127.9.9.9/a", "[::1]:5000/a"):
        endpoint = hosts.endpoints(Reference.parse(name))[0]
        assert (endpoint.scheme, endpoint.insecure) == ("", True), name
    assert hosts.endpoints(Reference.parse("192.168.0.1:5000/a"))[0].scheme == "https"


def test_the_command_may_allow_everything():
    assert Hosts(insecure=["*"]).endpoints(Reference.parse("example.org/a"))[0].insecure


def test_dockers_file(tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text(
        json.dumps(
            {
                "registry-mirrors": ["https://m1.example", "http://m2.example:5000/cache/"],
                "insecure-registries": ["10.0.0.0/8", "plain.example:5000"],
            }
        )
    )
    hosts = Hosts(daemon_json=str(path))
    assert [(e.scheme, e.host, e.root) for e in hosts.endpoints(Reference.parse("alpine"))] == [
        ("https", "m1.example", ""),
        ("http", "m2.example:5000", "/cache"),
        ("https", "registry-1.docker.io", ""),
    ]
    assert len(hosts.endpoints(Reference.parse("ghcr.io/a/b"))) == 1
    assert hosts.is_insecure("10.3.4.5:5000")
    assert hosts.is_insecure("plain.example:5000")
    assert not hosts.is_insecure("plain.example:5001")


def test_containerds_files(tmp_path):
    folder = tmp_path / "certs.d" / "docker.io"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(
        """
server = "https://registry-1.docker.io"
[host."https://mirror.example"]
capabilities = ["pull", "resolve"]
[host."http://push-only.example"]
capabilities = ["push"]
[host."https://prefix.example/v2/hub"]
override_path = true
skip_verify = true
"""
    )
    hosts = Hosts(hosts_dirs=[str(tmp_path / "certs.d")])
    first, second, last = hosts.endpoints(Reference.parse("alpine"))
    assert (first.host, first.namespace, first.insecure) == ("mirror.example", "docker.io", False)
    assert (second.host, second.root, second.insecure) == ("prefix.example", "/v2/hub", True)
    assert not last.mirror


@pytest.mark.parametrize("text", ["[[registry", "[[registry]]\nlocation = 5\nprefix = "])
def test_a_file_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "registries.conf"
    path.write_text(text)
    with pytest.raises(InvalidArgumentError, match=r"registries\.conf"):
        Hosts([str(path)]).endpoints(Reference.parse("alpine"))


def test_files_that_are_not_there_do_not_matter(tmp_path):
    hosts = Hosts([str(tmp_path / "a"), str(tmp_path)], [str(tmp_path / "b")], str(tmp_path / "c"))
    assert len(hosts.endpoints(Reference.parse("alpine"))) == 1
