"""The browser's side of a websocket that is passed on."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import aiohttp
from tornado.websocket import WebSocketHandler

from jupyter_sessmgr.model.errors import ServiceError, ServiceTimeout
from jupyter_sessmgr.proxy.http import write_head
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.sockets import Junction, Spawn
from jupyter_sessmgr.proxy.upstream import MAX_MESSAGE


class Joining(WebSocketHandler):
    """Accepts a websocket once its service has, and joins both."""

    def begin_joining(self) -> None:
        """Begin without anything to let go of."""
        self._junction: Junction | None = None
        self._chosen: str | None = None
        self._dialing: asyncio.Future[Any] | None = None
        #: The browser went away before its side was opened.
        self._left = False
        #: Ends with the websocket: who looks at a service is there.
        self._presence = ExitStack()

    async def dial(self, opening: Any, spawn: Spawn, timeout: float) -> bool:
        """Wait for the service's side; False when it refused, which was passed on, or nobody waits.

        `spawn` runs what closes it in the end.

        Raises
        ------
        ServiceError
            when it cannot be reached or answers nonsense; `ServiceTimeout` when it does not answer
            within `timeout` seconds.
        """
        self._dialing = dialing = asyncio.ensure_future(opening)
        try:
            await asyncio.wait({dialing}, timeout=timeout)
            if not dialing.done():
                raise ServiceTimeout(f"The service did not answer within {timeout:.0f} seconds.")
        finally:
            dialing.cancel()
        if dialing.cancelled():
            return False
        return self._take(dialing, spawn)

    def _take(self, dialing: asyncio.Future[Any], spawn: Spawn) -> bool:
        try:
            service = dialing.result()
        except aiohttp.WSServerHandshakeError as refusal:
            write_head(self, refusal.status, "", isolation_headers(Isolation.SANDBOX, []))
            self.finish()
            return False
        except (aiohttp.ClientError, ValueError) as error:
            raise ServiceError("The service broke off, or answered nonsense.") from error
        self._chosen = service.protocol
        self._junction = Junction(service, self, spawn)
        if self._left:
            self.on_close()
        return not self._left

    async def join(self, *args: str) -> None:
        """Accept the browser's side, unless it is gone."""
        if self._left:
            return
        try:
            await super().get(*args)
        finally:
            self.leave_unjoined()

    def leave_unjoined(self) -> None:
        """Let go of the service's side when the browser's was never opened."""
        if self.ws_connection is None:
            self._left = True
            if self._dialing is not None:
                self._dialing.cancel()
            self.on_close()

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest message that a browser may send."""
        return MAX_MESSAGE

    def check_origin(self, origin: str) -> bool:  # noqa: ARG002 - tornado's signature
        """Pass: where it comes from was judged before the service was dialled."""
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Choose what the service chose."""
        return self._chosen if self._chosen in subprotocols else None

    def get_compression_options(self) -> None:
        """Compress nothing."""

    def open(self, *_args: Any, **_kwargs: Any) -> None:
        """Begin to pass messages."""
        self.set_nodelay(True)
        if self._junction is not None:
            self._junction.open()

    async def on_message(self, message: str | bytes) -> None:
        """Pass a message on; the next is read when the service took this one."""
        if self._junction is not None:
            await self._junction.send(message)

    async def on_ping(self, data: bytes) -> None:  # type: ignore[override]  # tornado runs what it returns
        """Pass a ping on; tornado has answered it."""
        if self._junction is not None:
            await self._junction.ping(data)

    def on_close(self) -> None:
        """Close the service's side, too."""
        self._presence.close()
        junction, self._junction = self._junction, None
        if junction is not None:
            junction.leave(self.close_code, self.close_reason)
