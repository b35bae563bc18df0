"""Reads and checks the signatures of the Backend.AI API. Pure.

A client signs what identifies a request, not its body: who gets hold of a signed request can send
it again, with another body, as long as its date is good. Hence the short time, and TLS.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from jupyter_sessmgr.model.errors import AuthFailed

#: The ``Authorization`` scheme.
SCHEME = "BackendAI"
#: How far a client's clock may be off, either way.
TOLERANCE = timedelta(minutes=15)
#: Since this version of the API, no signature covers a body.
OLDEST_VERSION = "20181215"
#: One sentence for an unknown key and for a wrong signature: nobody learns which keys there are.
MISMATCH = (
    "The access key or the signature is wrong. Look at the secret key, the endpoint's host name "
    "(a proxy may change it: see SessMgrApp.accepted_hosts) and the path prefix."
)

_AUTHORIZATION = re.compile(
    rf"{SCHEME}\s+signMethod=(HMAC-SHA256),\s*credential=([A-Za-z0-9_-]{{1,64}}):([0-9a-f]{{64}})",
    re.ASCII | re.IGNORECASE,
)
_VERSION = re.compile(r"v[0-9]{1,3}\.([0-9]{8})", re.ASCII)
_EMPTY_BODY = hashlib.sha256(b"").hexdigest()
_NO_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What was signed, by which access key, and the signature."""

    access_key: str
    signature: str
    method: str
    #: Path and query, as they were sent.
    target: str
    #: As it was sent.
    date: str
    #: The day that the client wrote, as YYYYMMDD.
    day: str
    content_type: str
    version: str

    def is_signed_by(self, secret: str, hosts: Iterable[str]) -> bool:
        """Tell whether the signature was made with `secret`, for one of the host names.

        Takes the same time whichever it is.
        """
        matches = [self._matches(secret, host) for host in hosts]
        return any(matches)

    def _matches(self, secret: str, host: str) -> bool:
        key = _hmac(_hmac(secret.encode(), self.day).digest(), host).digest()
        return hmac.compare_digest(_hmac(key, self._text(host)).hexdigest(), self.signature)

    def _text(self, host: str) -> str:
        return "\n".join(
            (
                self.method.upper(),
                self.target,
                self.date,
                f"host:{host}",
                f"content-type:{self.content_type}",
                f"x-backendai-version:{self.version}",
                _EMPTY_BODY,
            )
        )


def is_signed(headers: Mapping[str, str]) -> bool:
    """Tell whether a request says that it is signed."""
    scheme = headers.get("Authorization", "").split(None, 1)[:1]
    return [word.lower() for word in scheme] == [SCHEME.lower()]


def read_signed(
    method: str, target: str, headers: Mapping[str, str], now: datetime
) -> SignedRequest:
    """Read what a client says of its signature.

    Parameters
    ----------
    method, target : str
        Of the request line, as they were sent.
    headers : mapping
        Case does not matter to it.
    now : datetime
        With a time zone.

    Raises
    ------
    AuthFailed
        which says what is missing, unreadable, too old or too new.
    """
    match = _AUTHORIZATION.fullmatch(headers.get("Authorization", "").strip())
    if match is None:
        raise AuthFailed(
            f"Authorization: write {SCHEME} signMethod=HMAC-SHA256, credential=KEY:SIGNATURE, "
            "with 64 hex digits."
        )
    date = headers.get("Date") or headers.get("X-BackendAI-Date") or ""
    content_type = headers.get("Content-Type") or _NO_CONTENT_TYPE
    return SignedRequest(
        access_key=match[2],
        signature=match[3].lower(),
        method=method,
        target=target,
        date=date,
        day=_day(date, now),
        content_type=content_type.partition(";")[0].strip().lower(),
        version=_version(headers.get("X-BackendAI-Version", "")),
    )


def _hmac(key: bytes, text: str) -> hmac.HMAC:
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256)


def _version(text: str) -> str:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise AuthFailed("X-BackendAI-Version: missing, or not of the form v5.20191215.")
    if match[1] < OLDEST_VERSION:
        raise AuthFailed(
            f"X-BackendAI-Version: {text} is too old, signatures are read since "
            f"v4.{OLDEST_VERSION}; update the client."
        )
    return text


def _day(text: str, now: datetime) -> str:
    date = _moment(text)
    if date is None:
        raise AuthFailed("Date: missing or unreadable; write it as ISO 8601 or RFC 1123 say.")
    if abs(date - now) > TOLERANCE:
        raise AuthFailed("Date: more than 15 minutes from this server's clock; set the clock.")
    return date.strftime("%Y%m%d")


def _moment(text: str) -> datetime | None:
    """Read a date as the clients of all languages write it; without a zone it is UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None
