"""How a websocket begins at a service: what it is asked, and what it has to answer.

Its module loads with the first websocket, since h11 would make a server's start wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h11
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from jupyter_sessmgr.proxy.headers import Pairs
from jupyter_sessmgr.proxy.http import nonsense
from jupyter_sessmgr.proxy.wish import VERSION, Wish, words

#: Longest head of an answer, in bytes.
MAX_HEAD = 64 * 1024
_BAD_REQUEST, _SWITCHING = 400, 101
#: Answers such as "103 Early Hints" that may come before the one that counts.
_MAX_HINTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a service answered."""

    status: int
    #: As they came.
    headers: Pairs
    #: It accepted, so from here on the connection is a websocket.
    accepted: bool
    #: The subprotocol that it chose; "" for none.
    protocol: str = ""
    #: What it sent behind the head already.
    early: bytes = b""


class Handshake:
    """One side of it: writes the request, and reads the answer.

    Parameters
    ----------
    wish : Wish
        What the client asks for; passed on.
    """

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._hints = 0

    def ask(self, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
        """Write the request.

        Raises
        ------
        HTTPError
            when path or headers cannot be written.
        """
        protocols = ", ".join(self._wish.protocols)
        told = [
            *((name, value) for name, value in headers if name.lower() != "content-length"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", VERSION),
            ("Sec-WebSocket-Key", self._wish.key),
            *([("Sec-WebSocket-Protocol", protocols)] if protocols else []),
        ]
        lines = [(name.encode("latin1"), value.encode("latin1")) for name, value in told]
        try:
            request = h11.Request(method=b"GET", target=path.encode("latin1"), headers=lines)
            head = self._http.send(request) or b""
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise HTTPError(_BAD_REQUEST, "The request cannot be passed on.") from None
        return head + (self._http.send(h11.EndOfMessage()) or b"")

    def take(self, data: bytes) -> Reply | None:
        """Read what came; None while the answer is not complete.

        Raises
        ------
        ServiceError
            when it is none.
        """
        try:
            self._http.receive_data(data)
            while isinstance(event := self._http.next_event(), h11.InformationalResponse):
                if event.status_code == _SWITCHING:
                    return self._accepted(event)
                self._hints += 1
                if self._hints > _MAX_HINTS:
                    raise nonsense()
        except h11.RemoteProtocolError:
            raise nonsense() from None
        if isinstance(event, h11.Response):
            return Reply(status=event.status_code, headers=_pairs(event), accepted=False)
        if event is not h11.NEED_DATA:
            raise nonsense()
        return None

    def _accepted(self, event: h11.InformationalResponse) -> Reply:
        pairs = _pairs(event)
        headers = HTTPHeaders()
        for name, value in pairs:
            headers.add(name, value)
        protocol = headers.get("Sec-WebSocket-Protocol", "")
        genuine = (
            headers.get("Upgrade", "").lower() == "websocket"
            and "upgrade" in words(headers, "Connection")
            and headers.get("Sec-WebSocket-Accept") == self._wish.accept
            and protocol in {"", *self._wish.protocols}
            and "Sec-WebSocket-Extensions" not in headers
        )
        if not genuine:
            raise nonsense()
        return Reply(
            status=event.status_code,
            headers=pairs,
            accepted=True,
            protocol=protocol,
            early=self._http.trailing_data[0],
        )


def _pairs(event: h11.Response | h11.InformationalResponse) -> Pairs:
    raw = event.headers.raw_items()
    return [(name.decode("latin1"), value.decode("latin1")) for name, value in raw]
