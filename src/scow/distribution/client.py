# SPDX-License-Identifier: Apache-2.0
"""The registry client of one engine: configuration and credentials put together into sessions.

A :class:`RegistryClient` is cheap to make; sockets, certificates and files are opened when needed. It is shared by
threads; ``close`` ends whatever they wait for.
"""

from __future__ import annotations

import os
import threading

from scow.distribution.credentials import CredentialStore, auth_key, parse_creds
from scow.distribution.mirrors import HUB, Endpoint, Hosts
from scow.distribution.registriesconf import config_files
from scow.distribution.repository import Repository
from scow.distribution.session import RetryPolicy, Session, Stopper
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scow.distribution.credentials import Credential
    from scow.distribution.http1 import Timeouts
    from scow.distribution.registry import Registry
    from scow.distribution.tls import TlsPolicy
    from scow.distribution.transport import Transport
    from scow.oci.reference import Reference

HUB_SEARCH = "index.docker.io"


class ClientOptions(NamedTuple):
    """What one command may say about registries.

    Attributes:
        insecure: Accept any certificate, and plain HTTP.
        ca: A file of certificate authorities to trust besides, or ``""``.
        creds: ``user:password`` instead of the stored credentials, or ``""``.
    """

    insecure: bool = False
    ca: str = ""
    creds: str = ""


class RegistryClient:
    """Gives repositories and registries.

    Args:
        config_dir: The directory of docker's ``config.json``.
        environ: For proxies, credential helpers and the places of configuration files.
        options: What the command says.
        user_agent: What scow calls itself.
        retry: How patiently.
        timeouts: How long to wait for each answer.
        transport: Instead of real sockets, for tests.
    """

    def __init__(
        self,
        config_dir: str,
        environ: Mapping[str, str],
        options: ClientOptions | None = None,
        *,
        user_agent: str = "scow",
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        from scow.distribution.tls import TlsPolicy

        self.options = options or ClientOptions()
        self.credentials = CredentialStore(config_dir, environ)
        self.stopper = Stopper()
        self._given = parse_creds(self.options.creds) if self.options.creds else None
        self._retry = retry or RetryPolicy()
        self._lock = threading.Lock()
        self._sessions: dict[tuple[Endpoint, Credential | None], Session] = {}
        self._headers: dict[str, str] | None = None
        self._tls: TlsPolicy = TlsPolicy(_certs_dirs(config_dir, environ), self.options.ca)
        self._hosts = Hosts(
            config_files(environ),
            ("/etc/containerd/certs.d",),
            _daemon_json(environ),
            ("*",) if self.options.insecure else (),
        )
        self._trust_certs = os.path.join(config_dir, "tls")

        def connect(tls: TlsPolicy) -> Transport:
            made = transport or _transport(tls, environ, user_agent, timeouts)
            self.stopper.on_stop(made.close)
            return made

        self._connect = connect
        self._transport = connect(self._tls)

    def repository(self, reference: Reference, *, push: bool = False) -> Repository:
        """A repository, at its mirrors and its registry.

        Args:
            reference: Names it.
            push: It will be written to: mirrors are left out.

        Raises:
            BlockedRegistryError: The configuration forbids it.
        """
        endpoints = self._hosts.endpoints(reference, push=push)
        sessions = []
        for endpoint in endpoints:
            # what proves who we are is for whom the user named, never for where the configuration leads instead
            named = not endpoint.mirror and auth_key(endpoint.host) == auth_key(reference.domain)
            domain = reference.domain if named else endpoint.host
            sessions.append(self._session(endpoint, domain, endpoint.path, self._given if named else None))
        return Repository(reference, sessions)

    def registry(self, domain: str, credential: Credential | None = None) -> Registry:
        """A registry as a whole.

        Args:
            domain: As users write it, such as ``localhost:5000``.
            credential: Instead of the stored one.
        """
        from scow.distribution.registry import Registry

        credential = credential or self._given
        session = self._session(self._hosts.endpoint(domain), domain, "", credential)
        search = session
        if domain == HUB:
            search = self._session(Endpoint(HUB_SEARCH, "", "https"), domain, "", credential)
        return Registry(domain, session, search)

    def trust_session(self, url: str, domain: str) -> Session:
        """The way to a trust server, by TLS only, with docker's certificates for it (``$DOCKER_CONFIG/tls``).

        Args:
            url: The server, with ``https``.
            domain: The registry whose credentials are used there.
        """
        from scow.distribution.address import parse_address
        from scow.distribution.proxies import is_loopback
        from scow.distribution.tls import TlsPolicy

        address = parse_address(url)
        host, port = address.host, address.port
        tls = TlsPolicy([self._trust_certs], self.options.ca)
        # as docker: on this machine there is no one to listen in, unless an authority was named for it
        if self.options.insecure or (is_loopback(host) and not tls.has_certificates(host, port)):
            tls.allow_insecure(f"{host}:{port}")
        endpoint = Endpoint(address.netloc, "", "https", root=address.path.rstrip("/"))
        return self._open(endpoint, self._connect(tls), tls, lambda: self._given or self.credentials.get(domain))

    def close(self) -> None:
        """Close every connection and end every wait."""
        self.stopper.stop()

    def _session(self, endpoint: Endpoint, domain: str, path: str, credential: Credential | None) -> Session:
        # tokens are kept for each session; repositories of one registry share it
        key = (endpoint._replace(path=""), credential)
        with self._lock:
            known = self._sessions.get(key)
            if known is None:
                known = self._sessions[key] = self._open(
                    endpoint, self._transport, self._tls, lambda: credential or self.credentials.get(domain, path)
                )
        return known if known.endpoint.path == endpoint.path else known.at(endpoint.path)

    def _open(
        self, endpoint: Endpoint, transport: Transport, tls: TlsPolicy, load: Callable[[], Credential | None]
    ) -> Session:
        from scow.distribution.tokens import Authorizer

        if self._headers is None:
            self._headers = self.credentials.headers()
        made = Session(endpoint, transport, tls, self._retry, self.stopper, self._headers)
        made.authorizer = Authorizer(transport, load, plain=endpoint.insecure)
        return made


def _transport(tls: TlsPolicy, environ: Mapping[str, str], agent: str, timeouts: Timeouts | None) -> Transport:
    from scow.distribution.proxies import Proxies
    from scow.distribution.transport import HttpTransport

    return HttpTransport(tls, Proxies(environ), agent, timeouts)


def _home(environ: Mapping[str, str], *parts: str) -> list[str]:
    home = environ.get("HOME", "")
    return [os.path.join(home, *parts)] if home else []


def _certs_dirs(config_dir: str, environ: Mapping[str, str]) -> list[str]:
    return [
        os.path.join(config_dir, "certs.d"),
        *_home(environ, ".config", "containers", "certs.d"),
        "/etc/containers/certs.d",
        "/etc/docker/certs.d",
    ]


def _daemon_json(environ: Mapping[str, str]) -> str:
    return environ.get("SCOW_DAEMON_JSON", "/etc/docker/daemon.json")
