# SPDX-License-Identifier: Apache-2.0
"""What single registries do differently, as tables of requests and answers.

No registry was asked: each table follows what users and maintainers of clients have seen and reported, which is cited
where the table stands (``project#number`` is an issue or pull request on GitHub).
"""

from __future__ import annotations

import base64
import io
import json

import pytest

from fakes.imaging import GZIP, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, QUICK, descriptor, digest_of
from fakes.script import Answer, Script
from scow.distribution import spec
from scow.distribution.client import RegistryClient
from scow.distribution.pushing import push_blob
from scow.errors import (
    DeniedError,
    InvalidArgumentError,
    NotFoundError,
    RateLimitError,
    ScowError,
    UnauthenticatedError,
)
from scow.oci.digest import Digest
from scow.oci.model import Descriptor
from scow.oci.reference import Reference

BLOB = b"layer bytes " * 500
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, b"{}"),
        "layers": [descriptor(GZIP, BLOB)],
    }
).encode()
LAYER = Descriptor(GZIP, Digest(digest_of(BLOB)), len(BLOB))
TOP = Descriptor(OCI_MANIFEST, Digest(digest_of(MANIFEST)), len(MANIFEST))
AS_MANIFEST = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": TOP.digest}
TOKEN = Answer(200, {}, b'{"token": "t0k", "expires_in": 300}')


def bearer(scope, service="registry"):
    return {"WWW-Authenticate": f'Bearer realm="{{here}}/token",service="{service}",scope="{scope}"'}


