# SPDX-License-Identifier: Apache-2.0
"""Debian's notary-server for interop tests, in memory, with TLS, its own keys and no accounts."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess

from fakes.busybox import until
from fakes.docker_registry import free_port, need


class NotaryServer:
    """Use in a ``with`` block; ``url`` is what DOCKER_CONTENT_TRUST_SERVER wants."""

    def __init__(self, folder, certificates):
        need("notary-server")
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.certificates = certificates
        self.process = None

    def __enter__(self):
        # another process may take a free port before the server does: it ends then, and the next one is tried
        for _ in range(5):
            if self._start():
                return self
        raise RuntimeError(open(os.path.join(self.folder, "log")).read())

    def _start(self):
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        config = {
            "server": {
                "http_addr": f"127.0.0.1:{self.port}",
                "tls_key_file": self.certificates.key,
                "tls_cert_file": self.certificates.certificate,
            },
            "trust_service": {"type": "local", "key_algorithm": "ed25519"},
            "storage": {"backend": "memory"},
            "logging": {"level": "error"},
        }
        path = os.path.join(self.folder, "server.json")
        with open(path, "w") as file:
            json.dump(config, file)
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(["notary-server", "-config", path], stdout=log, stderr=log)
        assert until(lambda: self.process.poll() is not None or self._speaks())
        return self.process.poll() is None

    def _speaks(self):
        """Whether who listens there has the server's certificate, and is not somebody who took the port."""
        context = ssl.create_default_context(cafile=self.certificates.ca)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
                context.wrap_socket(sock, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
