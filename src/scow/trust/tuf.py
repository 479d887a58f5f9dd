# SPDX-License-Identifier: Apache-2.0
"""The rules by which trust data is believed: a set of files that only grows by what verifies. No input, no output.

===========  =======================================================================================================
file         is believed when
===========  =======================================================================================================
first root   it is signed by the certificates that it names, which are for this repository and valid (trust on first
             use), or it was believed before
next root    its version is one higher, and the root before it and it itself vouch for it
timestamp    the root's timestamp keys have signed it, it has not expired, its version is not below the last seen
snapshot     the timestamp lists exactly these bytes, and as above
targets      the snapshot lists exactly these bytes, and as above; the snapshot lists exactly the root's bytes
delegations  the same, by the keys that its parent names
===========  =======================================================================================================

Source: The Update Framework specification, section 5; notary 0.7.0, ``tuf/builder.go`` and ``trustpinning/certs.go``.
"""

from __future__ import annotations

import hashlib
import time

from scow.trust import keys
from scow.trust.failures import ChecksumError, ExpiredTrustError, RollbackError, RootError, ThresholdError
from scow.trust.metadata import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    decode,
    decode_listing,
    decode_root,
    decode_targets,
)
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.trust.metadata import Document, FileMeta, Listing, Role, Root, Targets


class Believed:
    """What is believed of one repository.

    Args:
        gun: The repository in full.
        root: The root of trust, from :func:`first_root` or :func:`kept_root`.
        now: Seconds since the epoch.

    Attributes:
        passed_over: The versions of delegations that the snapshot lists, but that are not to be believed.
    """

    def __init__(self, gun: str, root: Root, now: float) -> None:
        self.gun = gun
        self.root = root
        self.now = now
        self.timestamp: Listing | None = None
        self.snapshot: Listing | None = None
        self.targets: dict[str, Targets] = {}
        self.passed_over: dict[str, int] = {}

    @property
    def listed(self) -> Mapping[str, FileMeta]:
        """What the snapshot lists, by role."""
        return self.snapshot.meta if self.snapshot else {}

    def next_root(self, raw: bytes) -> None:
        """Take the root that follows the one believed; what hung on the old one is to be read again.

        Raises:
            RootError: It does not follow, or not both vouch for it.
            MalformedTrustError: It is no root.
        """
        found = decode_root(raw)
        if found.document.version != self.root.document.version + 1:
            raise RootError(
                f"could not rotate trust to a new trusted root: version {found.document.version} does not follow"
                f" version {self.root.document.version}"
            )
        try:
            verify(found.document, _certified(self.root.roles[ROOT], self.gun, None))
        except ThresholdError as error:
            raise RootError(
                "could not rotate trust to a new trusted root: failed to validate data with current trusted"
                " certificates"
            ) from error
        _vouch(found, self.gun, self.now)
        self.root = found
        self.timestamp = self.snapshot = None
        self.targets, self.passed_over = {}, {}

    def check_root(self) -> None:
        """See that the root has not expired.

        Raises:
            ExpiredTrustError: It has.
        """
        _check_expiry(self.root.document, ROOT, self.now)

    def load_timestamp(self, raw: bytes, before: bytes | None = None) -> FileMeta:
        """Take a timestamp.

        Args:
            raw: Its bytes.
            before: The last one seen.

        Returns:
            What it says of the snapshot.

        Raises:
            TrustError: It is not to be believed.
        """
        self.timestamp = decode_listing(raw, TIMESTAMP)
        self._check(self.timestamp.document, self.root.roles[TIMESTAMP], before)
        return self.timestamp.meta[SNAPSHOT]

    def load_snapshot(self, raw: bytes, before: bytes | None = None) -> None:
        """Take the snapshot that the timestamp lists.

        Raises:
            TrustError: It is not to be believed, or it lists another root.
        """
        if self.timestamp is None:
            raise ValueError("the timestamp comes first")
        check_file(raw, self.timestamp.meta[SNAPSHOT], SNAPSHOT)
        self.snapshot = decode_listing(raw, SNAPSHOT)
        self._check(self.snapshot.document, self.root.roles[SNAPSHOT], before)
        check_file(self.root.document.raw, self.listed[ROOT], ROOT)

    def load_targets(self, role: Role, raw: bytes, before: bytes | None = None) -> Targets:
        """Take a targets file that the snapshot lists.

        Args:
            role: Who must have signed it: ``role_of("targets")``, or a delegation of a file that is believed.
            raw: Its bytes.
            before: The last one seen.

        Raises:
            TrustError: It is not to be believed.
        """
        check_file(raw, self.listed[role.name], role.name)
        found = decode_targets(raw, role.name)
        self._check(found.document, role, before)
        self.targets[role.name] = found
        return found

    def role_of(self, name: str) -> Role | None:
        """A base role, or a delegation of what is believed."""
        if name in self.root.roles:
            return self.root.roles[name]
        parent = self.targets.get(name.rpartition("/")[0])
        return next((role for role in parent.delegations if role.name == name), None) if parent else None

    def target(self, tag: str, name: str) -> FileMeta | None:
        """What a role says of a tag, if it may."""
        found = self.targets.get(name)
        role = self.role_of(name)
        if found is None or role is None or (name != TARGETS and not role.may_sign(tag)):
            return None
        return found.targets.get(tag)

    def _check(self, document: Document, role: Role, before: bytes | None) -> None:
        verify(document, role)
        _check_expiry(document, role.name, self.now)
        least = _version_of(before, role) if before is not None and before != document.raw else 0
        if document.version < least:
            raise RollbackError(f"version {document.version} is lower than current version {least}")


