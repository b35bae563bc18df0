"""Signs requests as the stock clients of the Backend.AI API do."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


@dataclass(frozen=True)
class Signature:
    """All that a client puts under its signature; tests change one thing of it."""

    access_key: str
    secret: str
    method: str = "GET"
    target: str = "/"
    host: str = "localhost"
    date: str = ""
    content_type: str = "text/plain"
    version: str = "v5.20191215"

    def but(self, **changes):
        """Make the same signature with something else in it."""
        return replace(self, **changes)

    def hexdigest(self):
        day = self.date[:10].replace("-", "")
        key = _hmac(_hmac(self.secret.encode(), day).digest(), self.host).digest()
        text = "\n".join(
            (
                self.method,
                self.target,
                self.date,
                f"host:{self.host}",
                f"content-type:{self.content_type}",
                f"x-backendai-version:{self.version}",
                hashlib.sha256(b"").hexdigest(),
            )
        )
        return _hmac(key, text).hexdigest()

    def headers(self):
        """Give the headers of the signed request; ``Host`` is left to the HTTP client."""
        return {
            "Authorization": (
                f"BackendAI signMethod=HMAC-SHA256, credential={self.access_key}:{self.hexdigest()}"
            ),
            "Date": self.date,
            "Content-Type": self.content_type,
            "X-BackendAI-Version": self.version,
        }


def signature(pair, **fields):
    """Sign now, with a pair as `jupyter sessmgr keypair add --json` prints it."""
    fields.setdefault("date", datetime.now(UTC).isoformat())
    return Signature(pair["access_key"], pair["secret_key"], **fields)
