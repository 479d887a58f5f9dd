# SPDX-License-Identifier: Apache-2.0
"""Which hosts to ask for a repository: mirrors, rewritten prefixes, blocked and insecure registries.

Read are podman's ``registries.conf`` (version 2), containerd's ``hosts.toml`` and docker's ``daemon.json``
(``registry-mirrors`` for Docker Hub, ``insecure-registries``); what is said first wins, in that order.

Source: containers-registries.conf(5); containerd docs/hosts.md; dockerd's daemon.json.
"""

from __future__ import annotations

import os

from scow.distribution.address import parse_address
from scow.distribution.proxies import in_network, is_loopback
from scow.distribution.registriesconf import documents, read_bytes, read_toml
from scow.errors import DeniedError, InvalidArgumentError
from scow.jsontext import loads
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from scow.distribution.address import Address

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"


class BlockedRegistryError(DeniedError):
    """The configuration of this machine forbids the registry."""

    code = "blocked-registry"


class Endpoint(NamedTuple):
    """One place where a repository can be found.

    Attributes:
        host: ``host[:port]``.
        path: The repository's name there.
        scheme: ``http``, ``https`` or ``""`` to find out, which only loopback and insecure hosts need.
        insecure: Certificates are not checked, and plain HTTP is allowed.
        mirror: A copy, asked before the registry itself and never pushed to.
        root: What stands before ``/v2`` in every URL.
        namespace: The registry a mirror stands for, sent as ``?ns=``; ``""`` to send nothing.
    """

    host: str
    path: str
    scheme: str = ""
    insecure: bool = False
    mirror: bool = False
    root: str = ""
    namespace: str = ""


class _Mirror(NamedTuple):
    location: str
    insecure: bool
    pull: str  # all, digest-only or tag-only


class _Rule(NamedTuple):
    prefix: str
    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[_Mirror, ...]
    digest_only: bool


class Hosts:
    """What this machine's configuration says about registries; files are read when first needed.

    Args:
        registries_conf: Files and ``.d`` directories of podman's format, later ones win.
        hosts_dirs: Directories of containerd's ``<host>/hosts.toml``.
        daemon_json: Docker's file, or ``""``.
        insecure: Hosts for which the user allowed plain HTTP and unchecked certificates; ``*`` for all.
    """

    def __init__(
        self,
        registries_conf: Sequence[str] = (),
        hosts_dirs: Sequence[str] = (),
        daemon_json: str = "",
        insecure: Iterable[str] = (),
    ) -> None:
        self._conf = tuple(registries_conf)
        self._hosts_dirs = tuple(hosts_dirs)
        self._daemon_json = daemon_json
        self._insecure = frozenset(insecure)
        self._rules: list[_Rule] | None = None
        self._daemon: dict[str, Any] | None = None

    def endpoints(self, reference: Reference, *, push: bool = False) -> tuple[Endpoint, ...]:
        """Where to look, in this order; the last one is the registry itself.

        Args:
            reference: What is wanted.
            push: Leave out mirrors.

        Raises:
            BlockedRegistryError: The configuration forbids it.
            InvalidArgumentError: A configuration file cannot be read.
        """
        rule = self._rule(reference)
        found: list[Endpoint] = []
        location = reference.repository
        if rule is not None:
            if rule.blocked:
                raise BlockedRegistryError(f"the registry of {reference.familiar!r} is blocked in registries.conf")
            rest = location[_matched(rule.prefix, reference.canonical) :]
            for mirror in rule.mirrors if not push else ():
                only = "digest-only" if rule.digest_only else mirror.pull
                if (only == "digest-only" and not reference.digest) or (only == "tag-only" and reference.digest):
                    continue
                found.append(self._endpoint(mirror.location + rest, insecure=mirror.insecure, mirror=True))
            if rule.location:
                location = rule.location + rest
        if not found and not push:
            found += self._from_hosts_toml(reference) or self._from_daemon(reference)
        found.append(self._endpoint(location, insecure=rule is not None and rule.insecure, mirror=False))
        return tuple(found)

    def endpoint(self, domain: str) -> Endpoint:
        """The registry itself, for what concerns no repository: login, search, catalog.

        A rewritten prefix does not count here: credentials are for the registry that the user named.

        Raises:
            BlockedRegistryError: The configuration forbids it.
        """
        rule = self._rule(Reference(domain, "*"))
        if rule is not None and rule.blocked:
            raise BlockedRegistryError(f"the registry {domain!r} is blocked in registries.conf")
        return self._endpoint(domain, insecure=rule is not None and rule.insecure, mirror=False)

    def is_insecure(self, host: str) -> bool:
        """Whether ``host[:port]`` may be spoken to without a checked certificate or without TLS at all."""
        name = _name(host)
        if is_loopback(name) or "*" in self._insecure or host in self._insecure or name in self._insecure:
            return True
        rules = self._load_daemon().get("insecure-registries")
        for rule in rules if isinstance(rules, list) else ():
            text = str(rule)
            if text in {host, name} or ("/" in text and in_network(name, text)):
                return True
        return False

    def _endpoint(self, location: str, *, insecure: bool, mirror: bool) -> Endpoint:
        host, _, path = location.partition("/")
        if host == HUB:
            host = HUB_HOST
            path = path if "/" in path or not path else f"library/{path}"
        allowed = insecure or self.is_insecure(host)
        return Endpoint(host, path, "" if allowed else "https", allowed, mirror)

    def _rule(self, reference: Reference) -> _Rule | None:
        if self._rules is None:
            self._rules = _read_rules(self._conf)
        best: _Rule | None = None
        for rule in self._rules:
            if _matched(rule.prefix, reference.canonical) >= 0 and (
                best is None or len(rule.prefix) > len(best.prefix)
            ):
                best = rule
        return best

    def _from_hosts_toml(self, reference: Reference) -> list[Endpoint]:
        for folder in self._hosts_dirs:
            for name in (reference.domain, "_default"):
                document = read_toml(
                    os.path.join(folder, name.replace(":", "_", 1) if os.name == "nt" else name, "hosts.toml")
                )
                if document:
                    return list(_hosts_toml(document, reference, self))
        return []

    def _from_daemon(self, reference: Reference) -> list[Endpoint]:
        mirrors = self._load_daemon().get("registry-mirrors")
        if reference.domain != HUB or not isinstance(mirrors, list):
            return []
        found = []
        for text in mirrors:
            address = _address(str(text))
            insecure = address.scheme == "http" or self.is_insecure(address.netloc)
            root = address.path.rstrip("/")
            found.append(Endpoint(address.netloc, reference.path, address.scheme, insecure, True, root))
        return found

    def _load_daemon(self) -> dict[str, Any]:
        if self._daemon is None:
            self._daemon = {}
            raw = read_bytes(self._daemon_json) if self._daemon_json else b""
            if raw:
                try:
                    document = loads(raw)
                except (ValueError, RecursionError) as error:
                    raise InvalidArgumentError(f"cannot read {self._daemon_json!r}: {error}") from error
                self._daemon = document if isinstance(document, dict) else {}
        return self._daemon