def first_root(raw: bytes, gun: str, now: float) -> Root:
    """Take a repository's root that nothing is known of: it must vouch for itself.

    Raises:
        RootError: It does not.
        ExpiredTrustError: It has expired.
        MalformedTrustError: It is no root.
    """
    found = decode_root(raw)
    _vouch(found, gun, now)
    _check_expiry(found.document, ROOT, now)
    return found


def kept_root(raw: bytes, gun: str) -> Root:
    """Take a root that was believed before; its own signature is checked, but not what only time decides.

    Raises:
        TrustError: What was kept is damaged.
    """
    found = decode_root(raw)
    verify(found.document, _certified(found.roles[ROOT], gun, None))
    return found


def verify(document: Document, role: Role) -> None:
    """See that enough of a role's keys have signed a file.

    Raises:
        ThresholdError: They have not.
    """
    message = document.message
    valid: set[str] = set()
    for signature in document.signatures:
        key = role.keys.get(signature.keyid)
        if key is None or not keys.verify(key, signature.method, signature.value, message):
            continue
        valid.add(key.bare.id)  # one key in two dresses is still one
    if len(valid) < role.threshold:
        raise ThresholdError(f"valid signatures did not meet threshold for {role.name}")


def check_file(raw: bytes, meta: FileMeta, name: str) -> None:
    """See that bytes are those that a parent lists.

    Raises:
        ChecksumError: They are not.
    """
    for algorithm, wanted in sorted(meta.hashes.items()):
        if hashlib.new(algorithm, raw).digest() != wanted:
            raise ChecksumError(f"{algorithm} checksum for {name} did not match: expected {wanted.hex()}")
    if len(raw) != meta.length:
        raise ChecksumError(f"size for {name} did not match: expected {meta.length} bytes")


def _certified(role: Role, gun: str, now: float | None) -> Role:
    return role._replace(keys={name: key for name, key in role.keys.items() if keys.is_for(key, gun, now)})


def _vouch(root: Root, gun: str, now: float) -> None:
    role = _certified(root.roles[ROOT], gun, now)
    if not role.keys:
        raise RootError("could not validate the path to a trusted root: unable to retrieve valid leaf certificates")
    try:
        verify(root.document, role)
    except ThresholdError as error:
        raise RootError(
            "could not validate the path to a trusted root: failed to validate integrity of roots"
        ) from error


def _check_expiry(document: Document, name: str, now: float) -> None:
    if document.expires < now:
        moment = time.gmtime(document.expires)
        shown = time.strftime("%a %b ", moment) + f"{moment.tm_mday} " + time.strftime("%H:%M:%S UTC %Y", moment)
        raise ExpiredTrustError(f"{name} expired at {shown}")


def _version_of(raw: bytes, role: Role) -> int:
    """The version of a file seen before, 0 when the keys of today did not sign it.

    When keys were rotated the count may begin anew, so that a stolen key cannot block a repository for good.
    Source: The Update Framework specification, 5.3.11.
    """
    from scow.trust.failures import TrustError

    try:
        document = decode(raw, role.name)
        verify(document, role)
    except TrustError:
        return 0
    return document.version
