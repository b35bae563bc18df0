"""Which credentials are this Jupyter server's, and which requests a foreign page made."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider

_STOCK = (IdentityProvider, PasswordIdentityProvider)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Schemes that never speak to a service: our own, and those by which a browser logs a person in at
#: whatever host an organisation trusts, without asking.
_NO_SERVICES = frozenset({"backendai", "kerberos", "negotiate", "ntlm"})
#: What tornado takes for spaces in an argument.
_SPACES = re.compile(r"[\x00-\x08\x0e-\x1f]")


def ours(handler: Any) -> Callable[[str, str], bool]:
    """Make the judge of `headers.request_headers`: whether a value opens this server."""
    provider = handler.settings["identity_provider"]
    cookie: str = provider.get_cookie_name(handler)  # an admin may choose it
    known = [token for token in (provider.token, _shown(provider, handler)) if token]
    # A provider of another's own knows tokens that we cannot know, such as a Hub's.
    believes_all = type(provider) not in _STOCK

    def is_ours(kind: str, value: str) -> bool:
        scheme, rest = [*value.split(None, 1), "", ""][:2]
        if kind == "cookie":
            return value == cookie
        if kind == "token":
            return believes_all or _among(_SPACES.sub(" ", value).strip(), known)
        if scheme.lower() in {"token", "bearer"}:
            return believes_all or _among(rest.strip(), known)
        if scheme.lower() == "basic":
            return _among(_password(rest), known)
        return scheme.lower() in _NO_SERVICES

    return is_ours


def _shown(provider: Any, handler: Any) -> str | None:
    """Find the token that a request was let in by; None when it was something else."""
    by_token = getattr(handler, "_token_authenticated", False)  # asking the provider needs a user
    token: str | None = provider.get_token(handler) if by_token else None
    return token


def _among(value: str, known: list[str]) -> bool:
    return any(hmac.compare_digest(value.encode(), token.encode()) for token in known)


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (ValueError, binascii.Error):
        return ""


def is_own_page(method: str, headers: Mapping[str, str], host: str, *, socket: bool) -> bool:
    """Tell whether a request with the browser's cookies may come from where it comes from.

    Links may lead here from anywhere, as to every web page. What changes something, and websockets,
    only from pages of this server's own host (CVE-2026-40864 shows how not to read
    ``Sec-Fetch-Site``); nor can a foreign page embed a service, which that would start and wake
    unseen (THREATS B2).
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
    # A page that tells nobody where it was (``Referrer-Policy``) sends its own forms so.
    told = origin is not None and not (origin == "null" and site == "same-origin")
    own = told and str(origin).partition("://")[2].lower() == host.lower()
    near = site in {"same-origin", "none"}
    if method in _SAFE and not socket:
        # Over plain http, browsers tell of a foreign page by its origin at best.
        return headers.get("Sec-Fetch-Dest") == "document" or (near and (own or not told))
    return own if told else near and not socket