def repository(script, name, tmp_path, *, push=False, creds=""):
    """The repository ``name`` of a registry out there, served by the script."""
    reference = Reference.parse(name)
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "{reference.domain}"\nlocation = "{script.address}"\ninsecure = true\n')
    environ = {"CONTAINERS_REGISTRIES_CONF": str(conf), "SCOW_DAEMON_JSON": ""}
    if creds:
        auths = {"auths": {script.address: {"auth": base64.b64encode(creds.encode()).decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(auths))
    client = RegistryClient(str(tmp_path), environ, retry=QUICK)
    return client.repository(reference, push=push)


def read(repo):
    with repo.fetch(LAYER) as stream:
        return stream.read()


def opened(offset):
    stream = io.BytesIO(BLOB)
    stream.seek(offset)
    return stream


# ------------------------------------------------------------------------------------------------ Docker Hub


def test_hub_blobs_lie_elsewhere_and_refuse_credentials(tmp_path):
    # renovatebot/renovate#3877, goharbor behind S3 the same: spring-attic/spring-cloud-dataflow#4065; headers of the
    # limit as in docker/docs#20788 (content/docker-hub/download-rate-limit.md)
    blob = f"/v2/library/alpine/blobs/{LAYER.digest}"
    table = {
        "GET /token": Answer(
            200,
            {},
            b'{"token": "t0k", "access_token": "t0k", "expires_in": 300, "issued_at": "x"}',
            needs={"?service": "registry.docker.io", "?scope": "repository:library/alpine:pull"},
        ),
        "HEAD /v2/library/alpine/manifests/3": [
            Answer(401, bearer("repository:library/alpine:pull", "registry.docker.io")),
            Answer(
                200,
                {**AS_MANIFEST, "ratelimit-limit": "100;w=21600", "Content-Length": str(TOP.size)},
                needs={"Authorization": "Bearer t0k"},
            ),
        ],
        f"GET {blob}": Answer(307, {"Location": "http://localhost:{port}/cdn?X-Signature=1"}),
        "GET /cdn": Answer(200, {}, BLOB, refuses=("Authorization",)),
    }
    with Script(table) as script:
        port = script.address.rpartition(":")[2]
        script.table[f"GET {blob}"][0].headers["Location"] = f"http://localhost:{port}/cdn?X-Signature=1"
        repo = repository(script, "docker.io/library/alpine", tmp_path)
        assert repo.resolve("3") == TOP
        assert read(repo) == BLOB


def test_hub_limits_pulls(tmp_path):
    # docker/docs#22916: Retry-After in seconds; docker/docs#20788: a pull counts GETs of manifests, not HEADs
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
    with Script({"GET /v2/library/alpine/manifests/3": Answer(429, {"Retry-After": "21600"}, body)}) as script:
        with pytest.raises(RateLimitError, match="pull rate limit") as caught:
            repository(script, "docker.io/library/alpine", tmp_path).manifest("3")
        assert caught.value.retry_after == 21600
        assert len(script.asked("GET /v2/library/alpine/manifests/3")) == 1


def test_hub_says_unauthorized_for_what_does_not_exist(tmp_path):
    # podman-container-tools/skopeo#402: a repository one may not push to and one that does not exist look the same
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
    challenge = bearer("repository:library/nope:pull")
    challenge["WWW-Authenticate"] += ',error="insufficient_scope"'
    table = {"GET /token": TOKEN, "HEAD /v2/library/nope/manifests/1": Answer(401, challenge, body)}
    with Script(table) as script, pytest.raises(UnauthenticatedError):
        repository(script, "docker.io/library/nope", tmp_path).resolve("1")
    # one token and one renewed token, then the answer is believed
    assert len(script.asked("GET /token")) == 2


# ------------------------------------------------------------------------------------------------------ GHCR


def test_hub_wants_the_right_to_read_where_a_blob_is_mounted_from(tmp_path):
    # oras-project/rust-oci-client#235
    uploads = "/v2/me/app/blobs/uploads/"
    wanted = ["repository:library/alpine:pull", "repository:me/app:pull,push"]
    table = {
        "GET /token": [TOKEN, Answer(200, {}, b'{"token": "both"}')],
        f"HEAD /v2/me/app/blobs/{LAYER.digest}": [Answer(401, bearer("repository:me/app:pull")), Answer(404)],
        f"POST {uploads}": Answer(201, {"Location": "/x"}, needs={"Authorization": "Bearer both"}),
    }
    with Script(table) as script:
        repo = repository(script, "docker.io/me/app", tmp_path, push=True)
        assert push_blob(repo, LAYER, opened, mounts=["library/alpine"]) == "mounted"
        assert script.asked("GET /token")[1][1]["scope"] == wanted


def test_ghcr_denies_at_the_token_server(tmp_path):
    # beam-cloud/beta9#1892: 403 DENIED with a token that expired, 401 without one; radius-project/radius#12623: its
    # tokens need not be JWTs, and unfinished uploads cannot be cancelled (405)
    table = {
        "GET /token": Answer(
            403, {}, b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
        ),
        "HEAD /v2/o/private/manifests/1": Answer(401, bearer("repository:o/private:pull", "ghcr.io")),
    }
    with Script(table) as script, pytest.raises(UnauthenticatedError, match="denied"):
        repository(script, "ghcr.io/o/private", tmp_path).resolve("1")


def test_ghcr_answers_mounts_with_an_upload(tmp_path):
    # opencontainers/distribution-spec#206: 202 is the answer of a registry that cannot or will not mount
    uploads = "/v2/o/app/blobs/uploads/"
    table = {
        f"HEAD /v2/o/app/blobs/{LAYER.digest}": Answer(404),
        f"POST {uploads}": Answer(
            202, {"Location": "/v2/o/app/blobs/upload/1"}, needs={"?mount": LAYER.digest, "?from": "o/base"}
        ),
        "PUT /v2/o/app/blobs/upload/1": Answer(201, {"Location": "/x"}, needs={"?digest": LAYER.digest}),
    }
    with Script(table) as script:
        repo = repository(script, "ghcr.io/o/app", tmp_path, push=True)
        assert push_blob(repo, LAYER, opened, mounts=["o/base"]) == "pushed"
        assert script.asked("PUT /v2/o/app/blobs/upload/1")[0][3] == BLOB


def test_ghcr_takes_no_more_than_4_mib_of_a_chunk(tmp_path):
    # ocx-sh/ocx#237: 416 REQUESTED_RANGE_NOT_SATISFIABLE, "exceeds the maximum permissible limit of 4.00MiB"
    too_large = Answer(416, {}, b'{"errors":[{"code":"REQUESTED_RANGE_NOT_SATISFIABLE","message":"too large"}]}')
    data = b"0123456789abcdef" * (6 << 16)
    layer = Descriptor(GZIP, Digest(digest_of(data)), len(data))
    limit = 4 << 20
    table = {
        f"HEAD /v2/o/app/blobs/{layer.digest}": Answer(404),
        "POST /v2/o/app/blobs/uploads/": Answer(202, {"Location": "/u/1"}),
        "PUT /u/1": [too_large, Answer(201)],
        "PATCH /u/1": [
            too_large,
            Answer(202, {"Location": "/u/1", "Range": f"0-{limit - 1}"}, needs={"Content-Range": f"0-{limit - 1}"}),
            Answer(202, {"Location": "/u/1", "Range": f"0-{len(data) - 1}"}),
        ],
    }
    with Script(table) as script:
        repo = repository(script, "ghcr.io/o/app", tmp_path, push=True)
        assert push_blob(repo, layer, lambda at: io.BytesIO(data[at:])) == "pushed"
        assert b"".join(entry[3] for entry in script.asked("PATCH /u/1")[1:]) == data


@pytest.mark.parametrize(
    "answer",
    [
        # rtvkiz/minimal#7, then artifacthub/hub#4785: first 404, later a redirect to a page for people
        Answer(404, {}, b'{"errors":[{"code":"NOT_FOUND"}]}'),
        Answer(303, {"Location": "{here}/page"}),
        Answer(429, {"Retry-After": "100000"}),
        # other registries, notaryproject/ratify#231
        Answer(400, {}, b'{"errors":[{"code":"UNSUPPORTED"}]}'),
        Answer(405),
        Answer(406),
        Answer(200, {"Content-Type": "application/json"}, b"{}"),
    ],
)
def test_ghcr_and_others_have_no_referrers_and_say_so_in_many_ways(tmp_path, answer):
    entry = {"mediaType": OCI_MANIFEST, "digest": LAYER.digest, "size": 5, "artifactType": "a/b"}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    table = {
        f"GET /v2/o/app/referrers/{TOP.digest}": answer,
        "GET /page": Answer(200, {"Content-Type": "text/html"}, b"<html>"),
        f"GET /v2/o/app/manifests/{spec.referrers_tag(TOP.digest)}": Answer(200, {"Content-Type": OCI_INDEX}, index),
    }
    with Script(table) as script:
        repo = repository(script, "ghcr.io/o/app", tmp_path)
        assert [found.digest for found in repo.referrers(TOP)] == [LAYER.digest]


# ------------------------------------------------------------------------------------------------------- ECR


def test_ecr_wants_basic_and_names_missing_repositories(tmp_path):
    # podman-container-tools/skopeo#851, plexsystems/sinker#55
    basic = {"WWW-Authenticate": 'Basic realm="https://1.dkr.ecr.eu-1.amazonaws.com/",service="ecr.amazonaws.com"'}
    body = b'{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name \'app\' does not exist"}]}'
    table = {
        f"HEAD /v2/app/blobs/{LAYER.digest}": [
            Answer(401, basic),
            Answer(404, needs={"Authorization": "Basic QVdTOnBhc3M="}),
        ],
        "POST /v2/app/blobs/uploads/": Answer(404, {}, body),
    }
    with Script(table) as script, pytest.raises(NotFoundError, match="does not exist"):
        push_blob(
            repository(script, "1.dkr.ecr.eu-1.amazonaws.com/app", tmp_path, push=True, creds="AWS:pass"), LAYER, opened
        )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        # ECR: moby/buildkit#3776, osscontainertools/kaniko#204
        (
            400,
            b'{"errors":[{"code":"TAG_INVALID","message":"The image tag already exists and cannot be overwritten"}]}',
        ),
        # Artifactory, Quay and proxies in front of others: replicatedhq/kots#5940
        (403, b'{"errors":[{"code":"DENIED","message":"the tag cannot be overwritten"}]}'),
        (409, b""),
        (412, b'{"errors":[{"code":"PRECONDITION","message":"configured as immutable, cannot be overwritten"}]}'),
    ],
)
def test_ecr_and_others_keep_immutable_tags(tmp_path, status, said):
    table = {
        "PUT /v2/app/manifests/1": Answer(status, {}, said),
        "HEAD /v2/app/manifests/1": Answer(
            200, {**AS_MANIFEST, "Docker-Content-Digest": LAYER.digest, "Content-Length": "5"}
        ),
    }
    with Script(table) as script:
        repo = repository(script, "1.dkr.ecr.eu-1.amazonaws.com/app", tmp_path, push=True)
        with pytest.raises(ScowError, match="cannot be overwritten" if said else "409"):
            repo.push_manifest(TOP, MANIFEST, "1")
        assert len(script.asked("PUT /v2/app/manifests/1")) == 1
        # what is there is what was to be pushed: nothing to complain about
        script.table["HEAD /v2/app/manifests/1"] = [Answer(200, {**AS_MANIFEST, "Content-Length": str(TOP.size)})]
        repo.push_manifest(TOP, MANIFEST, "1")


