"""Every secret of a place, derived from the installation's master secret; nothing is stored.

A server that restarts derives the same ones again, so it needs only the rows and one file to
reach its sessions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

import zmq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from zmq.utils import z85

from jupyter_sessmgr.store.base import Cipher

#: Length of the master secret and of every derived key, in bytes.
KEY_BYTES = 32
_SALT = b"jupyter_sessmgr 1"
_SEALED = "v1:"
_NONCE_BYTES = 12


class InstallationSecrets(Cipher):
    """Derives what a place needs, signs labels, seals what lies on disk.

    Implements `engines.base.Signer` and `store.base.Cipher`. Made by the manager when it opens.

    Parameters
    ----------
    master : bytes
        The installation's master secret, 32 random bytes.
    install_id : str
        The installation's public name.
    """

    def __init__(self, master: bytes, install_id: str) -> None:
        if len(master) != KEY_BYTES:
            raise ValueError(f"a master secret has {KEY_BYTES} bytes, not {len(master)}")
        self.install_id = install_id
        self._master = master
        self._signing_key = self.derive("label signature")
        self._aead = AESGCM(self.derive("row cipher"))

    def __repr__(self) -> str:
        return f"<InstallationSecrets of {self.install_id}>"

    def derive(self, purpose: str, subject: str = "") -> bytes:
        """Derive 32 bytes for one purpose and one subject, such as a place's id.

        Other purposes and other subjects get bytes that tell nothing about these.
        """
        info = _framed(purpose, self.install_id, subject)
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=_SALT, info=info).derive(self._master)

    def agent_token(self, place_id: str) -> str:
        """Make the token that a place's agent asks of whoever connects: 64 hex digits."""
        return self.derive("agent token", place_id).hex()

    def kernel_key(self, place_id: str) -> str:
        """Make the key that signs a kernel's messages: 64 hex digits."""
        return self.derive("kernel key", place_id).hex()

    def curve_keys(self, place_id: str) -> tuple[str, str]:
        """Make the CurveZMQ keys of a place's kernel: public and secret, as Z85 text."""
        secret = z85.encode(self.derive("curve key", place_id))
        return zmq.curve_public(secret).decode(), secret.decode()

    def agent_certificate(self, place_id: str) -> tuple[str, str]:
        """Make the TLS certificate of a place's agent, and its private key, both PEM.

        The same bytes on every call. The first call blocks; the manager makes it when it opens.
        """
        from jupyter_sessmgr.manager.installation.certificates import (  # noqa: PLC0415 - as it says
            make_certificate,
        )

        return make_certificate(place_id, self.derive("agent certificate", place_id))

    def sign(self, *words: str) -> str:
        """Sign words, for labels: 64 hex digits. The order and the borders of words count."""
        return hmac.new(self._signing_key, _framed(*words), hashlib.sha256).hexdigest()

    def verify(self, signature: str, *words: str) -> bool:
        """Tell, in constant time, whether a signature is ours."""
        return hmac.compare_digest(signature.encode(errors="replace"), self.sign(*words).encode())

    def seal(self, text: str) -> str:
        """Encrypt text for a row; the same text looks different each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, text.encode(), _SALT)
        return _SEALED + base64.b64encode(sealed).decode()

    def unseal(self, sealed: str) -> str:
        """Decrypt what `seal` made.

        Raises
        ------
        ValueError
            when it was not sealed by this installation, or was changed.
        """
        if not sealed.startswith(_SEALED):
            raise ValueError("not sealed by this installation")
        raw = base64.b64decode(sealed[len(_SEALED) :], validate=True)
        try:
            return self._aead.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _SALT).decode()
        except InvalidTag:
            raise ValueError("not sealed by this installation") from None


def _framed(*words: str) -> bytes:
    """Join words so that no two lists of words give the same bytes."""
    encoded = [word.encode(errors="surrogatepass") for word in words]
    return b"".join(len(word).to_bytes(4, "big") + word for word in encoded)
