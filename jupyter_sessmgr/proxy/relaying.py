"""Carries the bytes of a websocket both ways, whatever they mean."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import cast

from tornado.iostream import IOStream

from jupyter_sessmgr.proxy.bounds import Traffic
from jupyter_sessmgr.proxy.browsers import as_transport

#: Seconds for the last words of a side that left, until the other is cut off if it does not read.
_LAST_WORDS = 2.0
#: A client that is gone without a word, such as a laptop that was shut, is missed after 2 minutes.
_SIGNS_OF_LIFE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class _Side(asyncio.Protocol):
    """One of the two connections; what comes on it is the other's to send."""

    def __init__(self, traffic: Traffic, ended: Callable[[], None]) -> None:
        self.transport: asyncio.Transport
        self.other = self
        self._traffic = traffic
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note by what it is sent."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self.other.transport.write(data)
        self._traffic()

    def pause_writing(self) -> None:
        """Hold the other back: this one does not keep up."""
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the other go on."""
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> None:
        """End both: who has ended one direction has left."""
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other."""
        del exc
        self._ended()


class Relay:
    """A browser's connection and a service's that are one to their users.

    A side that reads nothing holds the other back, and when one ends, so does the other. Messages
    are never looked at, so their size, their kind and the way they are cut into frames are between
    the two.

    Parameters
    ----------
    browser : IOStream
        The client's side, from the byte after its request on.
    writer : StreamWriter
        The service's side, which is not read at the moment; from the byte after `early` on.
    held : ExitStack
        What the websocket holds; closed with it.
    traffic : Traffic
        Hears of bytes.
    """

    def __init__(
        self, browser: IOStream, writer: asyncio.StreamWriter, held: ExitStack, traffic: Traffic
    ) -> None:
        self._browser = browser
        self._writer = writer
        self._held = held
        self._over = asyncio.Event()
        self._near, self._far = (_Side(traffic, self._over.set) for _ in range(2))
        self._near.other, self._far.other = self._far, self._near

    async def run(self, early: bytes) -> None:
        """Carry bytes until either side ends; `early` are the service's first.

        Whoever runs this calls `close` after it, also when it never began.
        """
        self._far.connection_made(self._writer.transport)
        self._far.transport.set_protocol(self._far)
        notice_death(self._browser.socket)
        await as_transport(self._browser, self._near)
        if self._far.transport.is_closing():
            return
        if early:
            self._far.data_received(early)
        self._far.transport.resume_reading()
        await self._over.wait()

    def close(self, _task: object = None) -> None:
        """End both sides. Harmless when they have ended."""
        self._held.close()
        for transport in (self._writer.transport, getattr(self._near, "transport", self._browser)):
            transport.close()
            cut = getattr(transport, "abort", transport.close)
            asyncio.get_running_loop().call_later(_LAST_WORDS, cut)


def notice_death(connection: socket.socket) -> None:
    """Have the system ask for signs of life on a connection that may be silent for days."""
    with contextlib.suppress(OSError):  # no TCP
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _SIGNS_OF_LIFE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