def test_ecr_leaves_the_digest_out(tmp_path):
    # distribution/distribution#3792
    table = {
        "HEAD /v2/app/manifests/1": Answer(200, {"Content-Type": OCI_MANIFEST, "Content-Length": str(TOP.size)}),
        "GET /v2/app/manifests/1": Answer(200, {"Content-Type": OCI_MANIFEST}, MANIFEST),
    }
    with Script(table) as script:
        assert repository(script, "1.dkr.ecr.eu-1.amazonaws.com/app", tmp_path).resolve("1") == TOP


def test_ecr_tells_an_old_range_of_later_chunks(tmp_path):
    # aws/containers-roadmap#2831, crashappsec/chalk#682: 201 instead of 202, and a Range that does not move
    size = 16 << 20
    data = bytes(size) + b"1" * size + b"2" * 5
    layer = Descriptor(GZIP, Digest(digest_of(data)), len(data))
    first = Answer(201, {"Location": "/u/1", "Range": f"0-{size - 1}"})
    table = {
        f"HEAD /v2/app/blobs/{layer.digest}": Answer(404),
        "POST /v2/app/blobs/uploads/": Answer(202, {"Location": "/u/1"}),
        "PUT /u/1": [Answer(413), Answer(201)],
        "PATCH /u/1": [first, first, first],
        "GET /u/1": Answer(404),
    }
    with Script(table) as script:
        repo = repository(script, "1.dkr.ecr.eu-1.amazonaws.com/app", tmp_path, push=True)
        assert push_blob(repo, layer, lambda at: io.BytesIO(data[at:])) == "pushed"
        assert [len(entry[3]) for entry in script.asked("PATCH /u/1")] == [size, size, 5]


