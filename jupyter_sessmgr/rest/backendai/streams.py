"""Websockets to services and terminals inside sessions."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated
from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.manager.agents.stream import AgentStream
from jupyter_sessmgr.manager.inside.services import check_size
from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    InvalidRequest,
    NotAllowed,
    NotRunning,
    SessionNotFound,
    SessmgrError,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.file_wire import read_extras, service_name
from jupyter_sessmgr.rest.bodies import read_object
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute
from jupyter_sessmgr.rest.sockets import SocketMixin

#: Bytes of one message to the client.
PIECE = 64 * 1024
#: How a websocket ends: in order, when its other side was cut off, when it was sent nonsense.
WHOLE, CUT, NONSENSE = 1000, 1011, 1007
_NEEDS = (NotRunning, AgentError, AgentUnavailable, SessionNotFound)


class StreamSocket(SocketMixin, BackendAIHandler):  # type: ignore[misc]  # tornado awaits prepare
    """Base of websockets that are joined to a stream."""

    joined: AgentStream | None = None
    _pump: asyncio.Task[None] | None = None

    async def join(self, session: ComputeSession, opening: Awaitable[AgentStream]) -> None:
        """Open the stream, then the websocket; as long as it lasts, the session is in use."""
        self.joined = await opening
        try:
            with self.sessions.activity.client(session.id):
                await SocketMixin.get(self)
        finally:
            self._let_go()

    def check_upgrade(self) -> None:
        """Refuse what is no websocket before anything is dialled (THREATS A2)."""
        headers = self.request.headers
        upgrades = headers.get("Upgrade", "").lower() == "websocket"
        if not upgrades or "Sec-WebSocket-Key" not in headers:
            raise HTTPError(HTTPStatus.BAD_REQUEST, "Open a websocket here.")

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Begin to pass on what comes."""
        super().open(*args, **kwargs)
        self.set_nodelay(True)
        self._pump = asyncio.create_task(self._pass_on(), name="sessmgr-stream")

    async def send(self, data: bytes) -> None:
        """Send bytes to the client; returns when it takes more."""
        await self.write_message(data, binary=True)

    async def ended(self, stream: AgentStream) -> None:
        """End the websocket as the stream ended."""
        try:
            stream.check_whole()
        except SessmgrError as error:
            self.close(CUT, error.message[:100])
        else:
            self.close(WHOLE)

    async def pass_in(self, data: bytes) -> None:
        """Pass bytes on to the session; the client waits when they are not taken."""
        if self.joined is not None:
            with contextlib.suppress(ConnectionError):  # its end is told by the pump
                self.joined.writer.write(data)
                await self.joined.writer.drain()

    async def _pass_on(self) -> None:
        stream = self.joined
        if stream is None:
            return
        with contextlib.suppress(WebSocketClosedError, StreamClosedError):
            while data := await stream.reader.read(PIECE):
                await self.send(data)
            await self.ended(stream)

    def on_close(self) -> None:
        """Let go of the stream."""
        self._let_go()
        super().on_close()

    def _let_go(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self.joined is not None:
            self.joined.transport.abort()


class ProxySocket(StreamSocket):
    """``{root}/stream/session/:id/httpproxy`` and ``…/tcpproxy``: bytes, both ways."""

    @authenticated
    @may_execute
    @operation(
        parameters=(
            Parameter("app", str, "Name of the service; it is started on demand.", required=True),
            Parameter("port", int, "Which of its ports; the first when it is left out."),
            Parameter("arguments", str, "What is added to its command line, as a JSON object."),
            Parameter("envs", str, "The same for its environment."),
            OWNER_PARAMETER,
        ),
        replies={101: Reply("A websocket; its binary messages are what the service says.")},
        errors=(InvalidRequest, NotAllowed, *_NEEDS),
    )
    async def get(self, reference: str) -> None:  # type: ignore[override]  # tornado allows it
        """Talk to a service of a session, over a websocket."""
        self.check_upgrade()
        session = self.find_live(reference)
        name = service_name(self.get_query_argument("app", ""))
        arguments = read_extras(self.get_query_argument("arguments", ""), "arguments")
        environ = read_extras(self.get_query_argument("envs", ""), "envs")
        port = self.number("port", None, 65535)
        services = self.sessions.services
        if port:
            await self.join(session, services.open_port(session.id, port))
        else:
            await self.join(session, services.open_service(session.id, name, arguments, environ))

    async def on_message(self, message: str | bytes) -> None:
        """Pass a message on."""
        await self.pass_in(message if isinstance(message, bytes) else message.encode())


class TerminalSocket(StreamSocket):
    """``{root}/stream/session/:id/pty``: a shell on a terminal, as stock clients speak to it.

    The client sends JSON: ``{"type": "stdin", "chars": base64}``, ``{"type": "resize", "rows": 30,
    "cols": 90}``, ``{"type": "ping"}`` or ``{"type": "restart"}``; it gets ``{"type": "out",
    "data": base64}``.
    """

    _session: ComputeSession
    _size = (24, 80)

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={101: Reply("A websocket; its messages are JSON.")},
        errors=_NEEDS,
    )
    async def get(self, reference: str) -> None:  # type: ignore[override]  # tornado allows it
        """Use a terminal in a session, over a websocket; the shell ends with it."""
        self.check_upgrade()
        self._session = self.find_live(reference)
        await self.join(self._session, self._terminal())

    async def on_message(self, message: str | bytes) -> None:
        """Do what a message says; one that makes no sense ends the websocket."""
        raw = message.encode() if isinstance(message, str) else message
        try:
            await self._do(read_object(raw))
        except (InvalidRequest, binascii.Error, ValueError):
            self.close(NONSENSE, "That makes no sense to a terminal.")
        except SessmgrError as error:
            self.close(CUT, error.message[:100])

    async def send(self, data: bytes) -> None:
        """Send what the shell wrote."""
        text = base64.b64encode(data).decode()
        await self.write_message(json.dumps({"type": "out", "data": text}))

    async def _do(self, words: dict[str, Any]) -> None:
        match words.get("type"):
            case "stdin":
                chars = words.get("chars")
                await self.pass_in(
                    base64.b64decode(chars if isinstance(chars, str) else "", validate=True)
                )
            case "resize":
                self._size = check_size(words.get("rows"), words.get("cols"))
                if self.joined is not None:
                    self.joined.transport.say({"rows": self._size[0], "cols": self._size[1]})
            case "restart":
                await self._restart()
            case "ping":
                self.sessions.activity.touch(self._session.id)
            case _:
                raise InvalidRequest("type: not one of stdin, resize, ping, restart.")

    async def _restart(self) -> None:
        """Put another shell in the place of this one."""
        self._let_go()
        self.joined = await self._terminal()
        if self.ws_connection is None:  # the client left meanwhile
            self._let_go()
            return
        self._pump = asyncio.create_task(self._pass_on(), name="sessmgr-stream")

    async def _terminal(self) -> AgentStream:
        rows, cols = self._size
        return await self.sessions.services.open_terminal(self._session.id, rows, cols)
