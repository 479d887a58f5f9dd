# SPDX-License-Identifier: Apache-2.0
"""Docker Content Trust, reading: what a repository's trust data says today, verified from its root on.

A repository that was seen before costs one request. Whatever is wrong with what the server says, a newer root is looked
for once, as keys may have been rotated; after that the failure stands. Kept files change only when all was verified.

Source: notary 0.7.0, ``client/tufclient.go``; The Update Framework specification, section 5.
"""

from __future__ import annotations

import threading

from scow.base.clock import now as system_now
from scow.base.clock import write_duration
from scow.trust.cache import TrustCache, trust_dir
from scow.trust.failures import (
    ChecksumError,
    ExpiredTrustError,
    MalformedTrustError,
    NoTrustDataError,
    NotSignedError,
    RollbackError,
    RootError,
    ThresholdError,
    TrustError,
    TrustServerError,
)
from scow.trust.metadata import (
    MAX_FILE,
    MAX_TIMESTAMP,
    RELEASES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    decode,
    decode_root,
)
from scow.trust.server import TrustServer, server_url
from scow.trust.tuf import Believed, check_file, first_root, kept_root
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scow.distribution.client import RegistryClient
    from scow.oci.digest import Digest
    from scow.oci.reference import Reference
    from scow.trust.metadata import FileMeta, Role

_MAX_ROOT = 1 << 20
_MAX_HOPS = 1024
_MAX_ROLES = 256


class TrustPlace(NamedTuple):
    """Where trust data is kept and asked for.

    Attributes:
        config_dir: docker's client configuration.
        server: ``DOCKER_CONTENT_TRUST_SERVER``, or ``""`` for the registry itself.
        max_offline: Seconds for which what was seen last is still believed when the server cannot be reached.
        now: Gives the seconds since the epoch.
    """

    config_dir: str
    server: str = ""
    max_offline: float = 0.0
    now: Callable[[], float] = system_now


class NotaryPolicy:
    """The :class:`~scow.trust.policy.TrustPolicy` of Docker Content Trust.

    Args:
        client: The way to registries.
        place: Where trust data is.
        warn: Told what the user should know.
    """

    def __init__(self, client: RegistryClient, place: TrustPlace, warn: Callable[[str], None]) -> None:
        self._client = client
        self._place = place
        self._warn = warn
        self._known: dict[str, Believed] = {}
        self._lock = threading.Lock()

    def resolve(self, reference: Reference) -> Digest:
        """See :meth:`~scow.trust.policy.TrustPolicy.resolve`."""
        tag = reference.tag or "latest"
        meta = released(self.believed(reference), tag)
        if meta is None:
            raise NotSignedError(f"No valid trust data for {tag}")
        if meta.digest is None:
            raise NotSignedError(f"No valid trust data for {tag}: no valid hash, expecting sha256")
        return meta.digest

    def tags(self, reference: Reference) -> Mapping[str, Digest]:
        """See :meth:`~scow.trust.policy.TrustPolicy.tags`."""
        found = {name: meta.digest for name, meta in all_released(self.believed(reference)).items()}
        return {name: digest for name, digest in found.items() if digest is not None}

    def vouches(self, reference: Reference) -> bool:
        """See :meth:`~scow.trust.policy.TrustPolicy.vouches`."""
        try:
            return reference.digest in self.tags(reference).values()
        except (TrustError, TrustServerError):
            return False

    def believed(self, reference: Reference) -> Believed:
        """What is believed of a repository; asked once by each policy."""
        gun = reference.repository
        with self._lock:
            if gun not in self._known:
                server = open_server(self._client, self._place, reference, "pull")
                self._known[gun] = update(server, self._place, gun, self._warn)
            return self._known[gun]


def open_server(client: RegistryClient, place: TrustPlace, reference: Reference, *actions: str) -> TrustServer:
    """The trust server of a repository.

    Args:
        client: The way to registries.
        place: Says which.
        reference: The repository.
        actions: What is to be done there: ``pull``, ``push``.

    Raises:
        InvalidArgumentError: The configured server has no https URL.
    """
    url = server_url(reference.domain, place.server)
    return TrustServer(client, reference.domain, reference.repository, url, actions)


def released(believed: Believed, tag: str) -> FileMeta | None:
    """What a tag means: as ``targets/releases`` says, else as ``targets`` does; other delegations do not count."""
    return believed.target(tag, RELEASES) or believed.target(tag, TARGETS)


def all_released(believed: Believed) -> dict[str, FileMeta]:
    """What every released tag means, by name."""
    names = {
        name for role in (RELEASES, TARGETS) if role in believed.targets for name in believed.targets[role].targets
    }
    found = {name: released(believed, name) for name in sorted(names)}
    return {name: meta for name, meta in found.items() if meta is not None}


def update(
    server: TrustServer, place: TrustPlace, gun: str, warn: Callable[[str], None], *, every: bool = False
) -> Believed:
    """Find out what may be believed of a repository, and keep it.

    Args:
        server: Where to ask.
        place: Where files are kept.
        gun: The repository in full.
        warn: Told what the user should know.
        every: Read all delegations, not only those that release tags.

    Raises:
        TrustError: What the server says cannot be believed; its sentence names the repository.
        TrustServerError: The server does not answer, and nothing that was kept may be used.
    """
    cache = TrustCache(trust_dir(place.config_dir), gun)
    try:
        return _Update(server, cache, place, gun, warn, every=every).run()
    except TrustError as error:
        raise error.about(gun) from error


_AGAIN = (ThresholdError, ExpiredTrustError, ChecksumError)
"""What a rotated key, and nothing worse, can be the reason of."""


