# SPDX-License-Identifier: Apache-2.0
"""Manifests: kept byte for byte, refused when they cannot be right, found by what they refer to."""

from __future__ import annotations

import json

import pytest

from fakes.private_registry import INDEX, MANIFEST, descriptor, digest_of, manifest
from scow.errors import CorruptError
from scow.registry.manifests import MAX_TAGS, Manifests, accepts
from scow.registry.protocol import RefusedError


@pytest.fixture
def manifests(store):
    return Manifests(store)


@pytest.fixture
def put(manifests, push, request_of):
    """Push a manifest, with the blobs it is made of."""

    def run(raw, ref="latest", kind=MANIFEST, blobs=(b"{}",), query=None, into=manifests):
        for blob in blobs:
            push("r", blob)
        return into.put(request_of("PUT", query=query, Content_Type=kind), "r", ref, raw)

    return run


def refused(status, wire, call, *args, **named):
    with pytest.raises(RefusedError) as caught:
        call(*args, **named)
    assert (caught.value.http_status, caught.value.wire) == (status, wire), caught.value.message
    return caught.value.message


def test_bytes_are_kept_as_they_came(manifests, put, request_of):
    raw = json.dumps(json.loads(manifest()), indent=3).encode() + b"\n\n"
    answer = put(raw, kind=MANIFEST + "; charset=utf-8")
    digest = digest_of(raw)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/r/manifests/{digest}")
    for ref in ("latest", digest):
        found = manifests.get(request_of(Accept=MANIFEST), "r", ref)
        assert (found.body, found.headers["Content-Type"], found.headers["Docker-Content-Digest"]) == (
            raw,
            MANIFEST,
            digest,
        )
    head = manifests.get(request_of("HEAD"), "r", "latest")
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(raw)))
    assert manifests.get(request_of(If_None_Match=f'"{digest}"'), "r", "latest").status == 304


def test_damage_on_the_disk_is_not_handed_out(manifests, put, store, request_of):
    put(manifest())
    path = store.content.path(store.metadata.manifest("r", "latest").digest)
    with open(path, "r+b") as file:
        file.write(b"[")
    with pytest.raises(CorruptError):
        manifests.get(request_of(), "r", "latest")


def test_what_is_not_there(manifests, put, request_of):
    put(manifest())
    for ref in ("other", ".bad", "x" * 129, digest_of(b"x")):
        refused(404, "MANIFEST_UNKNOWN", manifests.get, request_of(), "r", ref)
    refused(400, "DIGEST_INVALID", manifests.get, request_of(), "r", "sha256:bad")
    refused(404, "MANIFEST_UNKNOWN", manifests.get, request_of(), "s", "latest")
    refused(404, "MANIFEST_UNKNOWN", manifests.delete, "r", "other")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", True),
        ("*/*", True),
        (MANIFEST, True),
        (f"{INDEX}, {MANIFEST};q=0.5", True),
        ("application/json", True),
        ("text/html, application/*;q=0.1", True),
        (INDEX, False),
        ("text/html", False),
    ],
)
def test_accept(header, wanted):
    assert accepts(header, MANIFEST) is wanted


def test_a_client_that_cannot_read_it_is_told_its_type(manifests, put, request_of):
    put(manifest())
    assert MANIFEST in refused(404, "MANIFEST_UNKNOWN", manifests.get, request_of(Accept=INDEX), "r", "latest")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"no manifest", MANIFEST),
        (b"[]", MANIFEST),
        (b"{}", MANIFEST),
        (manifest(), INDEX),  # says another type inside
        (manifest(), "application/octet-stream"),
        (manifest().replace(b'"schemaVersion": 2', b'"schemaVersion": 1'), MANIFEST),
        (manifest(manifests=[]), MANIFEST),  # an image and an index at once
        (json.dumps({"schemaVersion": 2, "manifests": [], "layers": []}).encode(), INDEX),
        (manifest(subject={"digest": "sha256:bad", "size": 1, "mediaType": "x"}), MANIFEST),
        (b'{"schemaVersion":2,"config":' + b"[" * 100 + b"]" * 100 + b"}", MANIFEST),
        (b'{"schemaVersion":1,"name":"x"}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_malformed_ones_are_refused(put, raw, kind):
    refused(400, "MANIFEST_INVALID", put, raw, kind=kind)


def test_a_type_in_the_bytes_alone_is_enough(put):
    assert put(manifest(), kind="").status == 201


def test_too_large(put):
    refused(413, "MANIFEST_INVALID", put, manifest(annotations={"x": "y" * (4 << 20)}))


def test_parts_must_be_there_with_the_size_they_have(put, store):
    raw = manifest(layers=[b"layer"])
    assert digest_of(b"layer") in refused(400, "MANIFEST_BLOB_UNKNOWN", put, raw)
    assert put(raw, blobs=[b"layer"]).status == 201
    wrong = json.loads(raw)
    wrong["layers"][0]["size"] = 4
    refused(400, "SIZE_INVALID", put, json.dumps(wrong).encode())


def test_layers_that_may_not_be_pushed_need_not_be_there(put):
    far = descriptor(b"far", "application/vnd.oci.image.layer.nondistributable.v1.tar")
    document = json.loads(manifest())
    document["layers"] = [far]
    refused(400, "MANIFEST_BLOB_UNKNOWN", put, json.dumps(document).encode())
    document["layers"] = [far | {"urls": ["https://example.com/far"]}]
    assert put(json.dumps(document).encode()).status == 201


def test_an_index_needs_its_manifests(put, store):
    child = manifest()
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(child, MANIFEST)]}).encode()
    refused(400, "MANIFEST_BLOB_UNKNOWN", put, raw, kind=INDEX)
    assert put(raw, kind=INDEX, into=Manifests(store, sparse=True)).status == 201
    put(child, digest_of(child))
    assert put(raw, kind=INDEX).status == 201


