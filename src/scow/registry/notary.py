# SPDX-License-Identifier: Apache-2.0
"""Signatures on tags, beside the images: what a notary server does, on the registry's own address.

Clients upload roots, targets and delegations; the registry judges them as any client would, and vouches with keys of
its own that they belong together (snapshot) and are the newest (timestamp). It keeps every root, and the last few
versions of everything else. Repositories are named in full, as clients call them (``localhost:5000/team/app``), because
that name is in what they sign.

Source: notary 0.7.0, ``server/handlers``; the requests were recorded from docker 28.2.2.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode

from scow.base.clock import rfc3339
from scow.registry.protocol import JSON, Answer, RefusedError
from scow.trust import canonical, tuf
from scow.trust.failures import TrustError
from scow.trust.keys import PublicKey
from scow.trust.metadata import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    decode,
    decode_targets,
    is_delegation,
)
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from scow.base.database import Database
    from scow.registry.protocol import Request

SCHEMA = """
CREATE TABLE trust_files (
  gun TEXT NOT NULL, role TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, raw BLOB NOT NULL,
  listed INTEGER NOT NULL, PRIMARY KEY (gun, role, version)
) WITHOUT ROWID;
CREATE INDEX trust_files_by_hash ON trust_files (gun, role, sha256);
CREATE TABLE trust_keys (
  gun TEXT NOT NULL, role TEXT NOT NULL, private BLOB NOT NULL, PRIMARY KEY (gun, role)
) WITHOUT ROWID;
"""
MARK = "/_trust/tuf/"
_DAY = 86400.0
_LIVES = {SNAPSHOT: 3 * 365 * _DAY, TIMESTAMP: 14 * _DAY}
_KEPT = 10
_NAME = re.compile(r"(?:(?P<version>[1-9][0-9]{0,8})\.)?(?P<role>[-a-z0-9_/]+?)(?:\.(?P<sha256>[0-9a-f]{64}))?\.json")
_FILE = re.compile(rb'filename="([^"\r\n]{1,200})"')


class _File(NamedTuple):
    version: int
    raw: bytes


class Notary:
    """The trust data of a registry's repositories.

    Args:
        db: Where it is kept.
        now: Gives the seconds since the epoch.
    """

    def __init__(self, db: Database, now: Callable[[], float] = time.time) -> None:
        self._db = db
        self._now = now
        self._ready = False

    def answer(self, request: Request, ref: str, body: bytes) -> Answer:
        """Answer a request.

        Args:
            request: What is asked.
            ref: What of a repository's trust data: a file, a key, or ``""`` for all of it.
            body: An upload.

        Raises:
            RefusedError: There is no such thing, or what is uploaded is not to be believed.
        """
        if not self._ready:
            self._db.ensure("registry-trust", 1, SCHEMA)
            self._ready = True
        gun = request.path.partition(MARK)[0].removeprefix("/v2/")
        if request.method == "POST" and not ref:
            self._publish(gun, _parts(request.headers.get("Content-Type") or "", body))
            return Answer(200)
        if request.method == "DELETE" and not ref:
            with self._db.write() as connection:
                for table in ("trust_files", "trust_keys"):
                    connection.execute(f"DELETE FROM {table} WHERE gun = ?", (gun,))  # noqa: S608 - two words of ours
            return Answer(200)
        if request.method == "GET" and ref in {f"{SNAPSHOT}.key", f"{TIMESTAMP}.key"}:
            with self._db.write():
                key = self._key(gun, ref.removesuffix(".key"))
            return Answer(200, {"Content-Type": JSON}, canonical.encode(_public(key).members))
        found = self._find(gun, ref) if request.method == "GET" else None
        if found is None:
            raise RefusedError(404, "METADATA_NOT_FOUND", "there is no such trust data")
        return Answer(200, {"Content-Type": JSON, "Cache-Control": "no-cache"}, found)

    def _find(self, gun: str, name: str) -> bytes | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        role = match["role"]
        if match["sha256"]:
            return self._one(gun, "role = ? AND sha256 = ?", role, match["sha256"])
        if match["version"]:
            return self._one(gun, "role = ? AND version = ?", role, int(match["version"]))
        current = self._current(gun)
        if role == TIMESTAMP and current:
            self._renew(gun, current)
            current = self._current(gun)
        return current[role].raw if role in current else None

    def _one(self, gun: str, where: str, *values: str | int) -> bytes | None:
        with self._db.read() as connection:
            sql = f"SELECT raw FROM trust_files WHERE gun = ? AND {where}"  # noqa: S608 - the words are ours
            row = connection.execute(sql, (gun, *values)).fetchone()
        return bytes(row[0]) if row else None

    def _current(self, gun: str) -> dict[str, _File]:
        """The newest version of every file that counts, by role."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT role, version, raw FROM trust_files WHERE gun = ? AND listed = 1", (gun,)
            ).fetchall()
        return {role: _File(version, bytes(raw)) for role, version, raw in rows}

    # ------------------------------------------------------------------ what the registry vouches for

    def _key(self, gun: str, role: str) -> Any:
        """The registry's own key for a repository; made when there is none, in the caller's transaction."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        with self._db.write() as connection:
            made = Ed25519PrivateKey.generate().private_bytes_raw()
            connection.execute("INSERT OR IGNORE INTO trust_keys VALUES (?, ?, ?)", (gun, role, made))
            row = connection.execute(
                "SELECT private FROM trust_keys WHERE gun = ? AND role = ?", (gun, role)
            ).fetchone()
        return Ed25519PrivateKey.from_private_bytes(bytes(row[0]))

    def _renew(self, gun: str, current: Mapping[str, _File]) -> None:
        """Sign anew what will expire soon."""
        for role, life in _LIVES.items():
            if role in current and decode(current[role].raw, role).expires < self._now() + life / 2:
                with self._db.write():
                    self._seal(gun, self._current(gun), anew=role == SNAPSHOT)
                return

    def _seal(self, gun: str, current: dict[str, _File], *, anew: bool) -> None:
        """Sign the snapshot, when it is to be ``anew``, and the timestamp; in the caller's transaction."""
        if anew:
            listed = {role: _meta(file.raw) for role, file in current.items() if role not in _LIVES}
            current[SNAPSHOT] = self._sign(gun, SNAPSHOT, listed, current)
        current[TIMESTAMP] = self._sign(gun, TIMESTAMP, {SNAPSHOT: _meta(current[SNAPSHOT].raw)}, current)
        for role in _LIVES:
            self._store(gun, role, current[role])

    def _sign(self, gun: str, role: str, meta: Mapping[str, Any], current: Mapping[str, _File]) -> _File:
        version = current[role].version + 1 if role in current else 1
        signed = {
            "_type": role.capitalize(),
            "expires": rfc3339(self._now() + _LIVES[role]),
            "meta": dict(meta),
            "version": version,
        }
        key = self._key(gun, role)
        message = canonical.encode(signed)
        signature = {"keyid": _public(key).id, "method": "eddsa", "sig": b64encode(key.sign(message)).decode()}
        return _File(version, b'{"signed":' + message + b',"signatures":' + canonical.encode([signature]) + b"}")

    def _store(self, gun: str, role: str, file: _File) -> None:
        """Make a file the one that counts."""
        with self._db.write() as connection:
            connection.execute("UPDATE trust_files SET listed = 0 WHERE gun = ? AND role = ?", (gun, role))
            connection.execute(
                "INSERT OR REPLACE INTO trust_files VALUES (?, ?, ?, ?, ?, 1)",
                (gun, role, file.version, hashlib.sha256(file.raw).hexdigest(), file.raw),
            )
            if role != ROOT:
                old = (gun, role, file.version - _KEPT)
                connection.execute("DELETE FROM trust_files WHERE gun = ? AND role = ? AND version <= ?", old)

    # ------------------------------------------------------------------ uploads

    def _publish(self, gun: str, files: Mapping[str, bytes]) -> None:
        """Take an upload, whole or not at all.

        Raises:
            RefusedError: It is not to be believed.
        """
        unknown = [role for role in files if role not in {ROOT, TARGETS} and not is_delegation(role)]
        if unknown:
            raise _invalid(f"{unknown[0][:100]!r} is not a role that clients sign")
        with self._db.write() as connection:
            current = self._current(gun)
            try:
                wanted = self._judged(gun, files, current)
            except TrustError as error:
                raise _invalid(error.message) from error
            for role in set(current) - set(wanted) - set(_LIVES):
                connection.execute("UPDATE trust_files SET listed = 0 WHERE gun = ? AND role = ?", (gun, role))
            for role, file in wanted.items():
                if current.get(role) != file:
                    self._store(gun, role, file)
            self._seal(gun, {**wanted, **{role: current[role] for role in _LIVES if role in current}}, anew=True)

    def _judged(self, gun: str, files: Mapping[str, bytes], current: Mapping[str, _File]) -> dict[str, _File]:
        """What counts after an upload, by role.

        Raises:
            TrustError: The upload is not to be believed.
            RefusedError: Something else is wrong with it.
        """
        root = self._root(gun, files.get(ROOT), current.get(ROOT))
        wanted = {ROOT: _File(root.root.document.version, root.root.document.raw)}
        waiting = [root.root.roles[TARGETS]]
        while waiting:
            role = waiting.pop(0)
            if role.name in wanted:
                continue  # delegated to more than once
            known, raw = current.get(role.name), files.get(role.name)
            if raw is None:
                if known is None:
                    if role.name == TARGETS:
                        raise _invalid("there is no targets file")
                    continue
                raw = known.raw
            found = decode_targets(raw, role.name)
            if raw is files.get(role.name):
                tuf.verify(found.document, role)
                if known is not None and raw != known.raw and found.document.version <= known.version:
                    raise RefusedError(400, "VERSION", f"the {role.name} file is no newer than the one that is here")
            elif role.name == TARGETS:
                tuf.verify(found.document, role)
            wanted[role.name] = _File(found.document.version, raw)
            waiting += found.delegations
        strangers = set(files) - set(wanted)
        if strangers:
            raise _invalid(f"nobody has delegated anything to {min(strangers)[:100]!r}")
        return wanted

    def _root(self, gun: str, raw: bytes | None, known: _File | None) -> tuf.Believed:
        """The root that counts after an upload."""
        now = self._now()
        if known is None:
            if raw is None:
                raise _invalid("there is no root file")
            believed = tuf.Believed(gun, tuf.first_root(raw, gun, now), now)
        else:
            believed = tuf.Believed(gun, tuf.kept_root(known.raw, gun), now)
            if raw is not None and raw != known.raw:
                believed.next_root(raw)
                believed.check_root()
        for role in _LIVES:
            if set(believed.root.roles[role].keys) != {_public(self._key(gun, role)).id}:
                raise _invalid(f"the {role} key must be the registry's own")
        return believed


def _public(key: Any) -> PublicKey:
    return PublicKey("ed25519", key.public_key().public_bytes_raw())


def _meta(raw: bytes) -> dict[str, Any]:
    hashes = {name: b64encode(hashlib.new(name, raw).digest()).decode() for name in ("sha256", "sha512")}
    return {"hashes": hashes, "length": len(raw)}


def _invalid(message: str) -> RefusedError:
    return RefusedError(400, "INVALID_UPDATE", message)


def _parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The files of a ``multipart/form-data`` body, by the role that each is called.

    Raises:
        RefusedError: It is none.
    """
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip().strip('"').encode()
    malformed = _invalid("the upload is not a form with files")
    if not content_type.startswith("multipart/form-data") or not boundary:
        raise malformed
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or pieces[0].strip() or not pieces[-1].startswith(b"--"):
        raise malformed
    found: dict[str, bytes] = {}
    for piece in pieces[1:-1]:
        head, blank, raw = piece.partition(b"\r\n\r\n")
        name = _FILE.search(head)
        if not blank or name is None:
            raise malformed
        found[name.group(1).decode("utf-8", "replace")] = raw
    return found