def _address(url: str) -> Address:
    try:
        return parse_address(url)
    except ValueError as error:
        raise InvalidArgumentError(f"the configured mirror {url!r} is not an address") from error


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _matched(prefix: str, full: str) -> int:
    """How many characters of a reference a prefix stands for; -1 when it does not apply.

    Source: containers-registries.conf(5), "prefix": ``*.example.com`` stands for any number of subdomains.
    """
    end = len(prefix)
    if prefix.startswith("*."):
        start = full.find(prefix[1:])
        if start < 1 or "/" in full[:start]:
            return -1
        end = start + len(prefix) - 1
    elif not full.startswith(prefix):
        return -1
    return end if end == len(full) or full[end] in "/:@" else -1


def _read_rules(paths: Sequence[str]) -> list[_Rule]:
    rules: dict[str, _Rule] = {}
    for document in documents(paths, "registry"):
        entries = document.get("registry")
        for entry in entries if isinstance(entries, list) else ():
            rule = _rule(entry) if isinstance(entry, dict) else None
            if rule is not None:
                rules[rule.prefix] = rule
    return list(rules.values())


def _rule(entry: Mapping[str, Any]) -> _Rule | None:
    location = str(entry.get("location") or "").rstrip("/")
    prefix = str(entry.get("prefix") or location).rstrip("/")
    if not prefix:
        return None
    mirrors = tuple(
        _Mirror(
            str(mirror["location"]).rstrip("/"),
            bool(mirror.get("insecure")),
            str(mirror.get("pull-from-mirror") or "all"),
        )
        for mirror in entry.get("mirror") or ()
        if isinstance(mirror, dict) and mirror.get("location")
    )
    digest_only = bool(entry.get("mirror-by-digest-only"))
    return _Rule(prefix, location, bool(entry.get("insecure")), bool(entry.get("blocked")), mirrors, digest_only)


def _hosts_toml(document: Mapping[str, Any], reference: Reference, hosts: Hosts) -> Iterable[Endpoint]:
    entries = document.get("host")
    for url, entry in (entries if isinstance(entries, dict) else {}).items():
        options = entry if isinstance(entry, dict) else {}
        capabilities = options.get("capabilities")
        if isinstance(capabilities, list) and "pull" not in capabilities:
            continue
        address = _address(url if "://" in url else f"https://{url}")
        insecure = bool(options.get("skip_verify")) or address.scheme == "http" or hosts.is_insecure(address.netloc)
        root = address.path.rstrip("/")
        if options.get("override_path"):
            root = root.removesuffix("/v2")
        yield Endpoint(address.netloc, reference.path, address.scheme, insecure, True, root, reference.domain)
