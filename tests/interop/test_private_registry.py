# SPDX-License-Identifier: Apache-2.0
"""``scow registry serve`` for docker, podman, skopeo and scow: pushed by each, pulled by another, same digests."""

from __future__ import annotations

import concurrent.futures
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from fakes.busybox import until
from fakes.docker_registry import Certificates, need
from fakes.imaging import Made, engine, transfers
from fakes.peers import Docker, Podman, Scow, run
from fakes.private_registry import Client, digest_of
from fakes.registry import FakeRegistry
from scow.oci.digest import Digest
from scow.oci.reference import Reference
from scow.registry.collecting import collect
from scow.registry.storage import RegistryStore

pytestmark = [pytest.mark.interop, pytest.mark.root]
PROGRAM = os.path.join(os.path.dirname(sys.executable), "scow")


class Served:
    """The real command with these flags; ``address`` is host:port."""

    def __init__(self, root, *flags):
        self.root = str(root)
        argv = [PROGRAM, "registry", "serve", "--root", self.root, "--address", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert line.startswith("serving "), line + self.process.stderr.read()
        self.url = line.split()[-1]
        self.address = self.url.partition("://")[2]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        said = self.process.communicate()[1]
        return self.process.returncode, said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("plain") / "r") as served:
        yield served


@pytest.fixture(scope="module")
def identity(tmp_path_factory, registry):
    """An image in the registry as ``seed:v1``; its ID."""
    with FakeRegistry() as fake:
        made = Made([{"bin/x": os.urandom(300_000)}, {"etc/motd": b"hello\n"}], labels={"a": "b"})
        made.put(fake, "app", "v1")
        with transfers(engine(tmp_path_factory.mktemp("seed"))) as moving:
            record = moving.pull(f"{fake.address}/app:v1").record
            moving.push_record(record, Reference.parse(f"{registry.address}/seed:v1"))
    return record.id


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    peer = Docker(tmp_path_factory.mktemp("docker"))
    yield peer
    peer.stop()


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    peer = Podman(tmp_path_factory.mktemp("podman"))
    yield peer
    peer.stop()


@pytest.fixture(scope="module")
def scow(tmp_path_factory):
    return Scow(tmp_path_factory.mktemp("scow"))


def test_around_all_clients(registry, identity, scow, docker, podman):
    """Each pulls what the one before it pushed, and pushes it on."""
    ref = f"{registry.address}/seed:v1"
    for number, peer in enumerate((scow, docker, podman, scow)):
        peer.pull(ref)
        assert peer.identity(ref) == identity
        there = f"{registry.address}/round/{peer.name}:{number}"
        peer("tag", ref, there)
        peer.push(there)
        ref = there
    listed = scow("registry", "ls", "--root", registry.root, "--format", "{{.Name}} {{.Tags}}").splitlines()
    assert [line for line in listed if line.startswith("round/")] == [
        "round/docker 1",
        "round/podman 1",
        "round/scow 2",
    ]


def test_some_images_for_everybody(identity, registry, scow, docker, podman, tmp_path):
    need("htpasswd")
    (tmp_path / "htpasswd").write_text(run(["htpasswd", "-nbBC", "5", "alice", "s3cret"], dict(os.environ)) + "\n")
    (tmp_path / "rules").write_text("anonymous public/* pull\nalice * push\n")
    with Served(
        tmp_path / "r", "--htpasswd", str(tmp_path / "htpasswd"), "--access", str(tmp_path / "rules")
    ) as served:
        seed, public, own = (
            f"{registry.address}/seed:v1",
            *(f"{served.address}/{n}/app:v1" for n in ("public", "own")),
        )
        docker.pull(seed)
        docker("login", "-u", "alice", "-p", "s3cret", served.address)
        for ref in (public, own):
            docker("tag", seed, ref)
            docker.push(ref)
            docker("rmi", ref)
        docker("logout", served.address)
        for peer in (scow, docker, podman):
            peer.pull(public)
            assert peer.identity(public) == identity
            with pytest.raises(AssertionError, match=r"(?i)unauthorized|account is needed|denied"):
                peer.pull(own)
        scow("login", "-u", "alice", "-p", "s3cret", served.address)
        scow.pull(own)


def test_what_docker_pushes_again_has_the_same_digest(registry, identity, docker):
    seed, again = f"{registry.address}/seed:v1", f"{registry.address}/again/by/docker:v1"
    docker.pull(seed)
    docker("tag", seed, again)
    first = docker("push", again).split("digest: ")[1].split()[0]
    docker("rmi", again)
    docker.pull(again)
    digests = json.loads(docker("inspect", again))[0]["RepoDigests"]
    assert f"{registry.address}/again/by/docker@{first}" in digests


