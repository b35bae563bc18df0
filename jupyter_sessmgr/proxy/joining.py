"""Opens a service's side of a websocket, then the browser's, and joins both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from jupyter_sessmgr.model.errors import ServiceError
from jupyter_sessmgr.proxy.bounds import Traffic
from jupyter_sessmgr.proxy.headers import Passage, response_headers
from jupyter_sessmgr.proxy.http import Guard, is_final, nonsense, outcome, write_head
from jupyter_sessmgr.proxy.relaying import Relay
from jupyter_sessmgr.proxy.target import Target
from jupyter_sessmgr.proxy.upstream import Upstream
from jupyter_sessmgr.proxy.wish import Wish

if TYPE_CHECKING:
    from jupyter_sessmgr.proxy.handshake import Handshake, Reply

_SWITCHING = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The service's side, which is not read any more; what came is in `reply`."""

    reply: Reply
    writer: asyncio.StreamWriter


class _Answer(asyncio.Protocol):
    """Takes a service's answer, and holds the service back when it is whole."""

    def __init__(self, handshake: Handshake, transport: asyncio.Transport) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        #: What came behind the answer.
        self.rest = b""
        self._handshake = handshake
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read a piece of it."""
        if self.reply.done():
            self.rest += data
            return
        try:
            reply = self._handshake.take(data)
        except ServiceError as error:
            self.reply.set_exception(error)
            return
        if reply is not None:
            self._transport.pause_reading()
            self.reply.set_result(reply)

    def eof_received(self) -> None:
        """Read its end, which it may not have."""
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that no more comes."""
        del exc
        if not self.reply.done():
            self.reply.set_exception(nonsense())


class Junction:
    """One websocket on its way through. Made by a handler, and ended with it until it is open.

    Parameters
    ----------
    handler : RequestHandler
        The client's side.
    upstream : Upstream
        The service's side.
    wish : Wish
        What the client asks for.
    response_timeout : float
        Seconds until the service must have answered.
    held : ExitStack
        What the request holds; the websocket takes it over when it opens.
    traffic : Traffic
        Hears of bytes.
    """

    def __init__(
        self,
        handler: RequestHandler,
        upstream: Upstream,
        *,
        wish: Wish,
        response_timeout: float,
        held: ExitStack,
        traffic: Traffic,
    ) -> None:
        self._handler = handler
        self._upstream = upstream
        self._wish = wish
        self._timeout = response_timeout
        self._held = held
        self._traffic = traffic
        self._asking: asyncio.Task[_Opened] | None = None

    def begin(self, target: Target, path: str, headers: Sequence[tuple[str, str]]) -> None:
        """Ask the service."""
        from jupyter_sessmgr.proxy.handshake import Handshake  # noqa: PLC0415 - loads h11

        handshake = Handshake(self._wish)
        opening = self._open(target, handshake, handshake.ask(path, headers))
        self._asking = asyncio.create_task(opening, name=f"sessmgr-proxy-{target.service}")

    async def _open(self, target: Target, handshake: Handshake, request: bytes) -> _Opened:
        _, writer = await self._upstream.connect(target)
        try:
            answer = _Answer(handshake, cast("asyncio.Transport", writer.transport))
            writer.transport.set_protocol(answer)
            writer.write(request)
            reply = await answer.reply
            early = reply.early + answer.rest
            return _Opened(reply=replace(reply, early=early), writer=writer)
        except BaseException:
            writer.transport.abort()
            raise

    async def answer(self, passage: Passage, guard: Guard) -> None:
        """Answer as the service did, and leave both sides to each other when it accepted.

        Raises
        ------
        ServiceError
            when it cannot be reached or answers nonsense; `ServiceTimeout` when it does not answer.
        """
        opened = await self._answer()
        if opened is None:
            return
        reply = opened.reply
        told = [
            (name, value)
            for name, value in response_headers(reply.headers, passage)
            if not name.lower().startswith(("sec-websocket-", "content-"))
        ]
        if not reply.accepted:
            write_head(self._handler, reply.status, "", guard(told))
            self._handler.finish()
            return
        write_head(self._handler, _SWITCHING, "", [*guard(told), *self._acceptance(reply)])
        try:
            await self._handler.flush()
        except StreamClosedError:
            return  # the client left
        self._join(opened)

    async def _answer(self) -> _Opened | None:
        if self._asking is None:
            return None
        opened = await outcome(self._asking, self._timeout)
        if opened is not None and not opened.reply.accepted and not is_final(opened.reply.status):
            raise nonsense()
        return opened

    def _acceptance(self, reply: Reply) -> list[tuple[str, str]]:
        chosen = [("Sec-WebSocket-Protocol", reply.protocol)] if reply.protocol else []
        return [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Accept", self._wish.accept),
            *chosen,
        ]

    def _join(self, opened: _Opened) -> None:
        self._asking = None  # it is the relay's from here on
        held = self._held.pop_all()
        browser = self._handler.detach()
        relay = Relay(browser, opened.writer, held, self._traffic)
        self._upstream.spawn(relay.run(opened.reply.early)).add_done_callback(relay.close)

    def end(self) -> None:
        """Let go of the service. Called when the client left, and when all is done."""
        asking, self._asking = self._asking, None
        if asking is None:
            return
        asking.cancel()
        if asking.done() and not asking.cancelled() and not asking.exception():
            asking.result().writer.transport.abort()
