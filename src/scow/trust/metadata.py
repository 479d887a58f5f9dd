# SPDX-License-Identifier: Apache-2.0
"""What trust data says, as values: the four kinds of file, their signatures, and the roles they name.

Everything is checked for its shape and bounded; nothing here is believed yet. Unknown members are kept in ``signed``.

Source: notary ``tuf/data``; the shapes were recorded from docker 28.2.2 and notary-server 0.7.0.
"""

from __future__ import annotations

import base64
import binascii

from scow.base.clock import parse_time
from scow.errors import InvalidArgumentError
from scow.oci.digest import Digest
from scow.trust import canonical
from scow.trust.failures import MalformedTrustError
from scow.trust.keys import PublicKey
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
RELEASES = "targets/releases"
"""What this role and ``targets`` list is released; the other delegations only say who signed it."""
BASE_ROLES = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
MAX_FILE = 32 << 20
MAX_TIMESTAMP = 1 << 20
MAX_KEYS = 1000
_HASHES = {"sha256": 32, "sha512": 64}
_NAME_CHARS = frozenset("-abcdefghijklmnopqrstuvwxyz0123456789._")


class Signature(NamedTuple):
    """One signature of a file."""

    keyid: str
    method: str
    value: bytes


class Document(NamedTuple):
    """A file of trust data.

    Attributes:
        raw: As it came.
        signed: What is signed, as JSON.
        signatures: By whom.
        version: Of the file, from 1.
        expires: Seconds since the epoch.
    """

    raw: bytes
    signed: dict[str, Any]
    signatures: tuple[Signature, ...]
    version: int
    expires: float

    @property
    def message(self) -> bytes:
        """The bytes that the signatures are over."""
        return canonical.encode(self.signed)


class Role(NamedTuple):
    """Who may sign what.

    Attributes:
        name: Such as ``root`` or ``targets/alice``.
        keys: By ID.
        threshold: How many of them must have signed.
        paths: For delegations: what the tags it may sign begin with.
    """

    name: str
    keys: Mapping[str, PublicKey]
    threshold: int
    paths: tuple[str, ...] = ("",)

    def may_sign(self, tag: str) -> bool:
        """Whether a tag is the role's to sign."""
        return any(tag.startswith(path) for path in self.paths)


class FileMeta(NamedTuple):
    """What a parent says of a file, or a role of a tag's manifest: hashes by algorithm, and bytes."""

    hashes: Mapping[str, bytes]
    length: int

    @property
    def digest(self) -> Digest | None:
        """The digest as registries write it."""
        found = self.hashes.get("sha256")
        return Digest(f"sha256:{found.hex()}") if found is not None else None

    @property
    def members(self) -> dict[str, Any]:
        """The same as JSON."""
        hashes = {name: base64.b64encode(value).decode() for name, value in self.hashes.items()}
        return {"hashes": hashes, "length": self.length}


class Root(NamedTuple):
    """The root of trust: the keys of the four base roles."""

    document: Document
    roles: Mapping[str, Role]


class Listing(NamedTuple):
    """A timestamp or snapshot: the files it lists, by role."""

    document: Document
    meta: Mapping[str, FileMeta]


class Targets(NamedTuple):
    """A targets file: signed tags, and the roles that may sign besides."""

    document: Document
    targets: Mapping[str, FileMeta]
    delegations: tuple[Role, ...]


def is_delegation(name: str) -> bool:
    """Whether a role's name is that of a delegation, and of a file below a directory."""
    first, *rest = name.split("/")
    return first == TARGETS and bool(rest) and all(part not in {"", ".", ".."} for part in rest) and _proper(rest)


def _proper(parts: Iterable[str]) -> bool:
    return all(_NAME_CHARS.issuperset(part) and len(part) < 200 for part in parts)


def decode(raw: bytes, role: str) -> Document:
    """Read a file.

    Args:
        raw: Its bytes.
        role: Whose it is to be.

    Raises:
        MalformedTrustError: It is none of that role.
    """
    value = canonical.decode(raw, f"the {role} file")
    signed = _object(value.get("signed"), f"{role}: signed")
    kind = "targets" if role.startswith(TARGETS) else role
    if signed.get("_type") != kind.capitalize():
        raise MalformedTrustError(f"the {role} file is of another kind")
    signatures = tuple(_signature(item, role) for item in _list(value.get("signatures"), f"{role}: signatures"))
    version = _number(signed.get("version"), f"{role}: version", 1)
    try:
        expires = parse_time(_text(signed.get("expires"), f"{role}: expires"))
    except InvalidArgumentError as error:
        raise MalformedTrustError(f"{role}: expires is no time") from error
    return Document(raw, signed, signatures, version, expires)


