# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry for interop tests: plain, with TLS, with htpasswd, or with a token server of our own."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

import pytest

from fakes.busybox import open_files, until


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def short_folder():
    """A new folder for what peers keep sockets in: podman wants at most 50 characters, a socket at most 107."""
    return tempfile.mkdtemp(prefix="scow-peer-", dir="/tmp")


class DockerRegistry:
    """Use in a ``with`` block; ``address`` is host:port."""

    def __init__(self, folder, *, tls=None, users=None, token=None):
        need("docker-registry")
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.tls = tls
        auth = ""
        if users:
            need("htpasswd")
            path = os.path.join(self.folder, "htpasswd")
            lines = [
                subprocess.check_output(["htpasswd", "-nbBC", "4", u, p], text=True).strip() for u, p in users.items()
            ]
            with open(path, "w") as file:
                file.write("\n".join(lines) + "\n")
            auth = f'auth: {{htpasswd: {{realm: test, path: "{path}"}}}}\n'
        if token is not None:
            auth = (
                f'auth: {{token: {{realm: "{token.realm}", service: test, issuer: test, '
                f'rootcertbundle: "{token.certificate}"}}}}\n'
            )
        self.auth = auth

    def _take_port(self):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        certificates = f', tls: {{certificate: "{self.tls.certificate}", key: "{self.tls.key}"}}' if self.tls else ""
        self.config = os.path.join(self.folder, "config.yml")
        with open(self.config, "w") as file:
            file.write(
                "version: 0.1\n"
                "log: {level: error, accesslog: {disabled: true}}\n"
                f'storage: {{filesystem: {{rootdirectory: "{self.folder}/data"}}, delete: {{enabled: true}}}}\n'
                f'http: {{addr: "{self.address}"{certificates}}}\n' + self.auth
            )

    def __enter__(self):
        self.log = open(os.path.join(self.folder, "log"), "wb")
        for _ in range(5):
            self._take_port()
            self.process = subprocess.Popen(["docker-registry", "serve", self.config], stdout=self.log, stderr=self.log)
            assert until(lambda: self.process.poll() is not None or self._listens()), "docker-registry does not listen"
            if self.process.poll() is None:
                return self
            said = open(self.log.name).read()
            if "address already in use" not in said:  # somebody may have taken the port in the meantime
                break
        raise RuntimeError(said)

    def _listens(self):
        """Whether this very server does, not somebody who took the port before it."""
        with open("/proc/net/tcp") as file:
            fields = [line.split() for line in file][1:]
        theirs = f"0100007F:{self.port:04X}", "0A"
        sockets = {f"socket:[{found[9]}]" for found in fields if (found[1], found[3]) == theirs}
        return not sockets.isdisjoint(open_files(self.process.pid))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Certificates:
    """A certificate authority of our own, and a certificate for 127.0.0.1, localhost and registry.example."""

    def __init__(self, folder):
        need("openssl")
        folder = str(folder)
        os.makedirs(folder, exist_ok=True)
        self.ca, self.ca_key = f"{folder}/ca.crt", f"{folder}/ca.key"
        self.certificate, self.key = f"{folder}/server.crt", f"{folder}/server.key"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run(
            [*new, "-x509", "-days", "2", "-subj", "/CN=test ca", "-keyout", self.ca_key, "-out", self.ca], **quiet
        )
        subprocess.run([*new, "-subj", "/CN=server", "-keyout", self.key, "-out", f"{folder}/server.csr"], **quiet)
        with open(f"{folder}/ext", "w") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.example\n")
        subprocess.run(
            [
                *("openssl", "x509", "-req", "-in", f"{folder}/server.csr", "-CA", self.ca, "-CAkey", self.ca_key),
                *("-CAcreateserial", "-days", "2", "-extfile", f"{folder}/ext", "-out", self.certificate),
            ],
            **quiet,
        )


class _Served:
    """Its ``server`` serves for the length of a ``with`` block."""

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Tunnels(_Served):
    """A proxy with a password that knows ``CONNECT`` only, and leads everybody to one address."""

    def __init__(self, host, port, credentials):
        outer = self
        self.asked = []
        wanted = "Basic " + base64.b64encode(credentials.encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                outer.asked.append(self.path)
                self.close_connection = True
                if self.headers.get("Proxy-Authorization") != wanted:
                    self.send_error(407)
                    return
                with socket.create_connection((host, port)) as there:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=outer._carry, args=(there, self.connection), daemon=True)
                    back.start()
                    outer._carry(self.connection, there)
                    back.join()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{credentials}@127.0.0.1:{self.server.server_address[1]}"

    @staticmethod
    def _carry(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class TokenServer(_Served):
    """Signs JWTs for docker-registry with openssl; knows one user, and lets everybody pull from ``public/``."""

    def __init__(self, folder, users):
        need("openssl")
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.users = users
        self.key, self.certificate = f"{self.folder}/token.key", f"{self.folder}/token.crt"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=token"),
                *("-keyout", self.key, "-out", self.certificate),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                outer.asked.append((query, self.headers.get("Authorization")))
                outer.answer(self, query)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"

    def answer(self, handler, query):
        user = ""
        header = handler.headers.get("Authorization") or ""
        if header.startswith("Basic "):
            user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            if self.users.get(user) != password:
                handler.send_response(401)
                handler.end_headers()
                return
        access = []
        for scope in query.get("scope", []):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            wanted = actions.split(",")
            allowed = wanted if user else [a for a in wanted if a == "pull" and name.startswith("public/")]
            if allowed:
                access.append({"type": kind, "name": name, "actions": allowed})
        body = json.dumps({"token": self.sign(user, access), "expires_in": 300}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def sign(self, user, access):
        def encode(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        with open(self.certificate) as file:
            der = "".join(line.strip() for line in file if "-----" not in line)
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {"iss": "test", "sub": user, "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now}
        claims |= {"jti": uuid.uuid4().hex, "access": access}
        text = encode(json.dumps(head).encode()) + "." + encode(json.dumps(claims).encode())
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), capture_output=True, check=True
        )
        return text + "." + encode(done.stdout)
