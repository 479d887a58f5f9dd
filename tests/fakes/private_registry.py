# SPDX-License-Identifier: Apache-2.0
"""scow's own registry server in a thread of this process, and requests to it that see every header."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import threading

from scow.registry.front import Policy
from scow.registry.server import Listen, Server
from scow.registry.storage import RegistryStore

OCTETS = "application/octet-stream"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data, media_type=OCTETS, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def manifest(config=b"{}", layers=(), media_type=MANIFEST, **more):
    document = {"schemaVersion": 2, "mediaType": media_type, "config": descriptor(config, CONFIG)}
    document["layers"] = [descriptor(layer) for layer in layers]
    return json.dumps(document | more).encode()


class Client:
    """Requests to a registry whose ``address`` is host:port; with ``tls`` through that context."""

    tls = None

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None, **headers):
        """One request on a connection of its own; header names have ``_`` for ``-``."""
        if self.tls is None:
            connection = http.client.HTTPConnection(self.address, timeout=280)
        else:
            connection = http.client.HTTPSConnection(self.address, timeout=280, context=self.tls)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            answer.data = answer.read()
            return answer
        finally:
            connection.close()

    def begin(self, name, query=""):
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/{query}")
        assert answer.status == 202, answer.data
        return answer.getheader("Location")

    def push_blob(self, name, data, algorithm="sha256"):
        digest = digest_of(data, algorithm)
        answer = self.ask("PUT", f"{self.begin(name)}?digest={digest}", data)
        assert answer.status == 201, answer.data
        return digest

    def push_manifest(self, name, ref, raw, media_type=MANIFEST, status=201):
        answer = self.ask("PUT", f"/v2/{name}/manifests/{ref}", raw, Content_Type=media_type)
        assert answer.status == status, answer.data
        return answer

    def push_image(self, name, tag, *layers, **more):
        """Push an image with these layers; return its manifest."""
        raw = manifest(b"{}", layers, **more)
        for blob in (b"{}", *layers):
            self.push_blob(name, blob)
        self.push_manifest(name, tag, raw)
        return raw


class PrivateRegistry(Client):
    """Use in a ``with`` block; ``address`` is host:port. Leaving it ends the server as SIGTERM would."""

    def __init__(self, root, policy=None, listen=None):
        self.log = []
        self.store = RegistryStore(str(root))
        listen = (listen or Listen())._replace(host="127.0.0.1", port=0)
        policy = (policy or Policy())._replace(grace_seconds=0.2)  # no test waits for what it broke off
        self._server = Server(self.store, policy, listen, self.log.append, requests=True)
        self._ready = threading.Event()
        self._failed = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        async def main():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await self._server.serve(self._listening, self._stop)

        try:
            asyncio.run(main())
        except BaseException as error:
            self._failed = error
            self._ready.set()

    def _listening(self, url):
        self.url = url
        self.address = url.partition("://")[2]
        self._ready.set()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failed:
            raise self._failed


def codes(answer):
    return [error["code"] for error in json.loads(answer.data)["errors"]]
