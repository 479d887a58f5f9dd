# SPDX-License-Identifier: Apache-2.0
"""Certificates for each registry: certs.d directories, ``--ca`` and ``--insecure``.

Layout read, for ``<host>`` or ``<host:port>`` below each of the given directories::

    certs.d/<host:port>/*.crt            certificate authorities
    certs.d/<host:port>/<name>.cert      a client certificate ...
    certs.d/<host:port>/<name>.key       ... and its key

``ssl`` is loaded with the first TLS connection: talking to a registry on this machine does not need it.
"""

from __future__ import annotations

import os
import threading

from scow.distribution.http1 import Connection
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence


class TlsPolicy:
    """Makes connections with the right certificates.

    Args:
        certs_dirs: Directories laid out like docker's ``/etc/docker/certs.d``.
        ca: A file of certificate authorities to trust besides, or ``""``.
        insecure: Says for which ``host:port`` the certificate is not checked.
    """

    def __init__(self, certs_dirs: Sequence[str] = (), ca: str = "", insecure: Iterable[str] = ()) -> None:
        self._dirs = tuple(certs_dirs)
        self._ca = ca
        self._insecure = set(insecure)
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def allow_insecure(self, address: str) -> None:
        """Do not check the certificate of ``host:port``."""
        with self._lock:
            self._insecure.add(address)

    def has_certificates(self, host: str, port: int) -> bool:
        """Whether an authority was configured for the host, which then must be reached by TLS."""
        return bool(self._ca) or any(name.endswith(".crt") for path in self._paths(host, port) for name in _list(path))

    def connection(self, scheme: str, host: str, port: int) -> Connection:
        """A connection, not yet open.

        Args:
            scheme: ``http`` or ``https``.
            host: Name or address, without brackets.
            port: The port.

        Raises:
            InvalidArgumentError: A certificate or key cannot be read.
        """
        return Connection(host, port, self._context(host, port) if scheme == "https" else None)

    def _context(self, host: str, port: int) -> ssl.SSLContext:
        address = f"{host}:{port}"
        with self._lock:
            insecure = address in self._insecure
            key = (address, insecure)
            if key not in self._contexts:
                self._contexts[key] = self._make(host, port, insecure)
            return self._contexts[key]

    def _make(self, host: str, port: int, insecure: bool) -> ssl.SSLContext:
        import ssl

        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        files = [self._ca] if self._ca else []
        pairs: list[tuple[str, str]] = []
        for path in self._paths(host, port):
            names = _list(path)
            files += [os.path.join(path, name) for name in names if name.endswith(".crt")]
            stems = [os.path.join(path, name.removesuffix(".cert")) for name in names if name.endswith(".cert")]
            pairs += [(f"{stem}.cert", f"{stem}.key") for stem in stems]
        current = ""
        try:
            for current in files:
                context.load_verify_locations(cafile=current)
            for current, key in pairs:
                context.load_cert_chain(current, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgumentError(f"cannot use the certificate {current!r}: {error}") from error
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _paths(self, host: str, port: int) -> list[str]:
        shown = f"[{host}]" if ":" in host else host
        names = [f"{shown}:{port}"] + ([shown] if port == 443 else [])
        return [os.path.join(folder, name) for folder in self._dirs for name in names]


def _list(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
