# SPDX-License-Identifier: Apache-2.0
"""Changing what is signed in a repository: changes are collected, keys unlocked, and all is published at once.

A :class:`Signing` begins with what the trust server has today, verified. Nothing reaches the server before
:meth:`Signing.publish`, and every key that it takes is unlocked before that, by :meth:`Signing.unlock` if not then.

Source: notary 0.7.0, ``client/client.go``; docker CLI 28.2.2, ``cli/trust``; measured.
"""

from __future__ import annotations

import copy
import os
from base64 import b64encode

from scow.base.clock import rfc3339
from scow.errors import InvalidArgumentError
from scow.trust import canonical
from scow.trust.cache import TrustCache, trust_dir
from scow.trust.failures import NoSigningKeyError, NoTrustDataError, RootError
from scow.trust.metadata import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Role
from scow.trust.notary import update
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from scow.errors import ScowError
    from scow.trust.keyfiles import PrivateKey
    from scow.trust.keys import PublicKey
    from scow.trust.keystore import KeyStore
    from scow.trust.metadata import FileMeta
    from scow.trust.notary import TrustPlace
    from scow.trust.server import TrustServer
    from scow.trust.tuf import Believed

_YEAR = 365 * 86400.0
_ROOT_LIFE = 10 * _YEAR
_TARGETS_LIFE = 3 * _YEAR
_RENEWED = 0.5 * _YEAR


