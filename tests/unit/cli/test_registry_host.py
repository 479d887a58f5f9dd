# SPDX-License-Identifier: Apache-2.0
"""``scow registry``: what is listed and freed, and what is said before a server begins."""

from __future__ import annotations

import json
import os
import sys

import pytest

from fakes.private_registry import CONFIG, MANIFEST, descriptor, digest_of
from scow.cli.main import main
from scow.oci.digest import sha256_digest
from scow.registry.metadata import NewManifest
from scow.registry.storage import RegistryStore


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SCOW_", "DOCKER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SCOW_ROOT", str(tmp_path / "store"))
    return tmp_path / "store" / "registry"


@pytest.fixture
def filled(root):
    store = RegistryStore(str(root))
    with store.leases.hold("test") as lease:
        for data in (b"{}", b"x" * 1498):
            store.metadata.link_blob("team/app", store.content.put(data, lease), 1e9)
    raw = json.dumps({"config": descriptor(b"{}", CONFIG)}).encode()
    new = NewManifest(sha256_digest(raw), MANIFEST, 500, [sha256_digest(b"{}")], description="An app")
    store.store_manifest("team/app", raw, new, ["1.0", "latest"], sparse=False)
    return sha256_digest(raw)


def scow(capsys, *argv, status=0):
    found = main(["registry", *argv])
    out, err = capsys.readouterr()
    assert found == status, out + err
    return out, err


def test_listing_repositories(filled, capsys):
    out, _ = scow(capsys, "ls")
    head, row = out.splitlines()
    assert head.split() == ["REPOSITORY", "TAGS", "MANIFESTS", "SIZE", "PUSHED"]
    assert row.split()[:4] == ["team/app", "2", "1", "2kB"]
    found = json.loads(scow(capsys, "ls", "--format", "json")[0])
    assert (found["Name"], found["Pulls"], found["Description"]) == ("team/app", "0", "An app")
    assert scow(capsys, "ls", "-q")[0] == "team/app\n"


def test_listing_tags(filled, capsys):
    out, _ = scow(capsys, "ls", "team/app")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        [tag, filled[:19], MANIFEST] for tag in ("1.0", "latest")
    ]
    assert (
        scow(capsys, "ls", "--format", "{{.Tag}} {{.Digest}}", "--no-trunc", "team/app")[0].splitlines()[0]
        == f"1.0 {filled}"
    )
    assert "no repository 'other'" in scow(capsys, "ls", "other", status=1)[1]


def test_freeing(filled, capsys):
    unused = digest_of(b"x" * 1498)
    assert scow(capsys, "gc", "--dry-run")[0] == f"would be freed: {unused}\nTotal reclaimable space: 1.498kB\n"
    assert scow(capsys, "gc")[0] == f"freed: {unused}\nTotal reclaimed space: 1.498kB\n"
    assert scow(capsys, "gc")[0] == "Total reclaimed space: 0B\n"
    store = RegistryStore(os.environ["SCOW_ROOT"] + "/registry")
    store.metadata.delete_tag("team/app", "1.0")
    store.metadata.delete_tag("team/app", "latest")
    assert scow(capsys, "gc", "--untagged")[0] == "Total reclaimed space: 0B\n"
    out, _ = scow(capsys, "gc", "--untagged", "--older-than", "0s")
    assert f"deleted: team/app@{filled}\n" in out
    assert scow(capsys, "ls", "-q")[0] == ""


def test_thinning_out_tags(filled, capsys):
    assert "Give --keep" in scow(capsys, "prune", status=1)[1]
    assert scow(capsys, "prune", "--keep", "1", "--dry-run")[0] == "would be untagged: team/app:1.0\n"
    assert scow(capsys, "prune", "-f", "--keep", "1", "other/*")[0] == ""
    assert scow(capsys, "prune", "-f", "--older-than", "1h")[0] == ""
    assert scow(capsys, "prune", "-f", "--keep", "0", "--spare", "lat*")[0] == "untagged: team/app:1.0\n"
    assert scow(capsys, "ls", "-q", "team/app")[0] == "latest\n"


def test_looking_makes_no_registry(root, capsys):
    for words in (["ls"], ["gc"], ["prune", "--keep", "1"], ["ls", "--root", str(root / "other")]):
        _, err = scow(capsys, *words, status=1)
        assert "there is no registry in" in err
    assert not root.exists()


def test_what_cannot_be_served(root, capsys, monkeypatch, tmp_path):
    assert "--tls-key needs --tls-cert" in scow(capsys, "serve", "--tls-key", "x", status=1)[1]
    assert "--access needs --htpasswd" in scow(capsys, "serve", "--access", "x", status=1)[1]
    assert "'nowhere' is not an address" in scow(capsys, "serve", "--address", "nowhere", status=1)[1]
    (tmp_path / "accounts").write_text("alice:plain\n")
    assert "line 1" in scow(capsys, "serve", "--htpasswd", str(tmp_path / "accounts"), status=1)[1]
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "scow.registry.server", raising=False)
    _, err = scow(capsys, "serve", status=1)
    assert "the Python package aiohttp is missing" in err
    assert "pip install aiohttp bcrypt" in err


def test_warnings_about_who_can_reach_it(root, capsys, monkeypatch):
    from scow.registry import server

    monkeypatch.setattr(server.Server, "run", lambda self, ready: ready("http://x"))
    assert "WARNING" not in scow(capsys, "serve")[1]
    assert "can push" in scow(capsys, "serve", "--address", ":5000")[1]
    assert "WARNING" not in scow(capsys, "serve", "--address", ":5000", "--read-only")[1]
    assert f"serving {root} at http://x" in scow(capsys, "serve")[1]
