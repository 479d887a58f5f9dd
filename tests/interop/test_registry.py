# SPDX-License-Identifier: Apache-2.0
"""Against Debian's docker-registry: plain, TLS with an authority of our own, htpasswd, and a token server."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import stat

import pytest

from fakes.docker_registry import Certificates, DockerRegistry, TokenServer, Tunnels
from fakes.imaging import Made, digest_of, engine, index, transfers
from fakes.registry import FakeRegistry
from scow.distribution.client import ClientOptions
from scow.errors import DeniedError, NotFoundError, ScowError, UnauthenticatedError, UnavailableError
from scow.images.copying import copy
from scow.images.remote import delete_remote, inspect_remote, list_tags
from scow.oci.reference import Reference

pytestmark = pytest.mark.interop
USERS = {"alice": "s3cret"}
BIG = {"big": os.urandom(3_000_000)}


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


@pytest.fixture
def image(tmp_path):
    """An image in a store, known as ``source`` there."""
    with FakeRegistry() as fake:
        made = Made([{"etc/name": b"x"}, BIG, {"a": b"1"}])
        digest = made.put(fake, "app", "v1")
        origin = engine(tmp_path / "origin")
        with transfers(origin) as moving:
            record = moving.pull(f"{fake.address}/app:v1").record
    return origin, record, digest


def there_and_back(image, store, address, options=None, name="team/app"):
    origin, record, digest = image
    with transfers(origin, options=options) as moving:
        assert moving.push_record(record, Reference.parse(f"{address}/{name}:v1")).digest == digest
        again = moving.push_record(record, Reference.parse(f"{address}/{name}:v2"))
        assert (again.digest, again.sent) == (digest, 0)
    with transfers(store, options=options) as moving:
        pulled = moving.pull(f"{address}/{name}:v1")
        assert (pulled.digest, pulled.record.id) == (digest, record.id)
        assert moving.tags(f"{address}/{name}") == ["v1", "v2"]


def test_plain(image, store, tmp_path):
    with DockerRegistry(tmp_path / "r") as registry:
        there_and_back(image, store, registry.address)
        with transfers(store) as moving:
            found = inspect_remote(moving, f"{registry.address}/team/app:v1")
            assert found["Id"] == image[1].id
            (first, second) = list_tags(moving, f"{registry.address}/team/app", details=True)
            assert first.digest == second.digest == image[2]
            assert [hit.name for hit in moving.search(f"{registry.address}/ap")] == ["team/app"]
            with pytest.raises(NotFoundError):
                moving.pull(f"{registry.address}/team/app:v3")
            with pytest.raises(ScowError) as caught:
                delete_remote(moving, f"{registry.address}/team/app:v1")
            assert image[2] in caught.value.hint
            delete_remote(moving, f"{registry.address}/team/app@{image[2]}")
            assert moving.tags(f"{registry.address}/team/app") == []


def test_blobs_are_mounted_from_a_neighbour(image, store, tmp_path):
    with DockerRegistry(tmp_path / "r") as registry:
        origin, record, digest = image
        events = []
        with transfers(origin, events.append) as moving:
            moving.push_record(record, Reference.parse(f"{registry.address}/one:v1"))
            events.clear()
            assert moving.push_record(record, Reference.parse(f"{registry.address}/two:v1")).digest == digest
        assert {event.status for event in events} == {"Preparing", "Mounted from one"}


def test_everything_of_an_index_is_copied(tmp_path):
    with FakeRegistry() as fake, DockerRegistry(tmp_path / "r") as registry:
        amd, arm = Made([{"a": b"amd"}]), Made([{"a": b"arm"}], arch="arm64")
        digest = index(
            fake,
            "app",
            "v1",
            [(amd, {"os": "linux", "architecture": "amd64"}), (arm, {"os": "linux", "architecture": "arm64"})],
        )
        with transfers(engine(tmp_path / "s")) as moving:
            source = moving.client.repository(Reference.parse(f"{fake.address}/app"))
            target = moving.client.repository(Reference.parse(f"{registry.address}/app"), push=True)
            done = copy(source, "v1", target, "v1")
            assert done.descriptor.digest == digest
            assert target.resolve("v1").digest == digest
            assert target.manifest(digest_of(arm.raw)).raw == arm.raw


def test_tls_with_an_authority_of_our_own(image, store, tmp_path):
    certificates = Certificates(tmp_path / "tls")
    with DockerRegistry(tmp_path / "r", tls=certificates) as registry:
        there_and_back(image, store, registry.address, ClientOptions(ca=certificates.ca), "by/ca")
        there_and_back(image, engine(tmp_path / "s2"), registry.address, ClientOptions(insecure=True), "by/insecure")
        # loopback needs no certificate, as with docker
        there_and_back(image, engine(tmp_path / "s3"), registry.address, name="by/loopback")
        folder = tmp_path / "s4" / ".docker" / "certs.d" / registry.address
        folder.mkdir(parents=True)
        shutil.copy(certificates.ca, folder / "ca.crt")
        there_and_back(image, engine(tmp_path / "s4"), registry.address, name="by/certs.d")


def test_a_foreign_authority_is_refused(store, tmp_path):
    certificates, other = Certificates(tmp_path / "tls"), Certificates(tmp_path / "other")
    with DockerRegistry(tmp_path / "r", tls=certificates) as registry:
        with transfers(store, options=ClientOptions(ca=other.ca)) as moving, pytest.raises(UnavailableError) as caught:
            moving.pull(f"{registry.address}/x:1")
        assert "certificate" in str(caught.value).lower()


def test_tls_through_a_proxy_with_a_password(image, store, tmp_path):
    certificates = Certificates(tmp_path / "tls")
    ca = ClientOptions(ca=certificates.ca)
    with DockerRegistry(tmp_path / "r", tls=certificates) as registry:
        there_and_back(image, store, registry.address, ca)
        host, port = registry.address.split(":")
        with Tunnels(host, int(port), "carl:pw") as proxy:
            behind = engine(tmp_path / "s1", HTTPS_PROXY=proxy.url, no_proxy="other.example")
            with transfers(behind, options=ca) as moving:
                assert moving.pull("registry.example/team/app:v1").digest == image[2]
                # the registry on this machine is asked without it
                assert moving.pull(f"{registry.address}/team/app:v1").digest == image[2]
            assert set(proxy.asked) == {"registry.example:443"}
            without = engine(tmp_path / "s2", HTTPS_PROXY=proxy.url.replace("carl:pw@", ""))
            with transfers(without, options=ca) as moving, pytest.raises(UnavailableError, match="407"):
                moving.pull("registry.example/team/app:v1")
            spared = engine(tmp_path / "s3", HTTPS_PROXY=proxy.url, no_proxy=".example")
            asked = len(proxy.asked)
            with transfers(spared, options=ca) as moving, pytest.raises(UnavailableError, match="to https://registry"):
                moving.pull("registry.example/team/app:v1")
            assert len(proxy.asked) == asked


def test_htpasswd(image, store, tmp_path):
    with DockerRegistry(tmp_path / "r", users=USERS) as registry:
        with transfers(store) as moving, pytest.raises(UnauthenticatedError, match="no basic auth credentials"):
            moving.pull(f"{registry.address}/x:1")
        with transfers(store) as moving:
            with pytest.raises(UnauthenticatedError, match="401 Unauthorized"):
                moving.login(registry.address, "alice", "wrong")
            assert not os.path.exists(moving.client.credentials.path)
            path = moving.login(registry.address, "alice", "s3cret")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert registry.address in json.loads(pathlib.Path(path).read_text())["auths"]
        there_and_back(image, engine(tmp_path / "s2"), registry.address, ClientOptions(creds="alice:s3cret"))
        with transfers(store) as moving:
            assert moving.pull(f"{registry.address}/team/app:v1").record.id == image[1].id
            moving.logout(registry.address)
        with (
            transfers(engine(tmp_path / "s3"), options=ClientOptions(creds="alice:no")) as moving,
            pytest.raises(UnauthenticatedError, match="incorrect username or password"),
        ):
            moving.pull(f"{registry.address}/team/app:v1")


def test_a_token_server(image, store, tmp_path):
    with (
        TokenServer(tmp_path / "t", USERS) as token,
        DockerRegistry(tmp_path / "r", token=token) as registry,
    ):
        there_and_back(image, store, registry.address, ClientOptions(creds="alice:s3cret"), "public/app")
        there_and_back(
            image, engine(tmp_path / "s1"), registry.address, ClientOptions(creds="alice:s3cret"), "secret/app"
        )
        with transfers(engine(tmp_path / "s2")) as moving:
            token.asked.clear()
            assert moving.pull(f"{registry.address}/public/app:v1").record.id == image[1].id
            assert {header for _, header in token.asked} == {None}
            # one token for the whole pull
            assert len(token.asked) == 1
            with pytest.raises((UnauthenticatedError, DeniedError)):
                moving.pull(f"{registry.address}/secret/app:v1")
        with transfers(store) as moving:
            with pytest.raises(UnauthenticatedError):
                moving.login(registry.address, "alice", "wrong")
            moving.login(registry.address, "alice", "s3cret")
            assert moving.pull(f"{registry.address}/secret/app:v1").record.id == image[1].id


def test_a_push_that_breaks_is_finished_by_the_next(image, store, tmp_path):
    """docker-registry 2.8 cannot resume an upload, so it must be noticed and begun anew."""
    with DockerRegistry(tmp_path / "r") as registry:
        origin, record, digest = image
        layer = max(origin.images.manifest(record.id).value.layers, key=lambda desc: desc.size)
        with transfers(origin) as moving:
            repository = moving.client.repository(Reference.parse(f"{registry.address}/app"), push=True)
            upload = repository.start_upload(layer)
            from scow.images.origins import TransferRecords

            TransferRecords(origin.db).remember(f"{registry.address}/app", layer.digest, upload.location)
            with repository.origin.request(
                "x", "PATCH", upload.location, headers={"Content-Range": "0-9"}, body=b"0123456789", ok={202}
            ):
                pass
            assert moving.push_record(record, Reference.parse(f"{registry.address}/app:v1")).digest == digest