def decode_root(raw: bytes) -> Root:
    """Read a root file.

    Raises:
        MalformedTrustError: It is none.
    """
    document = decode(raw, ROOT)
    keys = _keys(document.signed.get("keys"), ROOT)
    given = _object(document.signed.get("roles"), "root: roles")
    return Root(document, {name: _role(name, given.get(name), keys) for name in BASE_ROLES})


def decode_listing(raw: bytes, role: str) -> Listing:
    """Read a timestamp or snapshot file.

    Raises:
        MalformedTrustError: It is none, or does not list what it must.
    """
    document = decode(raw, role)
    given = _object(document.signed.get("meta"), f"{role}: meta")
    meta = {name: file_meta(value, f"{role}: {name[:200]}") for name, value in given.items()}
    for name in (SNAPSHOT,) if role == TIMESTAMP else (ROOT, TARGETS):
        if name not in meta:
            raise MalformedTrustError(f"the {role} file does not list the {name} file")
    return Listing(document, meta)


def decode_targets(raw: bytes, role: str) -> Targets:
    """Read a targets file.

    Raises:
        MalformedTrustError: It is none.
    """
    document = decode(raw, role)
    given = _object(document.signed.get("targets") or {}, f"{role}: targets")
    targets = {name: file_meta(value, f"{role}: {name[:200]}") for name, value in given.items()}
    delegations = _object(document.signed.get("delegations") or {}, f"{role}: delegations")
    keys = _keys(delegations.get("keys") or {}, role)
    roles = []
    for item in _list(delegations.get("roles"), f"{role}: roles"):
        name = _text(_object(item, f"{role}: roles").get("name"), f"{role}: name")
        if is_delegation(name) and name.rpartition("/")[0] == role:
            roles.append(_role(name, item, keys))
    return Targets(document, targets, tuple(roles))


def file_meta(value: Any, what: str) -> FileMeta:
    """Read hashes and length.

    Raises:
        MalformedTrustError: There is no hash that is known, or one of the wrong length.
    """
    members = _object(value, what)
    hashes = {}
    for name, text in _object(members.get("hashes"), what).items():
        if name in _HASHES:
            hashes[name] = _bytes(text, what)
            if len(hashes[name]) != _HASHES[name]:
                raise MalformedTrustError(f"{what} has a {name} of the wrong length")
    if not hashes:
        raise MalformedTrustError(f"{what} has no hash")
    return FileMeta(hashes, _number(members.get("length"), what, 0))


def decode_key(value: Any, what: str) -> PublicKey:
    """Read a key.

    Raises:
        MalformedTrustError: It is none.
    """
    members = _object(value, what)
    public = _bytes(_object(members.get("keyval"), what).get("public"), what)
    return PublicKey(_text(members.get("keytype"), what).lower(), public)


def _keys(value: Any, what: str) -> dict[str, PublicKey]:
    given = _object(value, f"{what}: keys")
    if len(given) > MAX_KEYS:
        raise MalformedTrustError(f"{what} has more than {MAX_KEYS} keys")
    keys = {name: decode_key(key, f"{what}: keys") for name, key in given.items()}
    for name, key in keys.items():
        if key.id != name:
            raise MalformedTrustError(f"{what}: key ID is not valid for key content")
    return keys


def _role(name: str, value: Any, keys: Mapping[str, PublicKey]) -> Role:
    members = _object(value, f"role {name}")
    # after its last signer is gone docker leaves a role whose list of keys is null
    wanted = [_text(item, f"role {name}") for item in _list(members.get("keyids"), f"role {name}")]
    paths = tuple(_text(item, f"role {name}") for item in _list(members.get("paths"), f"role {name}"))
    threshold = _number(members.get("threshold"), f"role {name}: threshold", 1)
    return Role(name, {item: keys[item] for item in wanted if item in keys}, threshold, paths)


def _signature(value: Any, what: str) -> Signature:
    members = _object(value, f"{what}: signatures")
    words = [_text(members.get(name), f"{what}: signatures") for name in ("keyid", "method")]
    return Signature(words[0], words[1].lower(), _bytes(members.get("sig"), f"{what}: signatures"))


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedTrustError(f"{what} is not an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise MalformedTrustError(f"{what} is not a list, or a very long one")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise MalformedTrustError(f"{what} is not text")
    return value


def _number(value: Any, what: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise MalformedTrustError(f"{what} is not a number from {least}")
    return value


def _bytes(value: Any, what: str) -> bytes:
    try:
        return base64.b64decode(_text(value, what), validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedTrustError(f"{what} is not base64") from error
