# SPDX-License-Identifier: Apache-2.0
"""Private keys, and the files that docker keeps them in: encrypted PKCS#8 in PEM, with the role as a header.

``cryptography`` reads neither the headers nor docker's PKCS#8 (its version says that a public key follows, and none
does), and docker reads no other encryption than PBES2 with PBKDF2-HMAC-SHA1 and AES-256-CBC. So the envelope is opened
and closed here, with the mathematics of ``cryptography``. Docker stretches a passphrase 2,048 times; files written here
1,300,000 times, which docker reads just as well.

Source: RFC 8018 (PBES2), RFC 5958 (PKCS#8), RFC 7468 (PEM); notary ``tuf/utils/pkcs8.go``; measured with docker 28.2.2.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import UTC, datetime

from scow.errors import InvalidArgumentError
from scow.trust.keys import PublicKey
from scow.trust.metadata import Signature
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ITERATIONS = 1_300_000
_MAX_ITERATIONS = 20_000_000
_PBES2 = bytes.fromhex("2a864886f70d01050d")
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_AES_256_CBC = bytes.fromhex("60864801650304012a")
_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 0x02, 0x04, 0x06
_ENCRYPTED = "ENCRYPTED PRIVATE KEY"
_PKCS8 = frozenset({_ENCRYPTED, "PRIVATE KEY"})
_LABELS = _PKCS8 | {"EC PRIVATE KEY", "RSA PRIVATE KEY"}
_LINE = 64


class KeyFileError(InvalidArgumentError):
    """The file holds no key, or none of a kind that is known."""

    code = "bad-key-file"


class WrongPassphraseError(KeyFileError):
    """The passphrase does not open the key."""

    code = "wrong-passphrase"


class PrivateKey:
    """A key that can sign.

    Args:
        inner: ``cryptography``'s: elliptic curve or RSA.

    Raises:
        KeyFileError: It is of another kind.

    Attributes:
        public: Its public half.
    """

    def __init__(self, inner: Any) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if not isinstance(inner, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise KeyFileError("the key is neither an elliptic curve key nor an RSA key")
        self.inner: Any = inner
        kind = "rsa" if isinstance(inner, rsa.RSAPrivateKey) else "ecdsa"
        der = inner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = PublicKey(kind, der)

    @property
    def id(self) -> str:
        """What its file is called."""
        return self.public.id

    def sign(self, message: bytes, keyid: str) -> Signature:
        """Sign.

        Args:
            message: What.
            keyid: What the key is called where the signature goes, which differs for certificates.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        digest = hashes.SHA256()
        if self.public.keytype == "rsa":
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return Signature(keyid, "rsapss", self.inner.sign(message, pss, digest))
        half = (self.inner.curve.key_size + 7) // 8
        numbers = decode_dss_signature(self.inner.sign(message, ec.ECDSA(digest)))
        return Signature(keyid, "ecdsa", b"".join(number.to_bytes(half, "big") for number in numbers))

    def certificate(self, gun: str, now: float, seconds: float) -> PublicKey:
        """A certificate of it for one repository, as root keys have.

        Args:
            gun: The repository in full.
            now: From when it is valid, seconds since the epoch.
            seconds: For how long.
        """
        import warnings

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509.oid import ExtendedKeyUsageOID

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names beyond 64 characters are usual here
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, gun, _validate=False)])
        usage = dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
        )
        usage |= dict.fromkeys(("encipher_only", "decipher_only"), False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(x509.random_serial_number())
            .public_key(self.inner.public_key())
            .not_valid_before(datetime.fromtimestamp(int(now), UTC))
            .not_valid_after(datetime.fromtimestamp(int(now + seconds), UTC))
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_encipherment=True, **usage),
                critical=True,
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        made = builder.sign(self.inner, hashes.SHA256())
        return PublicKey(f"{self.public.keytype}-x509", made.public_bytes(Encoding.PEM))