# ------------------------------------------------------------------------------------------------------- GCR


def test_gcr_gives_absolute_locations_with_a_query(tmp_path):
    # opencontainers/distribution-spec, "Pushing a blob monolithically": Location may be absolute and hold parameters
    table = {
        f"HEAD /v2/p/app/blobs/{LAYER.digest}": Answer(404),
        "POST /v2/p/app/blobs/uploads/": Answer(202, {"Location": "{here}/artifacts-uploads/x?upload_id=a%2Bb"}),
        "PUT /artifacts-uploads/x": Answer(201, needs={"?upload_id": "a+b", "?digest": LAYER.digest}),
    }
    with Script(table) as script:
        assert push_blob(repository(script, "gcr.io/p/app", tmp_path, push=True), LAYER, opened) == "pushed"


def test_gcr_names_no_service_and_gives_tokens_without_a_lifetime(tmp_path):
    # seqeralabs/wave#157 (no service); a missing lifetime means 60 seconds: distribution docs, "Token Authentication"
    table = {
        "GET /token": Answer(200, {}, b'{"token": "t0k"}'),
        "HEAD /v2/p/app/manifests/1": [
            Answer(401, {"WWW-Authenticate": 'Bearer realm="{here}/token",scope="repository:p/app:pull"'}),
            Answer(200, {**AS_MANIFEST, "Content-Length": str(TOP.size)}),
        ],
    }
    with Script(table) as script:
        repo = repository(script, "gcr.io/p/app", tmp_path)
        assert repo.resolve("1") == TOP
        assert repo.resolve("1") == TOP
        assert len(script.asked("GET /token")) == 1


