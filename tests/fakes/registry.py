# SPDX-License-Identifier: Apache-2.0
"""A registry in this process for tests: the whole protocol on memory, a log of requests, and faults on demand.

It keeps partial uploads when a connection breaks and tells how far they came, as the specification wants and
docker-registry 2.8 does not.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import socket
import socketserver
import threading
import time
import urllib.parse
import uuid

from fakes.busybox import until

NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
ROUTES = [
    ("ping", re.compile(r"^/v2/?$")),
    ("catalog", re.compile(r"^/v2/_catalog$")),
    ("tags", re.compile(rf"^/v2/{NAME}/tags/list$")),
    ("manifest", re.compile(rf"^/v2/{NAME}/manifests/(?P<ref>[^/]+)$")),
    ("uploads", re.compile(rf"^/v2/{NAME}/blobs/uploads/$")),
    ("upload", re.compile(rf"^/v2/{NAME}/blobs/uploads/(?P<ref>[^/]+)$")),
    ("blob", re.compile(rf"^/v2/{NAME}/blobs/(?P<ref>[^/]+)$")),
    ("referrers", re.compile(rf"^/v2/{NAME}/referrers/(?P<ref>[^/]+)$")),
    ("search", re.compile(r"^/v1/search$")),
    ("token", re.compile(r"^/token$")),
]


class Fault(Exception):  # noqa: N818
    """Raised inside a hook to break the connection."""


class Request:
    def __init__(self, method, path, query, headers):
        self.method, self.path, self.query, self.headers = method, path, query, headers
        self.route, self.name, self.ref = "", "", ""
        self.status = 0
        self.sent = 0
        self.received = 0

    def __repr__(self):
        return f"{self.method} {self.path} -> {self.status} (in {self.received}, out {self.sent})"


class FakeRegistry:
    """Start with ``with FakeRegistry() as r``; ``r.address`` is host:port.

    ``hook(request) -> None | (status, headers, body)`` runs before each request; ``cut_after`` cuts the body of blob
    answers after so many bytes; ``cut_upload_after`` stops reading an upload's body after so many bytes; while ``lost``
    is true nothing more of uploads arrives.
    """

    def __init__(self, *, auth="", referrers=True, ranges=True, tokens=None, tls=None, search=None, host="127.0.0.1"):
        self.blobs = {}
        self.owners = {}
        self.manifests = {}
        self.tags = {}
        self.uploads = {}
        self.log = []
        self.hook = None
        self.blob_hook = None
        self.cut_after = None
        self.cut_upload_after = None
        self.rate = None
        self.lost = False
        self.piece = 65536
        self.auth = auth
        self.tokens = tokens
        self.valid_tokens = {}
        self.referrers = referrers
        self.ranges = ranges
        self.search = search
        self.mount = True
        self.page = 100
        self.chunked = False
        self.lock = threading.RLock()
        self.connections = 0
        registry = self

        class Handler(_Handler):
            pass

        Handler.registry = registry
        kind = _Server6 if ":" in host else _Server
        self.server = kind((host, 0), Handler)
        self.server.registry = self
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self.server.server_address[1]}"
        self.scheme = "https" if tls else "http"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    # ------------------------------------------------------------ contents

    def put_blob(self, name, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with self.lock:
            self.blobs[digest] = data
            self.owners.setdefault(name, set()).add(digest)
        return digest

    def put_manifest(self, name, raw, media_type, tag=""):
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        with self.lock:
            self.manifests[name, digest] = (media_type, raw)
            if tag:
                self.tags.setdefault(name, {})[tag] = digest
        return digest

    def requests(self, method="", route=""):
        return [r for r in self.log if (not method or r.method == method) and (not route or r.route == route)]

    def blob_bytes_out(self):
        return sum(r.sent for r in self.log if r.route == "blob")

    def upload_bytes_in(self):
        return sum(r.received for r in self.log if r.route in {"upload", "uploads"})

    def clear(self):
        with self.lock:
            self.log.clear()

    def drain(self):
        """Wait until all is read that clients had sent before they ended; nobody else may be connected."""
        host, _, port = self.address.rpartition(":")
        # who came before this one has been let in when this one is answered
        with socket.create_connection((host.strip("[]"), int(port))) as own:
            own.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
            while own.recv(4096):
                pass
        assert until(lambda: self.connections == 0)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass

    def process_request(self, request, client_address):
        with self.registry.lock:
            self.registry.connections += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        super().process_request_thread(request, client_address)
        with self.registry.lock:
            self.registry.connections -= 1


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None
    wbufsize = 65536
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, Fault, ValueError, OSError):
            self.close_connection = True

    def _any(self):
        r = self.registry
        split = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        request = Request(self.command, urllib.parse.unquote(split.path), query, self.headers)
        request.query_all = urllib.parse.parse_qs(split.query)
        self.request_ = request
        for route, pattern in ROUTES:
            match = pattern.match(request.path)
            if match:
                request.route = route
                request.name = match.groupdict().get("name", "")
                request.ref = match.groupdict().get("ref", "")
                break
        with r.lock:
            r.log.append(request)
        if r.hook is not None:
            answer = r.hook(request)
            if answer is not None:
                self._drain()
                self._reply(*answer)
                return
        if request.route == "token":
            self._token()
            return
        if not self._allowed():
            return
        handler = getattr(self, "_" + request.route, None)
        if handler is None:
            self._drain()
            self._error(404, "NAME_INVALID", "no such page")
            return
        handler()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815

    # ------------------------------------------------------------ plumbing

    def _reply(self, status, headers=None, body=b"", length=None):
        self.request_.status = status
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(name, one)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status != 204 and not any(n.lower() == "content-length" for n in headers or {}):
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.request_.sent += len(body)  # before: who has it may look at once
            self.wfile.write(body)
        self.wfile.flush()

    def _error(self, status, code, message="", headers=None):
        body = json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode()
        self._reply(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def _drain(self):
        length = int(self.headers.get("Content-Length") or 0)
        while length > 0:
            data = self.rfile.read(min(65536, length))
            if not data:
                break
            length -= len(data)

    def _body(self, into, limit=None):
        """Read the request's body; every byte that came is kept even when the connection breaks."""
        length = self.headers.get("Content-Length")
        if length is None and "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while True:
                size = int(self.rfile.readline().strip() or b"0", 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return True
                into.extend(data)
                self.request_.received += len(data)
        left = int(length or 0)
        while left > 0:
            if self.registry.lost:
                raise Fault
            take = min(65536, left) if limit is None else min(65536, left, limit)
            if take == 0:
                raise Fault
            data = self.rfile.read1(take)
            if not data:
                return False
            into.extend(data)
            self.request_.received += len(data)
            left -= len(data)
            if self.registry.rate:
                time.sleep(len(data) / self.registry.rate)
            if limit is not None:
                limit -= len(data)
        return True

    # ------------------------------------------------------------ auth

    def _allowed(self):
        r = self.registry
        header = self.headers.get("Authorization", "")
        if r.auth:
            if header == "Basic " + base64.b64encode(r.auth.encode()).decode():
                return True
            self._drain()
            self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="test"'})
            return False
        if r.tokens is not None:
            token = header.removeprefix("Bearer ")
            scope = self._scope()
            entry = r.valid_tokens.get(token)
            if entry and entry[1] > time.time() and scope <= entry[0]:
                return True
            self._drain()
            challenge = f'Bearer realm="{r.scheme}://{r.address}/token",service="fake"'
            if scope:
                challenge += f',scope="{" ".join(sorted(scope))}"'
            if entry:
                challenge += ',error="invalid_token"'
            self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
            return False
        return True

    def _scope(self):
        request = self.request_
        if request.route == "catalog":
            return {"registry:catalog:*"}
        if not request.name:
            return set()
        action = "pull" if request.method in {"GET", "HEAD"} and "upload" not in request.route else "push"
        return {f"repository:{request.name}:{action}"}

    def _token(self):
        r = self.registry
        request = self.request_
        user = None
        form = {}
        if request.method == "POST":
            raw = bytearray()
            self._body(raw)
            form = urllib.parse.parse_qs(raw.decode())
            if form.get("refresh_token", [""])[0] == "refresh-me":
                user = "user"
            scopes = " ".join(form.get("scope", [])).split()
        else:
            header = self.headers.get("Authorization", "")
            if header.startswith("Basic "):
                user, _, password = base64.b64decode(header[6:]).decode().partition(":")
                if r.tokens.get(user) != password:
                    self._error(401, "UNAUTHORIZED", "incorrect username or password")
                    return
            scopes = " ".join(request.query_all.get("scope", [])).split()
        granted = set()
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            for action in actions.split(","):
                if user or action == "pull":
                    granted.add(f"{kind}:{name}:{action}")
        token = uuid.uuid4().hex
        life = getattr(r, "token_life", 300)
        r.valid_tokens[token] = (granted, time.time() + life)
        answer = {"token": token, "expires_in": life}
        if user and request.query.get("offline_token"):
            answer["refresh_token"] = "refresh-me"
        self._reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    # ------------------------------------------------------------ routes

    def _ping(self):
        self._reply(200, {}, b"{}")

    def _page(self, items, key, extra):
        request = self.request_
        n = int(request.query.get("n") or self.registry.page)
        n = min(n, self.registry.page)
        last = request.query.get("last", "")
        rest = [item for item in sorted(items) if item > last]
        headers = {"Content-Type": "application/json"}
        if len(rest) > n:
            query = urllib.parse.urlencode({"n": n, "last": rest[n - 1]})
            headers["Link"] = f'<{request.path}?{query}>; rel="next"'
        self._reply(200, headers, json.dumps({**extra, key: rest[:n]}).encode())

    def _catalog(self):
        names = {name for name, _ in self.registry.manifests}
        self._page(names, "repositories", {})

    def _tags(self):
        name = self.request_.name
        if name not in self.registry.tags and not any(n == name for n, _ in self.registry.manifests):
            self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return
        self._page(self.registry.tags.get(name, {}), "tags", {"name": name})

    def _search(self):
        if self.registry.search is None:
            self._error(404, "UNSUPPORTED")
            return
        q = self.request_.query.get("q", "")
        results = [e for e in self.registry.search if q in e["name"]][: int(self.request_.query.get("n") or 25)]
        self._reply(200, {"Content-Type": "application/json"}, json.dumps({"query": q, "results": results}).encode())

    def _manifest(self):
        r, request = self.registry, self.request_
        ref = request.ref
        if request.method == "PUT":
            raw = bytearray()
            self._body(raw)
            raw = bytes(raw)
            digest = "sha256:" + hashlib.sha256(raw).hexdigest()
            media_type = self.headers.get("Content-Type", "")
            try:
                document = json.loads(raw)
            except ValueError:
                self._error(400, "MANIFEST_INVALID")
                return
            wanted = [document["config"]] if "config" in document else []
            wanted += document.get("layers", [])
            for desc in wanted:
                if desc["digest"] not in r.owners.get(request.name, set()) and not desc.get("urls"):
                    self._error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown: {desc['digest']}")
                    return
            if ":" in ref and ref != digest:
                self._error(400, "DIGEST_INVALID")
                return
            r.put_manifest(request.name, raw, media_type, "" if ":" in ref else ref)
            headers = {"Location": f"/v2/{request.name}/manifests/{digest}", "Docker-Content-Digest": digest}
            if r.referrers and document.get("subject"):
                headers["OCI-Subject"] = document["subject"]["digest"]
            self._reply(201, headers)
            return
        digest = ref if ":" in ref else r.tags.get(request.name, {}).get(ref, "")
        found = r.manifests.get((request.name, digest))
        if found is None:
            self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        if request.method == "DELETE":
            if ":" in ref:
                del r.manifests[request.name, digest]
                r.tags[request.name] = {t: d for t, d in r.tags.get(request.name, {}).items() if d != digest}
            else:
                del r.tags[request.name][ref]
            self._reply(202)
            return
        self._reply(200, {"Content-Type": found[0], "Docker-Content-Digest": digest}, found[1])

    def _blob(self):
        r, request = self.registry, self.request_
        if request.method == "DELETE":
            r.owners.get(request.name, set()).discard(request.ref)
            self._reply(202)
            return
        if request.ref not in r.owners.get(request.name, set()):
            self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        data = r.blobs[request.ref]
        if r.blob_hook is not None:
            data = r.blob_hook(request, data)
            if data is None:
                return
        start, end, status = 0, len(data), 200
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": request.ref}
        if r.ranges:
            headers["Accept-Ranges"] = "bytes"
            match = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
            if match:
                start = int(match[1])
                end = min(len(data), int(match[2]) + 1) if match[2] else len(data)
                if start >= len(data):
                    self._reply(416, {"Content-Range": f"bytes */{len(data)}"})
                    return
                status = 206
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        if request.method == "HEAD":
            self._reply(200, headers, length=len(data))
            return
        self._stream(status, headers, memoryview(data)[start:end])

    def _stream(self, status, headers, data):
        r, request = self.registry, self.request_
        request.status = status
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if r.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        limit = len(data) if r.cut_after is None else min(len(data), r.cut_after)
        at = 0
        while at < limit:
            piece = data[at : min(at + r.piece, limit)]
            request.sent += len(piece)
            if r.chunked:
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            else:
                self.wfile.write(piece)
            self.wfile.flush()
            at += len(piece)
            if r.rate:
                time.sleep(len(piece) / r.rate)
        if limit < len(data):
            self.wfile.flush()
            raise Fault
        if r.chunked:
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    def _referrers(self):
        r, request = self.registry, self.request_
        if not r.referrers:
            self._error(404, "NAME_UNKNOWN")
            return
        entries = []
        for (name, digest), (media_type, raw) in sorted(r.manifests.items()):
            document = json.loads(raw)
            if name == request.name and (document.get("subject") or {}).get("digest") == request.ref:
                kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
                entry = {"mediaType": media_type, "digest": digest, "size": len(raw), "artifactType": kind}
                if document.get("annotations"):
                    entry["annotations"] = document["annotations"]
                entries.append(entry)
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
        self._reply(200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, json.dumps(index).encode())

    # ------------------------------------------------------------ uploads

    def _where(self, key, data):
        name = self.request_.name
        last = f"0-{len(data) - 1}" if data else "0-0"
        return {"Location": f"/v2/{name}/blobs/uploads/{key}?n={len(data)}", "Range": last, "Docker-Upload-UUID": key}

    def _uploads(self):
        r, request = self.registry, self.request_
        mount, source = request.query.get("mount"), request.query.get("from", "")
        if mount and r.mount and mount in r.owners.get(source, set()):
            r.owners.setdefault(request.name, set()).add(mount)
            self._drain()
            self._reply(201, {"Location": f"/v2/{request.name}/blobs/{mount}", "Docker-Content-Digest": mount})
            return
        self._drain()
        key = uuid.uuid4().hex
        r.uploads[key] = bytearray()
        self._reply(202, self._where(key, b""))

    def _upload(self):
        r, request = self.registry, self.request_
        data = r.uploads.get(request.ref)
        if data is None:
            self._drain()
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        if request.method == "GET":
            self._reply(204, self._where(request.ref, data))
            return
        if request.method == "DELETE":
            del r.uploads[request.ref]
            self._reply(204)
            return
        span = self.headers.get("Content-Range")
        if span and int(span.partition("-")[0]) != len(data):
            self._drain()
            self._error(416, "BLOB_UPLOAD_INVALID", "wrong place", self._where(request.ref, data))
            return
        if request.method == "PUT" and not span and int(self.headers.get("Content-Length") or 0) and data:
            self._drain()
            self._error(416, "BLOB_UPLOAD_INVALID", "wrong place", self._where(request.ref, data))
            return
        if not self._body(data, r.cut_upload_after):
            raise Fault
        if request.method == "PATCH":
            self._reply(202, self._where(request.ref, data))
            return
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        del r.uploads[request.ref]
        if digest != request.query.get("digest"):
            self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        r.put_blob(request.name, bytes(data))
        self._reply(201, {"Location": f"/v2/{request.name}/blobs/{digest}", "Docker-Content-Digest": digest})