def generate() -> PrivateKey:
    """A new key on the curve P-256."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


class KeyFile(NamedTuple):
    """A private key in PEM, as it lies there.

    Attributes:
        label: What the PEM says it is.
        headers: ``role``, and for keys of one repository ``gun``.
        der: What stands between.
    """

    label: str
    headers: Mapping[str, str]
    der: bytes

    @property
    def role(self) -> str:
        """Whose key it is: ``root``, ``targets`` or a signer's name."""
        return self.headers.get("role", "")

    @property
    def gun(self) -> str:
        """The repository it is for, ``""`` for any."""
        return self.headers.get("gun", "")

    @property
    def is_encrypted(self) -> bool:
        """Whether it needs a passphrase."""
        return self.label == _ENCRYPTED or "DEK-Info" in self.headers


def parse(text: bytes) -> KeyFile:
    """Read a key file, still closed.

    Raises:
        KeyFileError: It is none.
    """
    label, headers, der = parse_pem(text)
    if label not in _LABELS:
        raise KeyFileError("the file holds no private key")
    return KeyFile(label, headers, der)


def parse_pem(text: bytes) -> tuple[str, dict[str, str], bytes]:
    """Read the first PEM block: its label, its headers, its content.

    Raises:
        KeyFileError: There is none.
    """
    lines = iter(text.decode("ascii", "replace").splitlines())
    label = next((line[11:-5] for line in lines if line.startswith("-----BEGIN ") and line.endswith("-----")), "")
    headers: dict[str, str] = {}
    body: list[str] = []
    for line in lines:
        if line == f"-----END {label}-----" and label:
            break
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
        else:
            body.append(line.strip())
    else:
        raise KeyFileError("the file is not PEM")
    try:
        return label, headers, base64.b64decode("".join(body), validate=True)
    except (ValueError, binascii.Error) as error:
        raise KeyFileError("the file is not PEM") from error


def write_pem(label: str, headers: Mapping[str, str], der: bytes) -> bytes:
    """Write a PEM block."""
    body = base64.b64encode(der).decode()
    lines = [f"-----BEGIN {label}-----"]
    lines += [f"{name}: {headers[name]}" for name in sorted(headers)] + ([""] if headers else [])
    lines += [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([*lines, f"-----END {label}-----", ""]).encode()


def open_key(file: KeyFile, passphrase: str = "") -> PrivateKey:
    """Open a key file.

    Args:
        file: The file.
        passphrase: Needed for an encrypted one.

    Raises:
        WrongPassphraseError: It is not the one.
        KeyFileError: The key is of a kind that is not known.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    der = _decrypted(file.der, passphrase) if file.label == _ENCRYPTED else file.der
    if "DEK-Info" in file.headers:
        raise KeyFileError("the key is encrypted in an old way", hint="Convert it with `openssl pkcs8 -topk8`.")
    try:
        return PrivateKey(load_der_private_key(_plain(der) if file.label in _PKCS8 else der, None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # what a wrong passphrase leaves may look well padded, but is no key
        kind = WrongPassphraseError if file.label == _ENCRYPTED else KeyFileError
        raise kind("the passphrase is wrong, or the key is of an unknown kind") from error


def close_key(key: PrivateKey, headers: Mapping[str, str], passphrase: str, iterations: int = ITERATIONS) -> bytes:
    """Write a key file.

    Args:
        key: The key.
        headers: ``role`` and ``gun``.
        passphrase: Protects it.
        iterations: How often the passphrase is stretched.
    """
    from cryptography.hazmat.primitives.padding import PKCS7
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    plain = key.inner.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    padder = PKCS7(128).padder()
    encryptor = _cipher(passphrase, salt, iterations, vector).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    stretched = _der(_SEQUENCE, _der(_OCTETS, salt), _der(_INTEGER, _number(iterations)))
    kdf = _der(_SEQUENCE, _der(_OID, _PBKDF2), stretched)
    cipher = _der(_SEQUENCE, _der(_OID, _AES_256_CBC), _der(_OCTETS, vector))
    algorithm = _der(_SEQUENCE, _der(_OID, _PBES2), _der(_SEQUENCE, kdf, cipher))
    return write_pem(_ENCRYPTED, headers, _der(_SEQUENCE, algorithm, _der(_OCTETS, sealed)))


def _decrypted(der: bytes, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.padding import PKCS7

    algorithm, sealed = _inner(der, _SEQUENCE, 2)
    scheme, parameters = _inner(algorithm, _SEQUENCE, 2)
    kdf, cipher = _inner(parameters, _SEQUENCE, 2)
    kdf_id, kdf_parameters = _inner(kdf, _SEQUENCE, 2)
    salt, count = _inner(kdf_parameters, _SEQUENCE, 2)
    cipher_id, vector = _inner(cipher, _SEQUENCE, 2)
    names = [_value(part, _OID) for part in (scheme, kdf_id, cipher_id)]
    if names != [_PBES2, _PBKDF2, _AES_256_CBC]:
        raise KeyFileError("the key is encrypted by other means than docker's")
    iterations = int.from_bytes(_value(count, _INTEGER), "big")
    data, iv = _value(sealed, _OCTETS), _value(vector, _OCTETS)
    if not 0 < iterations <= _MAX_ITERATIONS or len(iv) != 16 or not data or len(data) % 16:
        raise KeyFileError("the key file is damaged")
    decryptor = _cipher(passphrase, _value(salt, _OCTETS), iterations, iv).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:
        raise WrongPassphraseError("the passphrase is wrong") from error


def _cipher(passphrase: str, salt: bytes, iterations: int, vector: bytes) -> Any:
    from hashlib import pbkdf2_hmac

    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    key = pbkdf2_hmac("sha1", passphrase.encode("utf-8", "surrogateescape"), salt, iterations, 32)
    return Cipher(AES(key), CBC(vector))


def _plain(der: bytes) -> bytes:
    """PKCS#8 with the version that its content has: docker writes 1, which promises a public key besides."""
    head = _head(der)
    if head is None or der[head[1] : head[1] + 3] != b"\x02\x01\x01":
        return der
    return der[: head[1] + 2] + b"\x00" + der[head[1] + 3 :]


# ---------------------------------------------------------------------- as much DER as that takes (X.690, 8.1 and 10.1)


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _head(der: bytes) -> tuple[int, int, int] | None:
    """Tag, begin and end of the value that DER begins with; ``None`` when it does not hold one."""
    if len(der) < 2:
        return None
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[2 : 2 + count], "big"), 2 + count
    end = start + length
    return (der[0], start, end) if 2 <= start <= end <= len(der) else None