# ------------------------------------------------------------------------------------------------------ Quay


def test_quay_is_never_asked_to_mount_from_nowhere(tmp_path):
    # quay/quay#899, regclient/regclient#398: 400 instead of an upload
    table = {
        f"HEAD /v2/o/app/blobs/{LAYER.digest}": Answer(404),
        "POST /v2/o/app/blobs/uploads/": Answer(202, {"Location": "/u/1"}),
        "PUT /u/1": Answer(201),
    }
    with Script(table) as script:
        push_blob(repository(script, "quay.io/o/app", tmp_path, push=True), LAYER, opened)
        (post,) = script.asked("POST /v2/o/app/blobs/uploads/")
        assert "mount" not in post[1]


def test_quay_pages_its_tags_by_a_token_of_its_own(tmp_path):
    # deitch/docker_registry2#56, regclient/regclient#272: next_page, and 50 tags whatever n says
    key = "GET /v2/o/app/tags/list"
    table = {
        key: [
            Answer(
                200,
                {"Link": '</v2/o/app/tags/list?next_page=gAAA%3D&n=50>; rel="next"'},
                b'{"name":"o/app","tags":["a","b"]}',
            ),
            Answer(200, {}, b'{"name":"o/app","tags":["c"]}', needs={"?next_page": "gAAA="}),
        ]
    }
    with Script(table) as script:
        assert list(repository(script, "quay.io/o/app", tmp_path).tags()) == ["a", "b", "c"]


def test_pages_that_go_round_in_a_circle(tmp_path):
    answer = Answer(200, {"Link": '</v2/o/app/tags/list?n=1000>; rel="next"'}, b'{"tags":["a"]}')
    with Script({"GET /v2/o/app/tags/list": answer}) as script, pytest.raises(spec.BadAnswerError, match="do not end"):
        list(repository(script, "quay.io/o/app", tmp_path).tags())


# ---------------------------------------------------------------------------------------------------- GitLab


def test_gitlab_tokens_expire_in_the_middle_of_a_push(tmp_path):
    # moby/moby#33558: five minutes by default
    scope = "repository:g/p:pull,push"
    expired = bearer(scope, "container_registry")
    expired["WWW-Authenticate"] += ',error="invalid_token"'
    table = {
        "GET /token": [Answer(200, {}, b'{"token": "one"}'), Answer(200, {}, b'{"token": "two"}')],
        f"HEAD /v2/g/p/blobs/{LAYER.digest}": [Answer(401, bearer(scope)), Answer(404)],
        "POST /v2/g/p/blobs/uploads/": Answer(202, {"Location": "/u/1"}, needs={"Authorization": "Bearer one"}),
        "PUT /u/1": [Answer(401, expired), Answer(201, needs={"Authorization": "Bearer two"})],
    }
    with Script(table) as script:
        repo = repository(script, "registry.gitlab.com/g/p", tmp_path, push=True, creds="u:p")
        assert push_blob(repo, LAYER, opened) == "pushed"
        assert [entry[3] for entry in script.asked("PUT /u/1")] == [BLOB, BLOB]


def test_gitlab_takes_the_referrers_tag_for_a_digest(tmp_path):
    # oras-project/oras-go#1396: sha256-<hex> answers with the manifest sha256:<hex>
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, MANIFEST)]})
    top = Descriptor(OCI_INDEX, Digest(digest_of(index.encode())), len(index))
    table = {
        f"GET /v2/g/p/referrers/{top.digest}": Answer(404),
        f"GET /v2/g/p/manifests/{spec.referrers_tag(top.digest)}": Answer(
            200, {"Content-Type": OCI_INDEX}, index.encode()
        ),
    }
    with Script(table) as script:
        assert list(repository(script, "registry.gitlab.com/g/p", tmp_path).referrers(top)) == []


# ---------------------------------------------------------------------------------------------------- Harbor