def test_by_digest_and_with_several_tags(manifests, put, request_of):
    raw = manifest()
    long = digest_of(raw, "sha512")
    answer = put(raw, long, query={"tag": ["a", "b"]})
    assert (answer.headers["OCI-Tag"], answer.headers["Docker-Content-Digest"]) == ("a, b", long)
    assert manifests.get(request_of(), "r", "b").headers["Docker-Content-Digest"] == long
    refused(400, "DIGEST_INVALID", put, raw, digest_of(b"other"))
    refused(400, "MANIFEST_INVALID", put, raw, long, query={"tag": ["a", "-b"]})
    refused(400, "MANIFEST_INVALID", put, raw, "x" * 129)
    refused(414, "UNSUPPORTED", put, raw, long, query={"tag": [f"t{n}" for n in range(MAX_TAGS + 1)]})


def test_referrers(manifests, put, request_of):
    subject = descriptor(manifest(), MANIFEST)
    typed = manifest(subject=subject, artifactType="application/x", annotations={"k": "v"})
    by_config = manifest(subject=subject)
    untyped = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": subject}).encode()
    for raw, kind in ((typed, MANIFEST), (by_config, MANIFEST), (untyped, INDEX)):
        assert put(raw, digest_of(raw), kind).headers["OCI-Subject"] == subject["digest"]

    def listed(query=None):
        answer = manifests.referrers(request_of(query=query), "r", subject["digest"])
        return {entry["digest"]: entry for entry in json.loads(answer.body)["manifests"]}, answer.headers

    found, headers = listed()
    assert "OCI-Filters-Applied" not in headers
    assert found[digest_of(typed)] == descriptor(typed, MANIFEST, artifactType="application/x", annotations={"k": "v"})
    assert found[digest_of(by_config)]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert "artifactType" not in found[digest_of(untyped)]
    found, headers = listed({"artifactType": ["application/x"]})
    assert (list(found), headers["OCI-Filters-Applied"]) == ([digest_of(typed)], "artifactType")
    manifests.delete("r", digest_of(typed))
    assert len(listed()[0]) == 2
    assert json.loads(manifests.referrers(request_of(), "nobody", subject["digest"]).body)["manifests"] == []


def test_long_lists_of_referrers_come_in_pages(manifests, put, request_of):
    subject = descriptor(b"anything", MANIFEST)
    raws = [manifest(subject=subject, annotations={"n": str(n), "fill": "x" * 900_000}) for n in range(5)]
    for raw in raws:
        put(raw, digest_of(raw))
    seen, query = [], {}
    while True:
        answer = manifests.referrers(request_of(query=query), "r", subject["digest"])
        assert len(answer.body) < 4 << 20
        seen.append([entry["digest"] for entry in json.loads(answer.body)["manifests"]])
        if "Link" not in answer.headers:
            break
        assert answer.headers["Link"].startswith(f"</v2/r/referrers/{subject['digest']}?last=")
        query = {"last": [seen[-1][-1]]}
    assert len(seen) == 2
    assert [digest for page in seen for digest in page] == sorted(digest_of(raw) for raw in raws)


def test_what_searches_say_about_an_image(put, store):
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Labels": {"org.opencontainers.image.description": "from the config"}},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
    ).encode()
    put(manifest(config), blobs=[config])
    assert store.metadata.search("r")[0].description == "from the config"
    put(manifest(config, annotations={"org.opencontainers.image.description": "noted"}), blobs=[config])
    assert store.metadata.search("r")[0].description == "noted"


def test_text_that_is_no_text_harms_nobody(put, store, request_of, manifests):
    subject = descriptor(b"anything", MANIFEST)
    odd = {"org.opencontainers.image.description": "two\nlines \ud800", "x": "\ud800"}
    raw = manifest(annotations=odd, subject=subject)
    assert put(raw).status == 201
    assert store.metadata.search("r")[0].description == "two lines"
    (entry,) = json.loads(manifests.referrers(request_of(), "r", subject["digest"]).body)["manifests"]
    assert entry["annotations"] == odd
    for kind in ("\ud800", "é", "a\nb"):
        refused(400, "MANIFEST_INVALID", put, manifest(artifactType=kind))


def test_deleting_a_tag_keeps_the_manifest(manifests, put, request_of):
    raw = manifest()
    put(raw)
    put(raw, "other")
    assert manifests.delete("r", "latest").status == 202
    assert manifests.get(request_of(), "r", "other").body == raw
    assert manifests.delete("r", digest_of(raw)).status == 202
    refused(404, "MANIFEST_UNKNOWN", manifests.get, request_of(), "r", "other")
