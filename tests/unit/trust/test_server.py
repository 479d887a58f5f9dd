# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json

import pytest

from fakes.trust import GUN, HOST, Answered, client_of
from scow.distribution.client import ClientOptions
from scow.errors import InvalidArgumentError
from scow.trust.failures import MalformedTrustError, TrustServerError
from scow.trust.server import TrustServer, server_url


class Network:
    """Answers each request with what a function says, and remembers them."""

    def __init__(self, answer):
        self.answer = answer
        self.sent = []

    def close(self):
        pass

    def send(self, method, url, *, headers, body=None, redirects=True):
        self.sent.append((method, url, dict(headers), body.open().read() if body is not None else None))
        return Answered(url, *self.answer(url, headers))


def server(network, folder, url="", **options):
    client = client_of(network, folder, options=ClientOptions(**options))
    return TrustServer(client, HOST, GUN, server_url(HOST, url), ["pull", "push"])


@pytest.mark.parametrize(
    ("domain", "configured", "expected"),
    [
        ("docker.io", "", "https://notary.docker.io"),
        ("localhost:5000", "", "https://localhost:5000"),
        ("localhost:5000", "https://notary:4443/", "https://notary:4443"),
        ("docker.io", "https://notary.example/base", "https://notary.example/base"),
    ],
)
def test_where_trust_data_is(domain, configured, expected):
    assert server_url(domain, configured) == expected


@pytest.mark.parametrize("configured", ["http://notary:4443", "notary:4443", "https://", "https://a:b:c", "ftp://x"])
def test_only_https(configured):
    with pytest.raises(InvalidArgumentError) as caught:
        server_url("localhost:5000", configured)
    assert caught.value.message.endswith(f"valid https URL required for trust server, got {configured}")


def test_the_requests(tmp_path):
    network = Network(lambda url, headers: (200, b"{}"))
    asked = server(network, tmp_path, "https://notary.example/base")
    assert asked.get("timestamp", 100) == b"{}"
    asked.publish({"root": b"{1}", "targets/releases": b"{2}"})
    base = f"https://notary.example/base/v2/{GUN}/_trust/tuf/"
    assert [(method, url) for method, url, _, _ in network.sent] == [("GET", base + "timestamp.json"), ("POST", base)]
    boundary = network.sent[1][2]["Content-Type"].removeprefix("multipart/form-data; boundary=")
    assert network.sent[1][3].decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="root"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n{1}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="targets/releases"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n{{2}}\r\n--{boundary}--\r\n"
    )


def test_nothing_to_publish_is_published_all_the_same(tmp_path):
    network = Network(lambda url, headers: (200, b""))
    server(network, tmp_path).publish({})
    body = network.sent[0][3]
    assert body.startswith(b"--")
    assert b"Content-Disposition" not in body


def test_a_token_names_the_repository_in_full(tmp_path):
    def answer(url, headers):
        if url.startswith("https://auth.example/token"):
            return 200, b'{"token":"t0ken"}'
        if headers.get("Authorization") == "Bearer t0ken":
            return 200, b"{}"
        return 401, b"", {"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="notary"'}

    pair = base64.b64encode(b"user:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": pair}}}))
    network = Network(answer)
    assert server(network, tmp_path).get("root", 100) == b"{}"
    token = network.sent[1]
    assert token[1].startswith("https://auth.example/token?service=notary&")
    assert f"scope=repository%3A{GUN.replace(':', '%3A').replace('/', '%2F')}%3Apull%2Cpush" in token[1]
    assert token[2]["Authorization"] == f"Basic {pair}"


def test_no_password_goes_to_a_token_server_in_plain_http(tmp_path):
    challenge = {"WWW-Authenticate": 'Bearer realm="http://auth.example/token"'}
    network = Network(lambda url, headers: (401, b"", challenge))
    with pytest.raises(MalformedTrustError):
        server(network, tmp_path, creds="user:secret").get("root", 100)
    assert len(network.sent) == 1


def test_without_credentials(tmp_path):
    network = Network(lambda url, headers: (401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
    with pytest.raises(TrustServerError, match="you are not authorized to perform this operation"):
        server(network, tmp_path).get("root", 100)


def test_statuses(tmp_path):
    for status, said in ((503, "unable to reach trust server at this time: 503."), (403, "403"), (301, "301")):
        network = Network(lambda url, headers, status=status: (status, b""))
        with pytest.raises(TrustServerError, match=said):
            server(network, tmp_path).get("root", 100)
    assert server(Network(lambda url, headers: (404, b"")), tmp_path).get("root", 100) is None


def test_a_rejection_says_why(tmp_path):
    detail = {"Name": "ErrBadTargets", "Error": {"Msg": "the version is not one higher"}}
    body = json.dumps({"errors": [{"code": "INVALID_UPDATE", "message": "Update sent is invalid", "detail": detail}]})
    network = Network(lambda url, headers: (400, body.encode()))
    with pytest.raises(TrustServerError, match="trust server rejected operation: Update sent is invalid") as caught:
        server(network, tmp_path).publish({"targets": b"{}"})
    assert "the version is not one higher" in caught.value.hint
    assert len(network.sent) == 1, "what may have been taken is not sent again"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors":[{"detail":"text"}]}', b"<html>", b'{"errors":[]}'])
def test_a_rejection_that_says_nothing(tmp_path, body):
    with pytest.raises(TrustServerError, match="trust server rejected operation"):
        server(Network(lambda url, headers: (400, body)), tmp_path).publish({})


def test_more_than_there_may_be(tmp_path):
    with pytest.raises(MalformedTrustError):
        server(Network(lambda url, headers: (200, b"x" * 101)), tmp_path).get("root", 100)


def test_the_servers_keys(tmp_path):
    raw = b'{"keytype":"ed25519","keyval":{"public":"' + base64.b64encode(bytes(32)) + b'","private":null}}'
    asked = server(Network(lambda url, headers: (200, raw)), tmp_path)
    assert asked.key("timestamp").keytype == "ed25519"
    with pytest.raises(MalformedTrustError):
        server(Network(lambda url, headers: (200, b"{}")), tmp_path).key("snapshot")


def test_certificates_are_checked_but_on_this_machine(tmp_path):
    folder = tmp_path / "tls" / "localhost:4443"
    for url, insecure in (
        ("https://notary.example", set()),
        ("https://localhost:4444", {"localhost:4444"}),
        ("https://127.0.0.1:4444/x", {"127.0.0.1:4444"}),
        ("https://localhost:4443", set()),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_text("an authority")
        client = client_of(Network(lambda url, headers: (200, b"{}")), tmp_path)
        assert client.trust_session(url, HOST)._tls._insecure == insecure