class Signing:
    """Changes to one repository's trust data.

    Args:
        server: Where they go; opened for pulling and pushing.
        place: Where trust data is kept.
        gun: The repository in full.
        keys: What signs.
        warn: Told what the user should know.

    Raises:
        TrustError: What the server has cannot be believed.
        TrustServerError: It does not answer.

    Attributes:
        believed: What the server has; ``None`` when nobody has signed anything yet.
    """

    def __init__(
        self, server: TrustServer, place: TrustPlace, gun: str, keys: KeyStore, warn: Callable[[str], None]
    ) -> None:
        self._server = server
        self._place = place
        self._gun = gun
        self._keys = keys
        self._warn = warn
        self._root: bytes | None = None
        self._roles: dict[str, Role] = {}
        self._signed: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._wanted: set[str] = set()
        self._signers: dict[str, list[tuple[str, PrivateKey]]] = {}
        self.believed: Believed | None = None
        try:
            self.believed = update(server, place, gun, warn, every=True)
        except NoTrustDataError as error:
            if TrustCache(trust_dir(place.config_dir), gun).read(ROOT) is not None:
                error.hint = (
                    "It had some, which is trusted here. If it was deleted on purpose, remove"
                    f" {os.path.join(trust_dir(place.config_dir), 'tuf', gun)!r} and sign again."
                )
                raise
            return
        self._roles[TARGETS] = self.believed.root.roles[TARGETS]
        for name, found in self.believed.targets.items():
            self._signed[name] = copy.deepcopy(found.document.signed)
            self._roles |= {role.name: role for role in found.delegations}

    def initialize(self) -> None:
        """Begin the trust data of a repository.

        It gets a root by the user's root key, which is made when there is none, a key of its own, and the server's keys
        for the rest.

        Raises:
            ScowError: A key cannot be opened or kept, or the server does not answer.
        """
        identity = self._keys.of_role(ROOT)
        root_key = self._keys.unlock(identity) if identity else self._keys.create(ROOT)
        identity = self._keys.of_role(TARGETS, self._gun)
        targets_key = self._keys.unlock(identity) if identity else self._keys.create(TARGETS, self._gun)
        now = self._place.now()
        certificate = root_key.certificate(self._gun, now, _ROOT_LIFE)
        public = {
            ROOT: certificate,
            TARGETS: targets_key.public,
            SNAPSHOT: self._server.key(SNAPSHOT),
            TIMESTAMP: self._server.key(TIMESTAMP),
        }
        root = {
            "_type": "Root",
            "consistent_snapshot": False,
            "expires": rfc3339(now + _ROOT_LIFE),
            "keys": {key.id: key.members for key in public.values()},
            "roles": {name: {"keyids": [key.id], "threshold": 1} for name, key in public.items()},
            "version": 1,
        }
        self._root = _file(root, [(certificate.id, root_key)])
        self._roles[TARGETS] = Role(TARGETS, {targets_key.id: targets_key.public}, 1)
        self._edit(TARGETS)

    def choose(self, tag: str) -> list[str]:
        """The roles to sign a tag in.

        Without signers that is the repository's own; else all signers' that may sign it and have a key here.

        Raises:
            NoSigningKeyError: There is none.
        """
        delegations = [role for role in self._roles.values() if role.name.rpartition("/")[0] == TARGETS]
        if not delegations:
            return [TARGETS]
        held = {key.id for key in self._keys.held()}
        chosen = [role.name for role in delegations if role.may_sign(tag) and held & set(_bare(role))]
        if not chosen:
            raise NoSigningKeyError("no valid signing keys for delegation roles")
        return chosen

    def begin(self, tag: str) -> None:
        """Get ready to sign a tag: unlock what that takes, and make it when nobody has signed anything yet.

        Raises:
            ScowError: A key is not here, or cannot be opened or kept.
        """
        if self.believed is None and self._root is None:
            self.initialize()
        self._wanted.update(self.choose(tag))
        self.unlock()

    def sign(self, tag: str, meta: FileMeta) -> None:
        """Sign a tag; a role that says the same already, and will for a while, stays as it is, whoever signed it.

        Args:
            tag: The tag.
            meta: The manifest that it means.

        Raises:
            NoSigningKeyError: No key here may.
        """
        for role in self.choose(tag):
            known = self.believed.targets.get(role) if self.believed else None
            if known is None or known.targets.get(tag) != meta or known.document.expires < self._place.now() + _RENEWED:
                self._edit(role)["targets"][tag] = meta.members

    def revoke(self, tags: Iterable[str]) -> None:
        """Take tags out of every role that lists them, as far as there are keys; no released one may remain.

        Raises:
            NoSigningKeyError: A released one would.
        """
        wanted = set(tags)
        held = {key.id for key in self._keys.held()}
        for name in list(self._signed):
            listed = wanted & set(self._signed[name].get("targets") or {})
            if not listed or (name not in {TARGETS, RELEASES} and not held & set(_bare(self._roles[name]))):
                continue
            for tag in listed:
                del self._edit(name)["targets"][tag]

    # ------------------------------------------------------------------ signers

    def add_signer(self, name: str, public: Iterable[PublicKey]) -> None:
        """Let somebody sign and release tags.

        Args:
            name: What they are called.
            public: Their keys.
        """
        public = list(public)
        for role in (f"{TARGETS}/{name}", RELEASES):
            known = self._roles.get(role) or Role(role, {}, 1)
            self._roles[role] = known._replace(keys={**known.keys, **{key.id: key for key in public}})
        self._delegate()

    def remove_signer(self, name: str) -> None:
        """Let somebody no longer sign.

        Raises:
            InvalidArgumentError: There is no such signer.
        """
        gone = self._roles.pop(f"{TARGETS}/{name}", None)
        if gone is None or name == "releases":
            raise InvalidArgumentError(f"no signer {name} for repository {self._gun}")
        self._signed.pop(gone.name, None)
        releases = self._roles.get(RELEASES)
        if releases is not None:
            keys = {keyid: key for keyid, key in releases.keys.items() if keyid not in gone.keys}
            self._roles[RELEASES] = releases._replace(keys=keys)
            if not keys:
                # without anybody who may release, the repository's owner signs again
                del self._roles[RELEASES]
                self._signed.pop(RELEASES, None)
        self._delegate()

    def is_last(self, name: str) -> bool:
        """Whether what is released would no longer be believed without a signer."""
        found = self.believed.targets.get(RELEASES) if self.believed else None
        role = self._roles.get(f"{TARGETS}/{name}")
        if found is None or role is None:
            return False
        others = {signature.keyid for signature in found.document.signatures} - set(role.keys)
        return len(others & set(self._roles[RELEASES].keys)) < self._roles[RELEASES].threshold

    def _delegate(self) -> None:
        roles = [role for role in self._roles.values() if role.name.rpartition("/")[0] == TARGETS]
        keys = {keyid: key.members for role in roles for keyid, key in role.keys.items()}
        self._edit(TARGETS)["delegations"] = {
            "keys": keys,
            "roles": [
                {"name": role.name, "keyids": list(role.keys), "paths": list(role.paths), "threshold": role.threshold}
                for role in roles
            ],
        }

    # ------------------------------------------------------------------ publishing

    def unlock(self) -> None:
        """Unlock every key that publishing will take.

        Raises:
            NoSigningKeyError: One that is needed is not here, or could not be unlocked.
        """
        for name in sorted((self._changed | self._wanted) - set(self._signers)):
            self._signers[name] = self._unlocked(self._roles[name])

    def _unlocked(self, role: Role) -> list[tuple[str, PrivateKey]]:
        held = {key.id for key in self._keys.held()}
        wanted = {key.bare.id: keyid for keyid, key in role.keys.items()}
        found: list[tuple[str, PrivateKey]] = []
        reason: ScowError | None = None
        for identity in sorted(held & set(wanted)):
            try:
                found.append((wanted[identity], self._keys.unlock(identity)))
            except NoSigningKeyError as error:
                reason = error
            if len(found) == role.threshold:
                return found
        raise NoSigningKeyError(
            "could not find necessary signing keys, at least one of these keys must be available: "
            + ", ".join(sorted(wanted)),
            hint=reason.message if reason else f"The role {role.name} needs {role.threshold} of them.",
        )

    def publish(self) -> None:
        """Sign what was changed, bring it to the server, and see that it is there.

        Raises:
            NoSigningKeyError: A key is missing.
            TrustServerError: The server does not accept it; nothing is changed.
            TrustError: What the server has afterwards cannot be believed.
        """
        self.unlock()
        now = self._place.now()
        files: dict[str, bytes] = {} if self._root is None else {ROOT: self._root}
        for name in sorted(self._changed):
            signed = self._signed[name]
            signed["version"] += 1
            signed["expires"] = rfc3339(now + _TARGETS_LIFE)
            files[name] = _file(signed, self._signers[name])
        self._server.publish(files)
        self._changed.clear()
        self._wanted.clear()
        self._signers.clear()
        self.believed = update(self._server, self._place, self._gun, self._warn, every=True)
        if self._root is not None and self.believed.root.document.raw != self._root:
            raise RootError("the server has another root than the one that was just published").about(self._gun)
        self._root = None

    def _edit(self, role: str) -> dict[str, Any]:
        """What a role says, to be changed."""
        self._changed.add(role)
        if role not in self._signed:
            self._signed[role] = {
                "_type": "Targets",
                "delegations": {"keys": {}, "roles": []},
                "targets": {},
                "version": self.believed.passed_over.get(role, 0) if self.believed else 0,
            }
        found = self._signed[role]
        if not isinstance(found.get("targets"), dict):
            found["targets"] = {}
        return found


def _bare(role: Role) -> list[str]:
    return [key.bare.id for key in role.keys.values()]


def _file(signed: Mapping[str, Any], signers: list[tuple[str, PrivateKey]]) -> bytes:
    message = canonical.encode(signed)
    made = [key.sign(message, keyid) for keyid, key in signers]
    signatures = [{"keyid": one.keyid, "method": one.method, "sig": b64encode(one.value).decode()} for one in made]
    # notary-server writes files anew before it hashes them, with the members in this order
    return b'{"signed":' + message + b',"signatures":' + canonical.encode(signatures) + b"}"