class _Update:
    """One update."""

    def __init__(
        self,
        server: TrustServer,
        cache: TrustCache,
        place: TrustPlace,
        gun: str,
        warn: Callable[[str], None],
        *,
        every: bool,
    ) -> None:
        self.server = server
        self.cache = cache
        self.place = place
        self.gun = gun
        self.now = place.now()
        self.warn = warn
        self.every = every
        self.offline = False
        # read before the first request: what the server says after it is no older, whoever else asks meanwhile
        self.kept = cache.read_all()

    def run(self) -> Believed:
        kept = self.kept.get(ROOT)
        if kept is None:
            believed = Believed(self.gun, first_root(self._root(), self.gun, self.now), self.now)
            self._walk(believed)
        else:
            believed = Believed(self.gun, kept_root(kept, self.gun), self.now)
            try:
                believed.check_root()
                self._walk(believed)
            except _AGAIN:
                if not self._rotate(believed):
                    raise
                self._walk(believed)
        if not self.offline:
            self._keep(believed)
        return believed

    # ------------------------------------------------------------------ root

    def _root(self) -> bytes:
        raw = self.server.get(ROOT, _MAX_ROOT)
        if raw is None:
            raise NoTrustDataError(f"{self.server.host} does not have trust data for {self.gun}")
        return raw

    def _rotate(self, believed: Believed) -> bool:
        """Follow the roots from the one believed to the server's; false when there is no other."""
        raw = self._root()
        here = believed.root.document
        if raw == here.raw:
            return False
        newest = decode_root(raw).document.version
        if newest < here.version:
            raise RollbackError(f"version {newest} is lower than current version {here.version}")
        if newest == here.version:
            raise RootError(
                f"could not rotate trust to a new trusted root: the server has another root than the trusted one, and"
                f" calls it version {newest} too"
            )
        if newest - here.version > _MAX_HOPS:
            raise RootError(f"could not rotate trust to a new trusted root: {newest - here.version} versions ahead")
        for version in range(here.version + 1, newest):
            between = self.server.get(f"{version}.{ROOT}", _MAX_ROOT)
            if between is None:
                raise RootError(f"could not rotate trust to a new trusted root: version {version} is missing")
            believed.next_root(between)
        believed.next_root(raw)
        believed.check_root()
        return True

    # ------------------------------------------------------------------ everything below it

    def _walk(self, believed: Believed) -> None:
        listed = self._timestamp(believed)
        believed.load_snapshot(self._listed(SNAPSHOT, listed), self.kept.get(SNAPSHOT))
        waiting: list[Role] = [believed.root.roles[TARGETS]]
        while waiting:
            role = waiting.pop(0)
            meta = believed.listed.get(role.name)
            if meta is None or role.name in believed.targets or len(believed.targets) >= _MAX_ROLES:
                continue
            raw = self._listed(role.name, meta)
            try:
                found = believed.load_targets(role, raw, self.kept.get(role.name))
            except (ThresholdError, ExpiredTrustError):
                # as docker: a delegation that nobody signs any longer does not spoil the rest
                if role.name == TARGETS:
                    raise
                believed.passed_over[role.name] = decode(raw, role.name).version
                continue
            waiting[:0] = [child for child in found.delegations if self.every or child.name == RELEASES]

    def _timestamp(self, believed: Believed) -> FileMeta:
        """Ask for the timestamp; what it says of the snapshot."""
        before = self.kept.get(TIMESTAMP)
        try:
            raw = self.server.get(TIMESTAMP, MAX_TIMESTAMP)
        except TrustServerError as error:
            age = self.cache.age()
            if before is None or age > self.place.max_offline:
                if before is not None and not error.hint:
                    error.hint = (
                        f"It last answered {write_duration(int(age) * 1_000_000_000)} ago; SCOW_TRUST_MAX_OFFLINE says"
                        " for how long that is enough."
                    )
                raise
            self.warn(f"{error.message}; going by what the trust server said {int(age)} seconds ago")
            raw, self.offline = before, True
        if raw is None:
            raise NoTrustDataError(f"{self.server.host} does not have trust data for {self.gun}")
        return believed.load_timestamp(raw, before)

    def _listed(self, role: str, meta: FileMeta) -> bytes:
        """A file that a parent lists: the kept one when it is that, else the server's."""
        kept = self.kept.get(role)
        if kept is not None:
            try:
                check_file(kept, meta, role)
            except ChecksumError:
                pass
            else:
                return kept
        if meta.length > MAX_FILE:
            raise MalformedTrustError(f"the {role} file is said to have {meta.length} bytes")
        sha256 = meta.hashes.get("sha256")
        raw = self.server.get(f"{role}.{sha256.hex()}" if sha256 else role, meta.length)
        if raw is None:
            raise TrustServerError(f"the trust server does not have the {role} file that it lists")
        return raw

    def _keep(self, believed: Believed) -> None:
        files = {ROOT: believed.root.document.raw}
        for role, listing in ((TIMESTAMP, believed.timestamp), (SNAPSHOT, believed.snapshot)):
            if listing is not None:
                files[role] = listing.document.raw
        files |= {role: found.document.raw for role, found in believed.targets.items()}
        with self.cache.lock():
            if not self._is_behind(files):
                self.cache.write(files)

    def _is_behind(self, files: Mapping[str, bytes]) -> bool:
        """Whether another process has kept something newer meanwhile."""
        for role in (ROOT, TIMESTAMP):
            kept = self.cache.read(role)
            mine, theirs = decode(files[role], role).version, decode(kept, role).version if kept else 0
            if mine != theirs:
                return mine < theirs
        return False
