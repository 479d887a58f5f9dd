# SPDX-License-Identifier: Apache-2.0
"""The server on loopback: bodies, broken connections, accounts, TLS, and its end."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time

import bcrypt
import pytest

from fakes.private_registry import PrivateRegistry, codes, digest_of, manifest
from scow.distribution.spec import uploaded
from scow.errors import InvalidArgumentError, UnavailableError
from scow.registry.collecting import collect
from scow.registry.front import Policy
from scow.registry.server import Listen, Server, parse_address

BIG = os.urandom(3 << 20)
D = digest_of(BIG)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        (":5000", ("", 5000)),
        ("[::1]:0", ("::1", 0)),
        ("registry.example:443", ("registry.example", 443)),
    ],
)
def test_addresses(text, wanted):
    assert parse_address(text) == wanted


@pytest.mark.parametrize("text", ["", "5000", "host", "::1:5000", "host:x", "host:70000", "host:-1"])
def test_what_is_no_address(text):
    with pytest.raises(InvalidArgumentError):
        parse_address(text)


def test_a_blob_there_and_back(served):
    served.push_blob("r", BIG)
    whole = served.ask("GET", f"/v2/r/blobs/{D}")
    assert (whole.status, whole.data, whole.getheader("Docker-Content-Digest")) == (200, BIG, D)
    part = served.ask("GET", f"/v2/r/blobs/{D}", Range="bytes=100-1500000")
    assert (part.status, part.data) == (206, BIG[100:1500001])
    head = served.ask("HEAD", f"/v2/r/blobs/{D}")
    assert (head.status, head.getheader("Content-Length"), head.data) == (200, str(len(BIG)), b"")
    none = served.ask("GET", f"/v2/r/blobs/{D}", Range=f"bytes={len(BIG)}-")
    assert (none.status, none.getheader("Content-Range")) == (416, f"bytes */{len(BIG)}")
    assert served.ask("GET", f"/v2/r/blobs/{D}", If_None_Match=f'"{D}"').status == 304
    assert served.ask("GET", f"/v2/r/blobs/{D.replace(':', '%3A')}").status == 200


def test_the_ways_to_push(served):
    single = served.ask("POST", f"/v2/one/blobs/uploads/?digest={D}", BIG)
    assert (single.status, single.getheader("Location")) == (201, f"/v2/one/blobs/{D}")
    where = served.begin("two")
    streamed = served.ask("PATCH", where, iter([BIG[:100], BIG[100:]]))  # chunked transfer coding
    assert (streamed.status, uploaded(streamed.getheader("Range"))) == (202, len(BIG))
    assert served.ask("PUT", f"{where}?digest={D}").status == 201
    where = served.begin("three")
    half = len(BIG) // 2
    assert served.ask("PATCH", where, BIG[:half], Content_Range=f"0-{half - 1}").status == 202
    assert served.ask("PATCH", where, BIG[:half], Content_Range=f"0-{half - 1}").status == 416
    assert served.ask("PUT", f"{where}?digest={D}", BIG[half:], Content_Range=f"{half}-{len(BIG) - 1}").status == 201
    for name in ("one", "two", "three"):
        assert served.ask("GET", f"/v2/{name}/blobs/{D}").data == BIG
    assert os.listdir(os.path.join(served.store.root, "ingest")) == []


def test_wrong_digests_leave_nothing(served):
    wrong = digest_of(b"other")
    for answer in (
        served.ask("POST", f"/v2/r/blobs/uploads/?digest={wrong}", BIG),
        served.ask("PUT", f"{served.begin('r')}?digest={wrong}", BIG),
    ):
        assert (answer.status, codes(answer)) == (400, ["DIGEST_INVALID"])
    assert os.listdir(os.path.join(served.store.root, "ingest")) == []
    assert list(served.store.content) == []


def half_a_patch(served, where):
    """Send all but the last byte of a body; return the connection once a good part of it has been written down."""
    host, port = served.address.split(":")
    peer = socket.create_connection((host, int(port)))
    peer.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BIG)}\r\n\r\n".encode() + BIG[:-1])
    path = os.path.join(served.store.root, "ingest", where.rpartition("/")[2])
    while os.stat(path).st_size < 1 << 20:
        time.sleep(0.01)
    return peer


def go_on(served, where):
    """Ask how far an upload is and send the rest."""
    status = served.ask("GET", where)
    have = uploaded(status.getheader("Range"))
    assert (status.status, have >= 1 << 20) == (204, True)
    rest = served.ask("PATCH", where, BIG[have:], Content_Range=f"{have}-{len(BIG) - 1}")
    assert rest.status == 202
    assert served.ask("PUT", f"{where}?digest={D}").status == 201
    assert served.ask("GET", f"/v2/r/blobs/{D}").data == BIG


def test_an_upload_goes_on_where_its_connection_broke(served):
    where = served.begin("r")
    half_a_patch(served, where).close()
    go_on(served, where)


def test_what_a_stalled_upload_brought_stays_when_its_server_ends(tmp_path):
    with PrivateRegistry(tmp_path / "r") as first:
        where = first.begin("r")
        peer = half_a_patch(first, where)
    with peer, PrivateRegistry(tmp_path / "r") as second:
        go_on(second, where)


def test_an_upload_outlives_its_server(tmp_path):
    with PrivateRegistry(tmp_path / "r") as first:
        where = first.begin("r")
        assert first.ask("PATCH", where, BIG[:1000]).status == 202
    with PrivateRegistry(tmp_path / "r") as second:
        assert second.ask("PUT", f"{where}?digest={D}", BIG[1000:]).status == 201
        assert second.ask("GET", f"/v2/r/blobs/{D}").data == BIG


def test_two_servers_of_one_directory(tmp_path):
    with PrivateRegistry(tmp_path / "r") as one, PrivateRegistry(tmp_path / "r") as two:
        where = one.begin("r")
        assert two.ask("PATCH", where, BIG[:1000]).status == 202
        assert one.ask("PATCH", where, BIG[1000:2000], Content_Range="1000-1999").status == 202
        assert two.ask("PUT", f"{where}?digest={D}", BIG[2000:]).status == 201
        raw = manifest(config=BIG)
        two.push_manifest("r", "latest", raw)
        assert one.ask("GET", "/v2/r/manifests/latest").data == raw
        collect(one.store, age=0)
        assert one.ask("GET", f"/v2/r/blobs/{D}").data == BIG


def test_the_same_blob_from_six_at_once(served):
    failures = []

    def push():
        try:
            served.push_blob("r", BIG)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert served.ask("GET", f"/v2/r/blobs/{D}").data == BIG


def test_limits(tmp_path):
    with PrivateRegistry(tmp_path / "r", Policy(max_blob_size=1000)) as served:
        told = served.ask("PATCH", served.begin("r"), b"x" * 1001)
        assert (told.status, codes(told)) == (413, ["SIZE_INVALID"])
        where = served.begin("r")
        assert served.ask("PATCH", where, iter([b"x" * 600, b"x" * 600])).status == 413  # its length is not told
        assert uploaded(served.ask("GET", where).getheader("Range")) == 0
        large = served.ask("PUT", "/v2/r/manifests/x", b"x" * ((4 << 20) + 1))
        assert (large.status, codes(large)) == (413, ["MANIFEST_INVALID"])
        assert served.ask("PUT", "/v2/r/manifests/x", iter([b"x" * (3 << 20)] * 2)).status == 413


def test_a_body_is_asked_for_only_when_it_is_wanted(served):
    host, port = served.address.split(":")
    for where, wanted in ((served.begin("r"), b"HTTP/1.1 100 Continue"), ("/v2/r/blobs/uploads/x", b"HTTP/1.1 404")):
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(
                f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert peer.recv(4096).startswith(wanted)


def test_a_body_is_kept_as_it_came_whatever_coding_it_claims(served):
    digest = digest_of(b"not gzip")
    done = served.ask("PUT", f"{served.begin('r')}?digest={digest}", b"not gzip", Content_Encoding="gzip")
    assert done.status == 201


def test_images_searches_and_pulls_that_are_counted(tmp_path):
    with PrivateRegistry(tmp_path / "r") as served:
        raw = served.push_image("library/app", "v1", BIG)
        for _ in range(3):
            assert served.ask("GET", "/v2/library/app/manifests/v1").data == raw
        served.ask("HEAD", "/v2/library/app/manifests/v1")
        assert served.ask("PUT", "/v2/library/app/manifests/v2", raw, Content_Type="text/html").status == 400
    with PrivateRegistry(tmp_path / "r") as again:
        (found,) = json.loads(again.ask("GET", "/v1/search?q=ap").data)["results"]
        assert (found["name"], found["star_count"], found["is_official"]) == ("library/app", 3, True)


def test_several_accept_headers_count_together(served):
    served.push_image("r", "v1")
    host, port = served.address.split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(
            b"GET /v2/r/manifests/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/html\r\n"
            b"Accept: application/vnd.oci.image.manifest.v1+json\r\n\r\n"
        )
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
    assert served.ask("GET", "/v2/r/manifests/v1", Accept="text/html").status == 404


def test_nonsense_is_answered_and_fills_no_log(served, capfd):
    host, port = served.address.split(":")
    for nonsense in (
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(nonsense)
            assert peer.recv(4096).split()[1] == b"400"
    assert served.ask("GET", "/v2/").getheader("Server") == "scow"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "path", ["/v2/../../etc/passwd", "/v2/r/blobs/..%2f..%2fscow.db", "/v2/r/manifests/%00", "/%2e%2e/v2/"]
)
def test_paths_that_try_to_climb(served, path):
    served.push_blob("r", b"x")
    assert served.ask("GET", path).status in {400, 404}


def test_accounts(tmp_path):
    stored = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"alice:{stored}\n")
    with PrivateRegistry(tmp_path / "r", listen=Listen(htpasswd=str(tmp_path / "htpasswd"))) as served:
        stranger = served.ask("GET", "/v2/")
        assert (stranger.status, codes(stranger)) == (401, ["UNAUTHORIZED"])
        assert stranger.getheader("WWW-Authenticate").startswith("Basic ")
        right = {"Authorization": "Basic " + base64.b64encode(b"alice:s3cret").decode()}
        wrong = {"Authorization": "Basic " + base64.b64encode(b"alice:guess").decode()}
        assert [served.ask("GET", "/v2/", **right).status for _ in range(2)] == [200, 200]
        assert served.ask("GET", "/v2/", **wrong).status == 401
        assert served.ask("POST", "/v2/r/blobs/uploads/").status == 401
        assert any('alice "GET /v2/" 200' in line for line in served.log)


def test_accounts_with_rules(tmp_path):
    lines = [f"{user}:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}" for user in ("alice", "bob")]
    (tmp_path / "htpasswd").write_text("\n".join(lines))
    (tmp_path / "rules").write_text("alice team/* push\n* team/app pull\n")
    listen = Listen(htpasswd=str(tmp_path / "htpasswd"), access=str(tmp_path / "rules"))
    with PrivateRegistry(tmp_path / "r", listen=listen) as served:

        def status(user, method, path, body=None):
            key = base64.b64encode(f"{user}:x".encode()).decode()
            return served.ask(method, path, body, Authorization=f"Basic {key}").status

        assert status("alice", "POST", f"/v2/team/app/blobs/uploads/?digest={digest_of(b'x')}", b"x") == 201
        assert status("bob", "GET", f"/v2/team/app/blobs/{digest_of(b'x')}") == 200
        assert status("bob", "POST", "/v2/team/app/blobs/uploads/") == 403
        assert status("bob", "GET", "/v2/") == 200
        (tmp_path / "rules").write_text("nonsense\n")
        assert status("bob", "POST", "/v2/team/app/blobs/uploads/") == 403
        assert any("line 1" in line and "counts" in line for line in served.log)


def test_some_things_for_everybody(tmp_path):
    (tmp_path / "htpasswd").write_text(f"alice:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}\n")
    (tmp_path / "rules").write_text("anonymous public/* pull\nalice * push\n")
    listen = Listen(htpasswd=str(tmp_path / "htpasswd"), access=str(tmp_path / "rules"))
    basic = {"Authorization": "Basic " + base64.b64encode(b"alice:x").decode()}

    def bearer(answer):
        return {"Authorization": "Bearer " + json.loads(answer.data)["token"]}

    with PrivateRegistry(tmp_path / "r", listen=listen) as served:
        ping = served.ask("GET", "/v2/")
        assert ping.status == 401
        assert ping.getheader("WWW-Authenticate") == f'Bearer realm="{served.url}/token",service="{served.address}"'
        nobody, alice = bearer(served.ask("GET", "/token")), bearer(served.ask("GET", "/token", **basic))
        assert served.ask("GET", "/v2/", **nobody).status == served.ask("GET", "/v2/", **alice).status == 200
        for name in ("public/app", "team/app"):
            done = served.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(b'x')}", b"x", **alice)
            assert done.status == 201
        public, team = (f"/v2/{name}/blobs/{digest_of(b'x')}" for name in ("public/app", "team/app"))
        assert [served.ask("GET", public, **who).status for who in ({}, nobody, alice, basic)] == [200] * 4
        assert [served.ask("GET", team, **who).status for who in ({}, nobody, alice, basic)] == [401, 401, 200, 200]
        refused = served.ask("POST", "/v2/public/app/blobs/uploads/", **nobody)
        assert refused.status == 401
        assert refused.getheader("WWW-Authenticate").endswith('scope="repository:public/app:pull,push"')
        assert served.ask("GET", "/token", Authorization="Basic YWxpY2U6eQ==").status == 401
        assert served.ask("GET", public, Authorization="Bearer x.y").status == 401
        (tmp_path / "rules").write_text("alice * push\n")
        assert served.ask("GET", public, **nobody).status == 401
        assert served.ask("GET", public).getheader("WWW-Authenticate").startswith("Basic")


def test_what_cannot_be_used_is_said_before_serving(tmp_path, store):
    with pytest.raises(InvalidArgumentError, match="certificate"):
        Server(store, Policy(), Listen(certificate=str(tmp_path / "none")), print)
    with pytest.raises(UnavailableError):
        Server(store, Policy(), Listen(htpasswd=str(tmp_path / "none")), print)


def test_an_address_that_is_taken(served, tmp_path):
    import asyncio

    host, port = served.address.split(":")
    other = Server(served.store, Policy(), Listen(host, int(port)), print)

    async def main():
        await other.serve(print, asyncio.Event())

    with pytest.raises(UnavailableError, match=f"cannot listen at {served.address}"):
        asyncio.run(main())
