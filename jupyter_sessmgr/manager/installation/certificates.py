"""TLS certificates of agents. Imported when the first is made: what makes them loads slowly."""

from __future__ import annotations

import datetime as dt
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

# Wide and fixed: a wrong clock must not cut anybody off, and the same place must get the same
# bytes. A place's certificate ends with its place, because nobody pins it any more.
_NOT_BEFORE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)


def make_certificate(place_id: str, secret: bytes) -> tuple[str, str]:
    """Make the certificate of a place's agent, and its private key, from 32 bytes; both PEM.

    Self-signed Ed25519, the same bytes on every call, so a client can pin it as the only one it
    trusts.
    """
    key = Ed25519PrivateKey.from_private_bytes(secret)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sessmgr {place_id}"[:64])])
    serial = int.from_bytes(hashlib.sha256(place_id.encode()).digest()[:16], "big") | 1
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