@pytest.mark.parametrize("status", [401, 403, 404])
def test_harbor_and_gitlab_refuse_mounts_instead_of_offering_an_upload(tmp_path, status):
    # goharbor/harbor#17097, google/go-containerregistry#1609, estesp/manifest-tool#53
    missing = b'{"errors":[{"code":"UNAUTHORIZED","message":"project other not found"}]}'
    table = {
        "GET /token": TOKEN,
        f"HEAD /v2/p/app/blobs/{LAYER.digest}": [Answer(401, bearer("repository:p/app:pull,push")), Answer(404)],
        "POST /v2/p/app/blobs/uploads/": [
            *[Answer(status, bearer("repository:p/app:pull,push"), missing, needs={"?from": "other/app"})]
            * (3 if status == 401 else 1),
            Answer(202, {"Location": "/u/1"}),
        ],
        "PUT /u/1": Answer(201),
    }
    with Script(table) as script:
        repo = repository(script, "harbor.example/p/app", tmp_path, push=True, creds="u:p")
        assert push_blob(repo, LAYER, opened, mounts=["other/app"]) == "pushed"


def test_harbor_offers_two_ways_in(tmp_path):
    both = {"WWW-Authenticate": 'Basic realm="harbor", Bearer realm="{here}/token",service="harbor-registry"'}
    table = {
        "GET /token": Answer(200, {}, b'{"token": "t0k"}', needs={"?scope": "repository:p/app:pull"}),
        "HEAD /v2/p/app/manifests/1": [
            Answer(401, both),
            Answer(200, {**AS_MANIFEST, "Content-Length": str(TOP.size)}, needs={"Authorization": "Bearer t0k"}),
        ],
    }
    with Script(table) as script:
        assert repository(script, "harbor.example/p/app", tmp_path).resolve("1") == TOP


def test_harbor_has_words_of_its_own(tmp_path):
    # goharbor/harbor#16516 (NOT_FOUND), goharbor/harbor#10092 (vulnerable images)
    missing = b'{"errors":[{"code":"NOT_FOUND","message":"artifact p/app:9 not found"}]}'
    policy = b'{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"current image with 3 vulnerabilities cannot be pulled"}]}'
    table = {
        "GET /v2/p/app/manifests/9": Answer(404, {}, missing),
        "GET /v2/p/app/manifests/8": Answer(412, {}, policy),
        "GET /v2/p/app/manifests/7": Answer(403, {}, b'{"errors":[{"code":"DENIED","message":"project is full"}]}'),
    }
    with Script(table) as script:
        repo = repository(script, "harbor.example/p/app", tmp_path)
        with pytest.raises(NotFoundError, match="artifact p/app:9 not found"):
            repo.manifest("9")
        with pytest.raises(InvalidArgumentError, match="vulnerabilities"):
            repo.manifest("8")
        with pytest.raises(DeniedError, match="project is full"):
            repo.manifest("7")


# ----------------------------------------------------------------------------------- Artifactory, Nexus, proxies


def test_artifactory_leaves_headers_out(tmp_path):
    # deitch/docker_registry2#83; registry.redhat.io without the digest: regclient/regclient#363
    table = {
        "HEAD /v2/app/manifests/1": Answer(
            200, {"Content-Type": "application/octet-stream", "Content-Length": str(TOP.size)}
        ),
        "GET /v2/app/manifests/1": Answer(200, {"Content-Type": f"{OCI_MANIFEST}; charset=utf-8"}, MANIFEST),
    }
    with Script(table) as script:
        assert repository(script, "art.example/app", tmp_path).resolve("1") == TOP


def test_artifactory_wants_pieces_and_calls_a_whole_upload_not_found(tmp_path):
    # moby/buildkit#1130, containerd/containerd#3533
    table = {
        f"HEAD /v2/app/blobs/{LAYER.digest}": Answer(404),
        "POST /v2/app/blobs/uploads/": Answer(202, {"Location": "/u/1"}),
        "PUT /u/1": [Answer(404), Answer(404), Answer(201, needs={"?digest": LAYER.digest})],
        "PATCH /u/1": Answer(202, {"Location": "/u/1", "Range": f"0-{LAYER.size - 1}"}),
        "GET /u/1": Answer(404),
    }
    with Script(table) as script:
        assert push_blob(repository(script, "art.example/app", tmp_path, push=True), LAYER, opened) == "pushed"
        assert script.asked("PATCH /u/1")[0][3] == BLOB


