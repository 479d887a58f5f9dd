# SPDX-License-Identifier: Apache-2.0
"""A signed repository made by other means than scow's, and a notary server for it on memory.

The server does what notary-server does: it holds the snapshot and timestamp keys, signs those two files anew with every
upload, and keeps every file under its hash and every root under its number.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import re
import warnings
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scow.distribution.client import RegistryClient
from scow.distribution.session import RetryPolicy
from scow.distribution.wire import ConnectionLostError
from scow.errors import LimitError
from scow.oci.reference import Reference
from scow.trust.cache import trust_dir
from scow.trust.keystore import KeyStore
from scow.trust.metadata import file_meta
from scow.trust.notary import NotaryPolicy, TrustPlace, open_server
from scow.trust.signing import Signing

NOW = 1_800_000_000.0  # 2027-01-15
DAY = 86400.0
HOST = "registry.example:5000"
GUN = f"{HOST}/team/app"


def golden(*names):
    """A file that docker 28.2.2 or notary-server 0.7.0 made."""
    with open(os.path.join(os.path.dirname(__file__), "..", "golden", "trust", *names), "rb") as file:
        return file.read()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def b64(data):
    return base64.b64encode(data).decode()


def stamp(when):
    moment = dt.datetime.fromtimestamp(when, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


class Key:
    """A signing key; with ``gun`` its public side is a certificate for that repository."""

    def __init__(self, gun="", *, kind="ecdsa", begin=NOW - 30 * DAY, end=NOW + 3650 * DAY, private=None):
        self.kind = kind
        self.private = private or (
            ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
        )
        public = self.private.public_key()
        if kind == "ed25519":
            self.public = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        elif gun:
            self.kind = "ecdsa-x509"
            self.public = self._certificate(gun, begin, end)
        else:
            self.public = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.members = {"keytype": self.kind, "keyval": {"private": None, "public": b64(self.public)}}
        self.id = hashlib.sha256(canonical(self.members)).hexdigest()

    def _certificate(self, gun, begin, end):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names beyond 64 characters are usual here
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, gun, _validate=False)])
        at = [dt.datetime.fromtimestamp(when, dt.UTC) for when in (begin, end)]
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
        builder = builder.public_key(self.private.public_key()).not_valid_before(at[0]).not_valid_after(at[1])
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return builder.sign(self.private, hashes.SHA256()).public_bytes(Encoding.PEM)

    def sign(self, message):
        if self.kind == "ed25519":
            return {"keyid": self.id, "method": "eddsa", "sig": b64(self.private.sign(message))}
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return {"keyid": self.id, "method": "ecdsa", "sig": b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))}


def signed(value, keys):
    message = canonical(value)
    return canonical({"signed": value, "signatures": [key.sign(message) for key in keys]})


def meta(raw):
    digests = {"sha256": b64(hashlib.sha256(raw).digest()), "sha512": b64(hashlib.sha512(raw).digest())}
    return {"hashes": digests, "length": len(raw)}


def target(text):
    """What stands for a manifest in tests: its digest is that of ``text``."""
    return {"hashes": {"sha256": b64(hashlib.sha256(text.encode()).digest())}, "length": len(text)}


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Repo:
    """A repository's trust data; ``publish`` puts what was changed on the server."""

    def __init__(self, gun=GUN, *, now=NOW):
        self.gun = gun
        self.now = now
        self.root_keys = [Key(gun)]
        self.targets_keys = [Key()]
        self.snapshot_key, self.timestamp_key = Key(kind="ed25519"), Key(kind="ed25519")
        self.threshold = 1
        self.versions = {"root": 0, "targets": 0, "snapshot": 0, "timestamp": 0}
        self.current = {}  # role -> bytes
        self.files = {}  # the server's name without .json -> bytes
        self.delegations = {}  # role -> (keys, paths, threshold)

    def common(self, kind, role, days):
        self.versions[role] = self.versions.get(role, 0) + 1
        return {"_type": kind, "expires": stamp(self.now + days * DAY), "version": self.versions[role]}

    def role(self, keys, threshold=1):
        return {"keyids": [key.id for key in keys], "threshold": threshold}

    def make_root(self, *, also=(), signers=None, days=3650):
        listed = [*self.root_keys, *self.targets_keys, self.snapshot_key, self.timestamp_key]
        value = self.common("Root", "root", days) | {
            "consistent_snapshot": False,
            "keys": {key.id: key.members for key in listed},
            "roles": {
                "root": self.role(self.root_keys),
                "targets": self.role(self.targets_keys, self.threshold),
                "snapshot": self.role([self.snapshot_key]),
                "timestamp": self.role([self.timestamp_key]),
            },
        }
        self.current["root"] = signed(value, signers or [*self.root_keys, *also])
        self.files[f"{value['version']}.root"] = self.current["root"]
        return self.current["root"]

    def make_targets(self, tags, role="targets", *, signers=None, days=1095):
        keys = {key.id: key.members for held, _, _ in self.delegations.values() for key in held}
        roles = [
            {"name": name, "paths": paths, **self.role(held, threshold)}
            for name, (held, paths, threshold) in self.delegations.items()
        ]
        value = self.common("Targets", role, days) | {
            "delegations": {"keys": keys, "roles": roles} if role == "targets" else {"keys": {}, "roles": []},
            "targets": {tag: target(text) for tag, text in tags.items()},
        }
        held = self.targets_keys if role == "targets" else self.delegations[role][0]
        self.current[role] = signed(value, signers or held)

    def seal(self, *, days=1095):
        """Sign the snapshot and the timestamp, as the server does."""
        listed = {name: meta(raw) for name, raw in self.current.items() if name not in {"snapshot", "timestamp"}}
        value = self.common("Snapshot", "snapshot", days) | {"meta": listed}
        self.current["snapshot"] = signed(value, [self.snapshot_key])
        self.stamp()

    def stamp(self, *, days=14):
        value = self.common("Timestamp", "timestamp", days) | {"meta": {"snapshot": meta(self.current["snapshot"])}}
        self.current["timestamp"] = signed(value, [self.timestamp_key])

    def publish(self, tags=None, *, again=True):
        if "root" not in self.current:
            self.make_root()
        if tags is not None:
            self.make_targets(tags)
        if again:
            self.seal()
        for name, raw in self.current.items():
            self.files[name] = raw
            self.files[f"{name}.{hashlib.sha256(raw).hexdigest()}"] = raw
        return self


