# SPDX-License-Identifier: Apache-2.0
"""Public keys and certificates: what they are called and what they have signed.

The algorithm follows from the key and never from the signature. ``cryptography`` is loaded with the first signature.

Source: notary ``tuf/signed/verifiers.go`` and ``tuf/utils/x509.go``; measured with docker 28.2.2.
"""

from __future__ import annotations

import base64
import hashlib
import warnings

from scow.trust import canonical
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from cryptography.x509 import Certificate

_METHODS = {
    "ecdsa": ("ecdsa",),
    "ecdsa-x509": ("ecdsa",),
    "ed25519": ("eddsa",),
    "rsa": ("rsapss", "rsapkcs1v15"),
    "rsa-x509": ("rsapss", "rsapkcs1v15"),
}
_MIN_RSA_BITS = 2048
_DAY = 86400.0


class PublicKey(NamedTuple):
    """A key as trust data lists it.

    Attributes:
        keytype: ``ecdsa``, ``ecdsa-x509``, ``ed25519``, ``rsa`` or ``rsa-x509``.
        public: DER of the key, 32 bytes for ``ed25519``, PEM of a certificate for the ``x509`` types.
    """

    keytype: str
    public: bytes

    @property
    def is_certificate(self) -> bool:
        """Whether it is a certificate, as root keys are."""
        return self.keytype.endswith("-x509")

    @property
    def members(self) -> dict[str, Any]:
        """The key as JSON."""
        public = base64.b64encode(self.public).decode()
        return {"keytype": self.keytype, "keyval": {"private": None, "public": public}}

    @property
    def id(self) -> str:
        """What trust data calls it: a digest of its content."""
        return hashlib.sha256(canonical.encode(self.members)).hexdigest()

    @property
    def bare(self) -> PublicKey:
        """The key itself, when this is a certificate of it.

        Raises:
            ValueError: It is no certificate that could be read.
        """
        if not self.is_certificate:
            return self
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = certificate(self).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return PublicKey(self.keytype.removesuffix("-x509"), der)


def verify(key: PublicKey, method: str, signature: bytes, message: bytes) -> bool:
    """Whether a key has signed a message.

    Args:
        key: The key.
        method: What the signature says of itself; it must be one that the key can do.
        signature: Its bytes; for ECDSA the two numbers one after the other.
        message: What was signed.
    """
    if method not in _METHODS.get(key.keytype, ()):
        return False
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        _check(key, method, signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _check(key: PublicKey, method: str, signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if key.keytype == "ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        return
    public = certificate(key).public_key() if key.is_certificate else load_der_public_key(key.public)
    digest = hashes.SHA256()
    if key.keytype.startswith("ecdsa"):
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise ValueError("the key is not what it says")
        half = (public.curve.key_size + 7) // 8
        if len(signature) != 2 * half:
            raise ValueError("the signature has the wrong length")
        numbers = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        public.verify(encode_dss_signature(*numbers), message, ec.ECDSA(digest))
        return
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size < _MIN_RSA_BITS:
        raise ValueError("the key is not what it says, or too short")
    if method == "rsapss":
        public.verify(signature, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    else:
        public.verify(signature, message, padding.PKCS1v15(), digest)


def certificate(key: PublicKey) -> Certificate:
    """The certificate that a key is.

    Raises:
        ValueError: There is none, or what it begins with is an authority.
    """
    from cryptography import x509

    chain = x509.load_pem_x509_certificates(key.public)
    if _is_authority(chain[0]) or not all(_is_authority(above) for above in chain[1:]):
        raise ValueError("a root key must begin with its own certificate, and authorities only may follow")
    return chain[0]


def _is_authority(found: Certificate) -> bool:
    from cryptography import x509

    try:
        return bool(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def is_for(key: PublicKey, gun: str, now: float | None) -> bool:
    """Whether a root key's certificate is for a repository.

    Args:
        key: The key.
        gun: The repository in full.
        now: When it must be valid, seconds since the epoch; ``None`` for whenever.
    """
    if not key.is_certificate:
        return False
    try:
        found = certificate(key)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names beyond 64 characters are usual here
            names = [str(name.value) for name in found.subject if name.oid.dotted_string == "2.5.4.3"]
        begin, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    except ValueError:
        return False
    if len(names) != 1 or not _matches(names[0], gun):
        return False
    return now is None or begin - _DAY <= now <= end


def _matches(name: str, gun: str) -> bool:
    return gun.startswith(name[:-1]) if name.endswith("*") else name == gun