def test_nexus_knows_no_head(tmp_path):
    # andrey-pohilko/registry-cli#14, crazy-max/diun#1614
    table = {
        "HEAD /v2/app/manifests/1": Answer(404, {"Content-Type": "text/html"}),
        "GET /v2/app/manifests/1": Answer(200, AS_MANIFEST, MANIFEST),
    }
    with Script(table) as script:
        assert repository(script, "nexus.example/app", tmp_path).resolve("1") == TOP


def test_nexus_serves_manifests_as_plain_json(tmp_path):
    # concourse/docker-image-resource#40 (Artifactory before 4.4.3)
    table = {"GET /v2/app/manifests/1": Answer(200, {"Content-Type": "application/json"}, MANIFEST)}
    with Script(table) as script:
        assert repository(script, "nexus.example/app", tmp_path).manifest("1").descriptor == TOP


def test_proxies_answer_errors_in_html(tmp_path):
    table = {"GET /v2/app/manifests/1": Answer(403, {"Content-Type": "text/html"}, b"<html>Blocked by policy</html>")}
    with Script(table) as script, pytest.raises(DeniedError, match="answered 403"):
        repository(script, "r.example/app", tmp_path).manifest("1")


def test_a_registry_behind_a_proxy_that_limits_bodies(tmp_path):
    # podman-container-tools/podman#24919 and cloudflare/serverless-registry#67 (100 MB), rancher-desktop#3599
    table = {
        f"HEAD /v2/app/blobs/{LAYER.digest}": Answer(404),
        "POST /v2/app/blobs/uploads/": Answer(202, {"Location": "/u/1"}),
        "PUT /u/1": [Answer(413), Answer(201, needs={"?digest": LAYER.digest})],
        "PATCH /u/1": Answer(
            202, {"Location": "/u/1", "Range": f"0-{LAYER.size - 1}"}, needs={"Content-Range": f"0-{LAYER.size - 1}"}
        ),
        "GET /u/1": Answer(404),
    }
    with Script(table) as script:
        assert push_blob(repository(script, "r.example/app", tmp_path, push=True), LAYER, opened) == "pushed"


# ------------------------------------------------------------------------------- distribution 2.8, and the referrers


def test_distribution_knows_no_referrers_and_gets_a_fallback_tag(tmp_path):
    # oras-project/rust-oci-client#259; what the entry must hold: sigstore/cosign#4641
    attached = json.dumps(
        {**json.loads(MANIFEST), "artifactType": "a/b", "subject": descriptor(OCI_MANIFEST, MANIFEST)}
    ).encode()
    desc = Descriptor(OCI_MANIFEST, Digest(digest_of(attached)), len(attached))
    tag = spec.referrers_tag(TOP.digest)
    table = {
        f"PUT /v2/app/manifests/{desc.digest}": Answer(201, {"Docker-Content-Digest": desc.digest}),
        f"GET /v2/app/manifests/{tag}": Answer(404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'),
        f"PUT /v2/app/manifests/{tag}": Answer(201),
        f"GET /v2/app/referrers/{TOP.digest}": Answer(404),
    }
    with Script(table) as script:
        repo = repository(script, "r.example/app", tmp_path, push=True)
        repo.push_manifest(desc, attached)
        index = script.asked(f"PUT /v2/app/manifests/{tag}")[0][3]
        (entry,) = json.loads(index)["manifests"]
        assert (entry["digest"], entry["artifactType"]) == (desc.digest, "a/b")
        script.table[f"GET /v2/app/manifests/{tag}"] = [
            Answer(200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, index)
        ]
        assert [found.digest for found in repo.referrers(TOP)] == [desc.digest]
        assert list(repo.referrers(TOP, "other/type")) == []


def test_warnings_of_a_registry_are_kept(tmp_path):
    answer = Answer(
        200, {**AS_MANIFEST, "Content-Length": str(TOP.size), "Warning": '299 - "this registry closes in May"'}
    )
    with Script({"HEAD /v2/app/manifests/1": answer}) as script:
        repo = repository(script, "r.example/app", tmp_path)
        repo.resolve("1")
        assert repo.warnings == ["this registry closes in May"]
