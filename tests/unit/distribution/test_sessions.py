# SPDX-License-Identifier: Apache-2.0
"""Sessions, tokens and the transport together, against a registry in this process."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time

import pytest

from fakes.imaging import QUICK
from fakes.registry import FakeRegistry, Fault
from fakes.script import Answer, Script
from scow.distribution import spec
from scow.distribution.client import ClientOptions, RegistryClient
from scow.distribution.http1 import Timeouts
from scow.distribution.repository import DigestMismatchError
from scow.distribution.transport import RedirectError, _check_redirect
from scow.distribution.wire import ConnectionLostError
from scow.errors import CancelledError, LimitError, RateLimitError, ScowError, UnauthenticatedError
from scow.oci.model import Descriptor
from scow.oci.reference import Reference
from scow.record import replace

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def client(tmp_path, environ=None, **kwargs):
    return RegistryClient(str(tmp_path), {"SCOW_DAEMON_JSON": "", **(environ or {})}, retry=QUICK, **kwargs)


def repository(registry, tmp_path, name="a/b", **kwargs):
    push = kwargs.pop("push", False)
    return client(tmp_path, **kwargs).repository(Reference.parse(f"{registry.address}/{name}"), push=push)


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        fake.put_manifest("a/b", b'{"schemaVersion":2}', MANIFEST, "v1")
        yield fake


# ------------------------------------------------------------------------------------------------------- tokens


@pytest.fixture
def guarded():
    with FakeRegistry(tokens={"user": "pass"}) as fake:
        fake.put_manifest("a/b", b'{"schemaVersion":2}', MANIFEST, "v1")
        yield fake


def test_anonymous_pulls_get_a_token(guarded, tmp_path):
    repo = repository(guarded, tmp_path)
    assert repo.resolve("v1").size == 19
    repo.manifest("v1")
    assert len(guarded.requests(route="token")) == 1


def test_pushing_needs_a_user(guarded, tmp_path):
    with pytest.raises(UnauthenticatedError):
        repository(guarded, tmp_path, push=True).push_manifest(Descriptor(MANIFEST, spec_digest(b"{}"), 2), b"{}", "v2")
    repo = repository(guarded, tmp_path, push=True, options=ClientOptions(creds="user:pass"))
    repo.push_manifest(Descriptor(MANIFEST, spec_digest(b"{}"), 2), b"{}", "v2")
    assert guarded.tags["a/b"]["v2"] == spec_digest(b"{}")


def spec_digest(raw):
    from scow.oci.digest import sha256_digest

    return sha256_digest(raw)


def test_a_token_that_expires_is_renewed(guarded, tmp_path):
    repo = repository(guarded, tmp_path, options=ClientOptions(creds="user:pass"))
    repo.resolve("v1")
    guarded.valid_tokens.clear()
    repo.resolve("v1")
    assert len(guarded.requests(route="token")) == 2


def test_wrong_passwords_are_told(guarded, tmp_path):
    repo = repository(guarded, tmp_path, options=ClientOptions(creds="user:wrong"))
    with pytest.raises(UnauthenticatedError, match="incorrect username or password"):
        repo.resolve("v1")
    assert len(guarded.requests(route="token")) == 1


def test_many_threads_share_one_token(guarded, tmp_path):
    repo = repository(guarded, tmp_path)
    failures = []

    def ask():
        try:
            repo.manifest("v1")
        except ScowError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(guarded.requests(route="token")) <= 8
    count = len(guarded.requests(route="token"))
    repo.manifest("v1")
    assert len(guarded.requests(route="token")) == count


def test_login_gives_an_identity_token_that_works(guarded, tmp_path):
    from scow.distribution.accounts import login, logout

    first = client(tmp_path)
    login(first, guarded.address, "user", "pass")
    known = first.credentials.get(guarded.address)
    assert (known.secret, known.identity_token) == ("", "refresh-me")
    repo = repository(guarded, tmp_path, push=True)
    repo.push_manifest(Descriptor(MANIFEST, spec_digest(b"{}"), 2), b"{}", "v2")
    assert [r.method for r in guarded.requests(route="token")][-1] == "POST"
    # a token to be kept is asked for by the login alone
    assert [r.query.get("offline_token") for r in guarded.requests("GET", "token")] == ["true"]
    assert logout(first, guarded.address) == guarded.address


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="ftp://x/token"',
        'Bearer service="x"',
        "Digest realm=x",
        "",
    ],
)
def test_challenges_that_lead_nowhere(registry, tmp_path, header):
    registry.hook = lambda r: None if r.route == "ping" else (401, {"WWW-Authenticate": header}, b"")
    with pytest.raises(ScowError):
        repository(registry, tmp_path).resolve("v1")


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b'{"token": 5}', b'{"token": "a\\nb"}', b'{"nothing": "x"}', b"x" * 2_000_000],
)
def test_token_servers_that_answer_nonsense(guarded, tmp_path, answer):
    guarded.hook = lambda r: (200, {}, answer) if r.route == "token" else None
    with pytest.raises(ScowError):
        repository(guarded, tmp_path).resolve("v1")


# ---------------------------------------------------------------------------------------------- redirects, limits


def other_server(handle):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            handle(self)

        do_HEAD = do_GET  # noqa: N815

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_redirect_takes_no_credentials_along(tmp_path):
    seen = []
    with FakeRegistry(auth="user:pass") as registry:
        data = b"blob" * 100
        digest = registry.put_blob("a/b", data)

        def handle(handler):
            seen.append(dict(handler.headers.items()))
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        other = other_server(handle)
        place = f"http://127.0.0.1:{other.server_address[1]}/signed?sig=1"
        registry.hook = lambda r: (
            (307, {"Location": place}, b"") if r.route == "blob" and r.headers.get("Authorization") else None
        )
        repo = repository(registry, tmp_path, options=ClientOptions(creds="user:pass"))
        with repo.fetch(Descriptor("x", digest_type(digest), len(data)), offset=0) as stream:
            assert stream.read() == data
        other.shutdown()
    assert "Authorization" not in seen[0]


def test_an_address_elsewhere_that_the_registry_gives_gets_no_credentials(tmp_path):
    seen = []

    def handle(handler):
        seen.append(dict(handler.headers.items()))
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", "Basic realm=mine")
        handler.end_headers()

    other = other_server(handle)
    with FakeRegistry(auth="user:pass") as registry:
        repo = repository(registry, tmp_path, options=ClientOptions(creds="user:pass"))
        repo.tags()
        place = f"http://127.0.0.1:{other.server_address[1]}/upload?sig=1"
        with pytest.raises(UnauthenticatedError):
            repo.origin.request("push a/b", "GET", place)
    other.shutdown()
    assert len(seen) == 1
    assert "Authorization" not in seen[0]


def test_where_the_configuration_leads_instead_gets_no_credentials_of_the_named_registry(tmp_path):
    with FakeRegistry(auth="user:pass") as registry:
        registry.put_manifest("moved/b", b'{"schemaVersion":2}', MANIFEST, "v1")
        conf = tmp_path / "registries.conf"
        conf.write_text(f'[[registry]]\nprefix = "was.example/a"\nlocation = "{registry.address}/moved"\n')
        named = Reference.parse("was.example/a/b:v1")
        where = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
        for creds in ("", "user:pass"):
            repo = client(tmp_path, where, options=ClientOptions(creds=creds)).repository(named)
            with pytest.raises(UnauthenticatedError):
                repo.manifest("v1")
        secret = base64.b64encode(b"user:pass").decode()
        auths = {"auths": {"was.example": {"auth": secret}}}
        (tmp_path / "config.json").write_text(json.dumps(auths))
        with pytest.raises(UnauthenticatedError):
            client(tmp_path, where).repository(named).manifest("v1")
        auths["auths"][registry.address] = {"auth": secret}
        (tmp_path / "config.json").write_text(json.dumps(auths))
        assert client(tmp_path, where).repository(named).manifest("v1").descriptor.size == 19


def digest_type(text):
    from scow.oci.digest import Digest

    return Digest(text)


@pytest.mark.parametrize("target", ["self", "file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://[::1", "//"])
def test_redirects_that_are_not_followed(registry, tmp_path, target):
    def loop(request):
        if request.route != "manifest":
            return None
        return 302, {"Location": request.path if target == "self" else target}, b""

    registry.hook = loop
    with pytest.raises(spec.BadAnswerError):
        repository(registry, tmp_path).resolve("v1")
    assert len(registry.requests(route="manifest")) <= 12


def test_no_redirect_leads_out_of_tls():
    with pytest.raises(RedirectError, match="from https to http"):
        _check_redirect("https://r.example/v2/", "http://r.example/v2/")
    _check_redirect("https://r.example/v2/", "https://cdn.example/x?sig=1")
    _check_redirect("http://r.example/v2/", "http://cdn.example/")


def test_retry_after_is_honoured_up_to_a_bound(registry, tmp_path):
    left = [1]

    def limit(request):
        if request.route == "manifest" and left[0]:
            left[0] -= 1
            return 429, {"Retry-After": "0.3"}, b""
        return None

    registry.hook = limit
    before = time.monotonic()
    repository(registry, tmp_path).resolve("v1")
    assert time.monotonic() - before >= 0.3
    registry.hook = lambda r: (429, {"Retry-After": "3600"}, b"") if r.route == "manifest" else None
    before = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        repository(registry, tmp_path).resolve("v1")
    assert caught.value.retry_after == 3600
    assert time.monotonic() - before < 200


def test_answers_larger_than_expected_are_not_read(registry, tmp_path):
    registry.hook = lambda r: (200, {"Content-Type": MANIFEST}, b"x" * 5_000_000) if r.route == "manifest" else None
    with pytest.raises(LimitError):
        repository(registry, tmp_path).manifest("v1")


def test_a_closed_client_ends_what_waits(registry, tmp_path):
    moving = client(tmp_path)
    repo = moving.repository(Reference.parse(f"{registry.address}/a/b"))
    asked, over, failure = threading.Event(), threading.Event(), []

    def stall(request):
        if request.route == "manifest":
            asked.set()
            over.wait(250)

    registry.hook = stall

    def ask():
        try:
            repo.manifest("v1")
        except ScowError as error:
            failure.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(90)
    moving.close()
    thread.join(90)
    assert not thread.is_alive()
    over.set()
    assert isinstance(failure[0], (CancelledError, ConnectionLostError))


def test_a_kept_connection_that_was_closed_is_made_anew(registry, tmp_path):
    repo = repository(registry, tmp_path)
    repo.manifest("v1")
    closing = [True]

    def close_once(request):
        if closing.pop() if closing else False:
            raise Fault

    registry.hook = close_once
    repo.manifest("v1")


def test_connections_are_used_again(registry, tmp_path):
    from fakes.proxy import CuttingProxy

    with CuttingProxy(registry.address) as proxy:
        repo = client(tmp_path).repository(Reference.parse(f"{proxy.address}/a/b"))
        digest = registry.put_blob("a/b", b"x" * 100_000)
        for _ in range(5):
            repo.resolve("v1")
            repo.manifest("v1")
            assert repo.exists(Descriptor("x", digest_type(digest), 100_000))
            with pytest.raises(ScowError):
                repo.resolve("v2")
            with repo.fetch(Descriptor("x", digest_type(digest), 100_000)) as stream:
                assert len(stream.read()) == 100_000
            repo.push_manifest(Descriptor(MANIFEST, spec_digest(b"{}"), 2), b"{}", "v3")
        assert proxy.connections == 1


def test_the_name_of_the_program_and_the_users_headers_are_sent(registry, tmp_path):
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"X-Meta": "yes"}}')
    repository(registry, tmp_path, user_agent="scow/test").resolve("v1")
    (request,) = registry.requests(route="manifest")
    assert (request.headers["User-Agent"], request.headers["X-Meta"]) == ("scow/test", "yes")


@pytest.mark.parametrize("name", ["localhost:99999/a", "r.example:99999/a"])
def test_ports_that_do_not_exist(tmp_path, name):
    with pytest.raises(ScowError):
        client(tmp_path).repository(Reference.parse(name)).resolve("v1")


def test_ipv6(tmp_path):
    try:
        fake = FakeRegistry(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with fake:
        fake.put_manifest("a/b", b'{"schemaVersion":2}', MANIFEST, "v1")
        assert repository(fake, tmp_path).resolve("v1").size == 19


def test_nobody_listens(tmp_path):
    repo = client(tmp_path).repository(Reference.parse("127.0.0.1:1/a/b"))
    with pytest.raises(ConnectionLostError, match="refused"):
        repo.resolve("v1")


def test_what_is_no_registry_at_all(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def shout():
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                sock.sendall(b"SSH-2.0-OpenSSH_9\r\n")
                sock.close()

        threading.Thread(target=shout, daemon=True).start()
        repo = client(tmp_path, timeouts=Timeouts(90, 90, 90)).repository(
            Reference.parse(f"127.0.0.1:{server.getsockname()[1]}/a/b")
        )
        with pytest.raises(ConnectionLostError):
            repo.resolve("v1")


def test_headers_that_come_byte_by_byte_are_given_up(tmp_path):
    import socket

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def dribble():
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not over.wait(0.001):
                    try:
                        sock.sendall(b"x")
                    except OSError:
                        return

        for _ in range(2):  # plain, and then TLS
            threading.Thread(target=dribble, daemon=True).start()
        repo = client(tmp_path, timeouts=Timeouts(connect=90, read=90, headers=0.3)).repository(
            Reference.parse(f"127.0.0.1:{server.getsockname()[1]}/a/b")
        )
        with pytest.raises(ConnectionLostError, match="in time"):
            repo.origin.request("pull a/b", "GET", "/v2/", attempts=1)
        over.set()


def test_a_manifest_of_another_size_than_its_parent_says(registry, tmp_path):
    repo = repository(registry, tmp_path)
    desc = repo.resolve("v1")
    assert repo.manifest(desc.digest, desc).raw == b'{"schemaVersion":2}'
    with pytest.raises(DigestMismatchError, match="has 19 bytes instead of 20"):
        repo.manifest(desc.digest, replace(desc, size=20))


# -------------------------------------------------------------------------------------------------------- mirrors


def test_a_mirror_that_fails_is_passed_over(registry, tmp_path):
    conf = tmp_path / "registries.conf"
    with FakeRegistry() as mirror:
        conf.write_text(
            f'[[registry]]\nlocation = "{registry.address}"\n[[registry.mirror]]\nlocation = "{mirror.address}/cache"\n'
        )
        repo = repository(registry, tmp_path, environ={"CONTAINERS_REGISTRIES_CONF": str(conf)})
        assert repo.resolve("v1").size == 19
        assert [r.name for r in mirror.requests(route="manifest")]
        mirror.put_manifest("cache/a/b", b'{"schemaVersion":2 }', MANIFEST, "v1")
        registry.clear()
        repo = repository(registry, tmp_path, environ={"CONTAINERS_REGISTRIES_CONF": str(conf)})
        assert repo.resolve("v1").size == 20
        assert not registry.log


def test_bytes_that_a_mirror_spoils_come_from_the_registry(registry, tmp_path):
    from fakes.sinks import Sink
    from scow.distribution.blobs import download

    conf = tmp_path / "registries.conf"
    data = b"good" * 50_000
    digest = registry.put_blob("a/b", data)
    with FakeRegistry() as mirror:
        mirror.put_blob("cache/a/b", data)
        mirror.blob_hook = lambda _r, d: d[:-1] + b"!"
        conf.write_text(
            f'[[registry]]\nlocation = "{registry.address}"\n[[registry.mirror]]\nlocation = "{mirror.address}/cache"\n'
        )
        repo = repository(registry, tmp_path, environ={"CONTAINERS_REGISTRIES_CONF": str(conf)})
        sink = Sink()
        download(repo, Descriptor("x", digest_type(digest), len(data)), sink, report=lambda _: None)
    assert bytes(sink.data) == data


@pytest.mark.parametrize("life", [b"1" + b"0" * 4000, b"-1" + b"0" * 4000, b"NaN", b"1e999", b'"x"', b"[]"])
def test_a_token_with_a_life_that_makes_no_sense_is_used_all_the_same(guarded, tmp_path, life):
    token = "odd"
    guarded.valid_tokens[token] = ({"repository:a/b:pull"}, time.time() + 3600)
    answer = b'{"token": "odd", "expires_in": ' + life + b"}"
    guarded.hook = lambda r: (200, {}, answer) if r.route == "token" else None
    assert repository(guarded, tmp_path).resolve("v1").size == 19


def test_what_is_kept_for_getting_tokens_follows_no_redirect(guarded, tmp_path):
    from scow.distribution.accounts import login

    login(client(tmp_path), guarded.address, "user", "pass")
    seen = []
    with Script({"POST /token": Answer(200, body=b'{"token": "x"}')}) as other:
        place = f"http://{other.address}/token"
        guarded.hook = lambda r: (307, {"Location": place}, b"") if (r.method, r.route) == ("POST", "token") else None
        with pytest.raises(ScowError):
            repository(guarded, tmp_path).resolve("v1")
        seen = other.log
    assert not seen


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000])
def test_a_size_that_is_no_number_is_looked_for_with_the_bytes(registry, tmp_path, size):
    digest = registry.tags["a/b"]["v1"]
    told = {"Content-Length": size, "Docker-Content-Digest": digest, "Content-Type": MANIFEST}
    with Script(
        {
            "HEAD /v2/a/b/manifests/v1": Answer(200, told),
            "GET /v2/a/b/manifests/v1": Answer(200, {"Content-Type": MANIFEST}, b'{"schemaVersion":2}'),
            "GET /v2/": Answer(200),
        }
    ) as script:
        assert repository(script, tmp_path).resolve("v1").size == 19


@pytest.mark.parametrize("names", [5, "abc", {"a": 1}, [1, None, ["x"]]])
def test_lists_that_are_none_are_empty(tmp_path, names):
    with Script(
        {
            "GET /v2/a/b/tags/list": Answer(200, body=json.dumps({"tags": names}).encode()),
            "GET /v2/_catalog": Answer(200, body=json.dumps({"repositories": names}).encode()),
            "GET /v2/": Answer(200),
        }
    ) as script:
        assert list(repository(script, tmp_path).tags()) == []
        assert list(client(tmp_path).registry(script.address).catalog()) == []


SUBJECT = "sha256:" + "1" * 64
REFERRERS = f"/v2/a/b/referrers/{SUBJECT}"


def referrers(script, tmp_path):
    return list(repository(script, tmp_path).referrers(Descriptor(MANIFEST, digest_type(SUBJECT), 1)))


def index(*entries, media_type="application/vnd.oci.image.index.v1+json"):
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": list(entries)}).encode()


def test_referrers_that_go_round_in_a_circle_come_to_an_end(tmp_path):
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json", "Link": f'<{REFERRERS}>; rel="next"'}
    entry = {"mediaType": MANIFEST, "digest": SUBJECT, "size": 1}
    with Script({f"GET {REFERRERS}": Answer(200, headers, index(entry)), "GET /v2/": Answer(200)}) as script:
        with pytest.raises(spec.BadAnswerError, match="do not end"):
            referrers(script, tmp_path)
        assert len(script.asked(f"GET {REFERRERS}")) <= 2


def test_referrers_without_end_are_too_many(tmp_path):
    entry = {"mediaType": MANIFEST, "digest": SUBJECT, "size": 1, "annotations": {"x": "y" * 3_000_000}}
    kind = "application/vnd.oci.image.index.v1+json"
    pages = [
        Answer(200, {"Content-Type": kind, "Link": f'<{REFERRERS}?page={number}>; rel="next"'}, index(entry))
        for number in range(20)
    ]
    with Script({f"GET {REFERRERS}": pages, "GET /v2/": Answer(200)}) as script:
        with pytest.raises(LimitError):
            referrers(script, tmp_path)
        assert len(script.asked(f"GET {REFERRERS}")) < 20


def test_a_mirror_that_several_threads_give_up_is_passed_over_once(registry, tmp_path):
    """What each of them sees: it began with the mirror, and another one gave up meanwhile."""
    repo = repository(registry, tmp_path)
    mirror = repository(registry, tmp_path).origin
    repo.sessions = (mirror, repo.origin)
    nested = []

    def call(session):
        if session is mirror:
            if not nested:
                nested.append(1)
                assert repo._anywhere(call) == "here"
            raise LimitError("this mirror is of no use")
        return "here"

    assert repo._anywhere(call) == "here"