class Answered:
    """The part of ``distribution.wire.Response`` that sessions use."""

    def __init__(self, url, status, body, headers=None):
        self.url, self.status, self._body = url, status, body
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}

    def get_all(self, name):
        return [self.headers[name]] if name in self.headers else []

    def read(self, limit, what="answer"):
        if len(self._body) > limit:
            raise LimitError(f"{what} has more than {limit} bytes")
        return self._body

    def error_body(self):
        return self._body[:4096]

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class TrustTransport:
    """The network, with the repositories of one notary server; ``fault(name, raw)`` may give another answer."""

    def __init__(self, *repos):
        self.repos = {repo.gun: repo for repo in repos}
        self.log = []
        self.fault = None
        self.down = False

    def close(self):
        pass

    def send(self, method, url, *, headers, body=None, redirects=True):
        if self.down:
            error = ConnectionLostError("connecting: connection refused")
            error.refused = True
            raise error
        match = re.fullmatch(r"/v2/(.+)/_trust/tuf/([^/].*)?", unquote(urlsplit(url).path))
        if match is None:
            return Answered(url, 404, b"")
        gun, name = match.group(1), match.group(2) or ""
        self.log.append(f"{method} {name}")
        repo = self.repos.get(gun)
        if method == "POST":
            return self.take(repo, url, headers, body.open().read())
        if name.endswith(".key"):
            return self.key(gun, url, name.removesuffix(".key"))
        raw = repo.files.get(name.removesuffix(".json")) if repo else None
        if self.fault is not None:
            changed = self.fault(name.removesuffix(".json"), raw)
            if isinstance(changed, int):
                return Answered(url, changed, b"{}")
            raw = changed
        return Answered(url, 404, b"{}") if raw is None else Answered(url, 200, raw)

    def key(self, gun, url, role):
        repo = self.repos.setdefault(gun, Repo(gun))
        found = {"snapshot": repo.snapshot_key, "timestamp": repo.timestamp_key}[role]
        return Answered(url, 200, canonical(found.members))

    def take(self, repo, url, headers, body):
        boundary = headers["Content-Type"].partition("boundary=")[2].encode()
        parts = body.split(b"--" + boundary)[1:-1]
        for part in parts:
            head, _, raw = part.partition(b"\r\n\r\n")
            role = re.search(rb'filename="([^"]*)"', head).group(1).decode()
            repo.current[role] = raw[:-2]
            if role == "root":
                repo.versions["root"] = json.loads(raw[:-2])["signed"]["version"]
                repo.files[f"{repo.versions['root']}.root"] = raw[:-2]
        listed = json.loads(repo.current["targets"])["signed"]["delegations"]["roles"]
        gone = [name for name in repo.current if "/" in name and name not in {role["name"] for role in listed}]
        for name in gone:
            del repo.current[name]
        repo.publish()
        return Answered(url, 200, b"")


class Words:
    """Passphrases from a list, the last one for ever."""

    def __init__(self, *said):
        self.said = list(said) or ["secret words"]
        self.asked = []

    def get(self, role, key_id, *, new, attempt):
        self.asked.append((role, key_id, new, attempt))
        return self.said[min(attempt, len(self.said) - 1)]


def client_of(transport, folder, **options):
    """A registry client whose only network is ``transport``."""
    return RegistryClient(
        str(folder), {"SCOW_DAEMON_JSON": ""}, retry=RetryPolicy(2, 0.0, 0.0, 0.0), transport=transport, **options
    )


def place_of(folder, **options):
    return TrustPlace(str(folder), **{"now": lambda: NOW, **options})


class Person:
    """Somebody with keys of their own."""

    reference = Reference.parse(f"{GUN}:v1")

    def __init__(self, folder, transport):
        self.folder, self.transport = folder, transport
        self.place = place_of(folder)
        self.client = client_of(transport, folder)
        self.words = Words()
        self.keys = KeyStore(trust_dir(str(folder)), self.words, 10)

    def signing(self):
        server = open_server(self.client, self.place, self.reference, "pull", "push")
        return Signing(server, self.place, self.reference.repository, self.keys, print)

    def sign(self, **tags):
        signing = self.signing()
        for tag in tags:
            signing.begin(tag)
        for tag, text in tags.items():
            signing.sign(tag, file_meta(target(text), "it"))
        signing.publish()
        return signing

    def tags(self):
        return dict(NotaryPolicy(self.client, self.place, print).tags(self.reference))


def introduce(owner, **people):
    signing = owner.signing()
    for name, person in people.items():
        signing.add_signer(name, [person.keys.create(name).public])
    signing.publish()
