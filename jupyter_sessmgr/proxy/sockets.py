"""Joins a browser's websocket to a service's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from tornado.websocket import WebSocketClosedError

#: Runs something in the background, owned by somebody.
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
#: What a close frame may carry (RFC 6455, 7.4): these are never sent.
_UNSENDABLE = frozenset({1004, 1005, 1006, 1015})
_GOING_AWAY = 1001
_NORMAL = 1000
_ENDS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})
_LOWEST_CODE, _HIGHEST_CODE = 1000, 4999


class Junction:
    """Two websockets that are one to their users.

    Every send is awaited, so the slow side holds the quick one back.

    Parameters
    ----------
    service
        The service's side, open.
    browser
        The handler of the browser's side.
    spawn
        Starts a task, and sees to its end.
    """

    def __init__(
        self, service: aiohttp.ClientWebSocketResponse[bool], browser: Any, spawn: Spawn
    ) -> None:
        self._service = service
        self._browser = browser
        self._spawn = spawn
        self._passing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to pass the service's messages on."""
        self._passing = self._spawn(self._pass_on())

    async def send(self, message: str | bytes) -> None:
        """Pass a browser's message on."""
        try:
            if isinstance(message, str):
                await self._service.send_str(message)
            else:
                await self._service.send_bytes(message)
        except (aiohttp.ClientError, ConnectionError):
            self._browser.close(_GOING_AWAY)

    async def ping(self, data: bytes) -> None:
        """Pass a browser's ping on; tornado has answered it."""
        if not self._service.closed:
            await self._service.ping(data)

    async def _pass_on(self) -> None:
        code, reason = None, ""
        try:
            while (message := await self._service.receive()).type not in _ENDS:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    binary = message.type is WSMsgType.BINARY
                    await self._browser.write_message(message.data, binary=binary)
                elif message.type is WSMsgType.PING:
                    await self._service.pong(message.data)
            if message.type is WSMsgType.CLOSE:
                code, reason = sendable(message.data), message.extra or ""
            else:
                code = _GOING_AWAY
        except (WebSocketClosedError, aiohttp.ClientError, ConnectionError):
            code = _GOING_AWAY  # either side left without a word
        finally:
            self._browser.close(code, reason or None)

    def leave(self, code: int | None, reason: str | None) -> None:
        """Close the service's side as the browser closed its own."""
        if self._passing is not None:
            self._passing.cancel()
        self._spawn(self._close(code, reason))

    async def _close(self, code: int | None, reason: str | None) -> None:
        if self._passing is not None:
            await asyncio.wait({self._passing})
        await self._service.close(
            code=sendable(code) or _NORMAL, message=(reason or "").encode()[:120]
        )


def sendable(code: int | None) -> int | None:
    """Return a close code as it may be sent; None when there is none to send."""
    if code is None or code in _UNSENDABLE or not _LOWEST_CODE <= code <= _HIGHEST_CODE:
        return None
    return code
