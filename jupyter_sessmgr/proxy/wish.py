"""What a client has to ask for a websocket."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError

VERSION = "13"
#: RFC 6455, section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_LENGTH = 16
_BAD_REQUEST, _UPGRADE_REQUIRED = 400, 426


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client asks for beside its path."""

    key: str
    protocols: tuple[str, ...]

    @property
    def accept(self) -> str:
        """What only a server that understood the wish answers."""
        digest = hashlib.sha1(self.key.encode() + _GUID, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()


def read_wish(request: HTTPServerRequest) -> Wish:
    """Read what a client asks for, when that makes a websocket.

    Raises
    ------
    HTTPError
        400 when it makes none; 426 for another version of the protocol.
    """
    headers = request.headers
    if headers.get("Sec-WebSocket-Version", VERSION) != VERSION:
        raise HTTPError(_UPGRADE_REQUIRED, "Websockets are of version 13 here.")
    key = headers.get("Sec-WebSocket-Key", "")
    flaws = {
        "is no GET of HTTP/1.1": (request.method, request.version) != ("GET", "HTTP/1.1"),
        "has a body": _has_body(headers),
        "lacks its Connection header": "upgrade" not in words(headers, "Connection"),
        "lacks its version": "Sec-WebSocket-Version" not in headers,
        "has no good key": not _is_key(key),
    }
    for flaw, found in flaws.items():
        if found:
            raise HTTPError(_BAD_REQUEST, f"The request for a websocket {flaw}.")
    protocols = ",".join(headers.get_list("Sec-WebSocket-Protocol")).split(",")
    return Wish(key=key, protocols=tuple(filter(None, (one.strip() for one in protocols))))


def words(headers: Mapping[str, str], name: str) -> list[str]:
    """List the words of a header that is a list, in lower case."""
    return [word.strip().lower() for word in headers.get(name, "").split(",")]


def _has_body(headers: Mapping[str, str]) -> bool:
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_LENGTH
    except (ValueError, binascii.Error):
        return False