def test_docker_search(registry, identity, scow, docker):
    scow.pull(f"{registry.address}/seed:v1")
    for name in ("library/websearch", "team/websearch"):
        scow("tag", f"{registry.address}/seed:v1", f"{registry.address}/{name}:v1")
        scow.push(f"{registry.address}/{name}:v1")
    shape = ("search", "--format", "{{.Name}} {{.IsOfficial}}", f"{registry.address}/websearch")
    assert sorted(docker(*shape).split()) == ["[OK]", "library/websearch", "team/websearch"]
    assert docker(*shape[:1], "--filter", "is-official=true", *shape[1:]) == "library/websearch [OK]"
    assert scow(*shape[:1], "--filter", "is-official=true", *shape[1:]) == "websearch [OK]"


def test_skopeo_copies_all_digests_as_they_are(registry, identity, tmp_path):
    need("skopeo")
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    seed, copied = f"docker://{registry.address}/seed:v1", f"docker://{registry.address}/by/skopeo:v1"
    run(["skopeo", "copy", "-q", *plain, seed, f"oci:{tmp_path}/layout:x"], dict(os.environ))
    run(["skopeo", "copy", "-q", *plain, f"oci:{tmp_path}/layout:x", copied], dict(os.environ))
    look = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
    assert run([*look, copied], dict(os.environ)) == run([*look, seed], dict(os.environ))
    tags = json.loads(run(["skopeo", "list-tags", "--tls-verify=false", copied[:-3]], dict(os.environ)))
    assert tags["Tags"] == ["v1"]


def test_accounts_over_tls(identity, registry, scow, docker, tmp_path):
    need("htpasswd")
    certificates = Certificates(tmp_path / "tls")
    (tmp_path / "htpasswd").write_text(run(["htpasswd", "-nbBC", "5", "alice", "s3cret"], dict(os.environ)) + "\n")
    flags = ("--tls-cert", certificates.certificate, "--tls-key", certificates.key)
    (tmp_path / "rules").write_text("alice team/* push\n")
    flags += ("--htpasswd", str(tmp_path / "htpasswd"), "--access", str(tmp_path / "rules"))
    with Served(tmp_path / "r", *flags) as served:
        assert served.url.startswith("https://")
        seed, ref = f"{registry.address}/seed:v1", f"{served.address}/team/app:v1"
        for peer in (docker, scow):
            peer.pull(seed)
            peer("tag", seed, ref)
            with pytest.raises(AssertionError, match=r"no basic auth credentials|authentication|unauthorized"):
                peer.push(ref)
            with pytest.raises(AssertionError, match=r"401|unauthorized"):
                peer("login", "-u", "alice", "-p", "wrong", served.address)
            peer("login", "-u", "alice", "-p", "s3cret", served.address)
            peer.push(ref)
            peer("rmi", ref)
            peer.pull(ref)
            peer("tag", ref, f"{served.address}/other/app:v1")
            with pytest.raises(AssertionError, match=r"denied: alice may not|answered 403"):
                peer.push(f"{served.address}/other/app:v1")
            peer("logout", served.address)


def test_killed_while_it_is_pushed_to(tmp_path):
    """What was acknowledged is there and whole; what was not is there whole or not at all."""
    acknowledged = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for run_number in range(5):
            with Served(tmp_path / "r") as served:
                killed = threading.Event()
                pushers = [
                    pool.submit(push_on, served.address, f"r{run_number}/{lane}", acknowledged, killed)
                    for lane in range(3)
                ]
                enough = len(acknowledged) + 5
                until(lambda enough=enough: len(acknowledged) >= enough)
                killed.set()
                served.process.kill()
                for pusher in pushers:
                    pusher.result()
            assert len(acknowledged) >= enough
    store = RegistryStore(str(tmp_path / "r"))
    assert all(store.metadata.manifest(name, tag).digest == digest for name, tag, digest in acknowledged)
    for kept in (False, True):
        for name in store.metadata.repositories("", 1000):
            for _, manifest in store.metadata.tagged(name):
                document = json.loads(store.content.read(manifest.digest))
                for part in (document["config"], *document["layers"]):
                    assert len(store.content.read(Digest(part["digest"]))) == part["size"]
        if not kept:
            collect(store, age=0)
    assert store.content.strays() == []
    assert store.db.check() == []


def push_on(address, name, acknowledged, killed):
    """Push images until the server is killed."""
    client = Client(address)
    try:
        for number in itertools.count():
            raw = client.push_image(name, f"v{number}", os.urandom(200_000))
            acknowledged.append((name, f"v{number}", digest_of(raw)))
    except (OSError, http.client.HTTPException):
        if not killed.is_set():
            raise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(tmp_path, number):
    with Served(tmp_path / "r") as served:
        assert served.end(number) == (0, "")
