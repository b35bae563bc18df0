"""Tickets: what the pages of a service show to be known, in their path or in a cookie."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from jupyter_sessmgr.model.naming import is_text, is_uuid

#: Seconds that a ticket opens the service's pages.
LIFETIME = 3600
_MAX_LENGTH = 1024
_WORDS, _TIMES = 4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Whose pages of which service may be seen until when.

    It is signed by a key of the session's place, so it never opens what replaced that.
    """

    owner: str
    session_id: str
    service: str
    #: Seconds since the epoch.
    expires: int
    #: When its owner was last known by Jupyter itself; seconds since the epoch.
    opened: int = 0
    #: Jupyter's origin, for pages on a host of their own.
    home: str = ""


def write_ticket(ticket: Ticket, key: str) -> str:
    """Write a ticket as one piece of a path."""
    words = [ticket.owner, ticket.session_id, ticket.service, ticket.home]
    said = [*words, ticket.expires, ticket.opened]
    plain = json.dumps(said, separators=(",", ":")).encode()
    body = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    return f"{body}.{_sign(body, key)}"


def read_ticket(text: str) -> Ticket | None:
    """Read what a ticket says; None when it is none. Nothing of it is to be believed yet."""
    body, dot, _ = text.partition(".")
    if not dot or len(text) > _MAX_LENGTH:
        return None
    try:
        said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(said, list) or len(said) != _WORDS + _TIMES:
        return None
    words, times = said[:_WORDS], said[_WORDS:]
    if not all(isinstance(word, str) and is_text(word) for word in words):
        return None
    if not all(type(time) is int for time in times):
        return None
    owner, session_id, service, home = words
    # A ticket that we wrote has an id there: names cannot be tried by tickets.
    if not is_uuid(session_id):
        return None
    return Ticket(
        owner=owner,
        session_id=session_id,
        service=service,
        home=home,
        expires=times[0],
        opened=times[1],
    )


def is_genuine(text: str, key: str) -> bool:
    """Tell, in constant time, whether a ticket was signed by this key."""
    body, _, signature = text.partition(".")
    return hmac.compare_digest(signature.encode(), _sign(body, key).encode())


def _sign(body: str, key: str) -> str:
    return hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
