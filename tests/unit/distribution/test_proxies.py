# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import http.server
import threading

import pytest

from fakes.registry import FakeRegistry
from scow.distribution.proxies import Proxies, in_network, is_loopback
from scow.distribution.tls import TlsPolicy
from scow.distribution.transport import HttpTransport
from scow.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("host", "port", "wanted"),
    [
        ("example.com", 443, "http://p:3128"),
        ("localhost", 443, ""),
        ("127.0.0.9", 443, ""),
        ("::1", 443, ""),
        ("a.direct.org", 443, ""),
        ("direct.org", 443, ""),
        ("notdirect.org", 443, "http://p:3128"),
        ("dot.net", 443, ""),
        ("x.dot.net", 443, ""),
        ("10.1.2.3", 443, ""),
        ("11.1.2.3", 443, "http://p:3128"),
        ("ported.org", 5000, ""),
        ("ported.org", 443, "http://p:3128"),
        ("x.star.org", 443, ""),
    ],
)
def test_who_goes_through_the_proxy(host, port, wanted):
    environ = {"HTTPS_PROXY": "p:3128", "no_proxy": "direct.org, .dot.net,10.0.0.0/8,ported.org:5000,*.star.org"}
    assert Proxies(environ).proxy_for("https", host, port) == wanted


def test_everything_may_be_direct_and_lower_case_wins():
    assert Proxies({"HTTP_PROXY": "http://a", "NO_PROXY": "*"}).proxy_for("http", "x.org", 80) == ""
    assert Proxies({"HTTP_PROXY": "http://a", "http_proxy": "http://b"}).proxy_for("http", "x.org", 80) == "http://b"
    assert Proxies({"HTTP_PROXY": "http://a", "REQUEST_METHOD": "GET"}).proxy_for("http", "x.org", 80) == ""


@pytest.mark.parametrize("text", ["ftp://x", "http://", "http://[", "http://x:99999"])
def test_what_is_no_proxy(text):
    with pytest.raises(InvalidArgumentError):
        Proxies({"https_proxy": text})


def test_loopback_and_networks():
    assert all(map(is_loopback, ("localhost", "127.1.2.3", "[::1]", "x.localhost")))
    assert not any(map(is_loopback, ("127.x.y.z", "localhost.org", "128.0.0.1", "127.0.0.1.evil.org")))
    assert in_network("10.2.3.4", "10.0.0.0/8")
    assert not in_network("name", "10.0.0.0/8")


def test_plain_requests_go_to_the_proxy_with_its_password(tmp_path):
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            seen.append((self.path, self.headers.get("Proxy-Authorization"), self.headers.get("Host")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://user:p%40ss@127.0.0.1:{proxy.server_address[1]}"
        transport = HttpTransport(TlsPolicy(), Proxies({"http_proxy": url}), "t")
        with transport.send("GET", "http://registry.example:5000/v2/?x=1", headers={}) as response:
            assert response.read(10) == b"ok"
        proxy.shutdown()
    assert seen == [("http://registry.example:5000/v2/?x=1", "Basic dXNlcjpwQHNz", "registry.example:5000")]


def test_tls_goes_through_a_tunnel():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_CONNECT(self):
            seen.append(self.path)
            self.send_response(403)
            self.end_headers()

    from scow.distribution.wire import ConnectionLostError

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy, FakeRegistry():
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        transport = HttpTransport(TlsPolicy(), Proxies({"https_proxy": f"127.0.0.1:{proxy.server_address[1]}"}), "t")
        with pytest.raises(ConnectionLostError, match="403"):
            transport.send("GET", "https://registry.example/v2/", headers={})
        proxy.shutdown()
    assert seen == ["registry.example:443"]