def _value(der: bytes, tag: int) -> bytes:
    head = _head(der)
    if head is None or head[0] != tag:
        raise KeyFileError("the key file is damaged, or encrypted by other means than docker's")
    return der[head[1] : head[2]]


def _inner(der: bytes, tag: int, count: int) -> list[bytes]:
    """The values inside one, each with its head."""
    body = _value(der, tag)
    found: list[bytes] = []
    while body and len(found) < count + 1:
        head = _head(body)
        if head is None:
            break
        found.append(body[: head[2]])
        body = body[head[2] :]
    if len(found) != count:
        raise KeyFileError("the key file is damaged, or encrypted by other means than docker's")
    return found


def parse_public(text: bytes) -> PublicKey:
    """Read a signer's public key or certificate.

    Raises:
        KeyFileError: It is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    label, _, der = parse_pem(text)
    key: Any
    try:
        if label == "CERTIFICATE":
            from cryptography import x509
            from cryptography.hazmat.primitives.serialization import Encoding

            found = x509.load_der_x509_certificate(der)
            key, suffix, raw = found.public_key(), "-x509", found.public_bytes(Encoding.PEM)
        elif label == "PUBLIC KEY":
            key, suffix, raw = load_der_public_key(der), "", der
        else:
            raise KeyFileError(f"a {label} is not a public key or certificate")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("the file holds no public key") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        return PublicKey(f"ecdsa{suffix}", raw)
    if isinstance(key, rsa.RSAPublicKey):
        return PublicKey(f"rsa{suffix}", raw)
    raise KeyFileError("the key is neither an elliptic curve key nor an RSA key")


def write_public(key: PublicKey, role: str) -> bytes:
    """Write a signer's public key for ``trust signer add``."""
    return write_pem("PUBLIC KEY", {"role": role}, key.public)
