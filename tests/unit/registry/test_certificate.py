# SPDX-License-Identifier: Apache-2.0
"""The certificate is the one in the files, also after they were renewed; blobs go through TLS whole."""

from __future__ import annotations

import datetime as dt
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fakes.private_registry import PrivateRegistry, digest_of
from scow.errors import InvalidArgumentError
from scow.registry.certificate import Certificate
from scow.registry.server import Listen


def write(folder, name, at):
    """Write a new certificate for ``name`` and its key, as if at a moment (seconds since the epoch)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(day)
        .not_valid_after(day.replace(year=2126))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "c.pem").write_bytes(made.public_bytes(pem))
    (folder / "k.pem").write_bytes(plain)
    for file in ("c.pem", "k.pem"):
        os.utime(folder / file, (at, at))
    return made.public_bytes(serialization.Encoding.DER)


def anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(context):
    """The certificate that a server with this context shows."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = anybody().wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return client.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_shown(tmp_path):
    first = write(tmp_path, "first", 1000)
    certificate = Certificate(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    assert shown(certificate.context) == first
    second = write(tmp_path, "second", 2000)
    assert shown(certificate.context) == first
    certificate.refresh()
    assert shown(certificate.context) == second


def test_one_that_cannot_be_used_leaves_the_one_before(tmp_path):
    first = write(tmp_path, "first", 1000)
    certificate = Certificate(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    (tmp_path / "c.pem").write_text("nonsense")
    with pytest.raises(InvalidArgumentError):
        certificate.refresh()
    certificate.refresh()  # said once
    assert shown(certificate.context) == first
    os.unlink(tmp_path / "c.pem")
    with pytest.raises(InvalidArgumentError):
        certificate.refresh()
    certificate.refresh()


def test_blobs_over_tls(tmp_path):
    write(tmp_path, "here", 1000)
    data = os.urandom(3 << 20)
    listen = Listen(certificate=str(tmp_path / "c.pem"), key=str(tmp_path / "k.pem"))
    with PrivateRegistry(tmp_path / "r", listen=listen) as served:
        assert served.url.startswith("https://")
        served.tls = anybody()
        served.push_blob("r", data)
        assert served.ask("GET", f"/v2/r/blobs/{digest_of(data)}").data == data
        assert served.ask("GET", f"/v2/r/blobs/{digest_of(data)}", Range="bytes=9-2000000").data == data[9:2000001]
