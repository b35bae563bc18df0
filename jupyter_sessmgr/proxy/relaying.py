"""Carries the bytes of a websocket both ways, whatever they mean."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import ExitStack

from tornado.iostream import IOStream

from jupyter_sessmgr.proxy.bounds import Traffic

#: Bytes that are carried at once. The next are read when these were taken.
_PIECE = 64 * 1024
#: Bytes after which others have their turn: reads and writes that do not wait give them none.
_TURN = 512 * 1024
#: Seconds for the last words of a client that left, until a service that does not read is cut off.
_LAST_WORDS = 2.0
#: A client that is gone without a word, such as a laptop that was shut, is missed after 2 minutes.
_SIGNS_OF_LIFE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Relay:
    """A browser's connection and a service's that are one to their users.

    A side that reads nothing holds the other back, and when one ends, so does the other. Messages
    are never looked at, so their size, their kind and the way they are cut into frames are between
    the two.

    Parameters
    ----------
    browser : IOStream
        The client's side, from the byte after its request on.
    reader, writer : StreamReader, StreamWriter
        The service's side, from the byte after its answer on.
    held : ExitStack
        What the websocket holds; closed with it.
    traffic : Traffic
        Hears of bytes.
    """

    def __init__(
        self,
        browser: IOStream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        held: ExitStack,
        traffic: Traffic,
    ) -> None:
        self._browser = browser
        self._reader = reader
        self._writer = writer
        self._held = held
        self._traffic = traffic

    async def run(self, early: bytes) -> None:
        """Carry bytes until either side ends; `early` are the service's first.

        Whoever runs this calls `close` after it, also when it never began.
        """
        self._browser.set_nodelay(True)
        notice_death(self._browser.socket)
        pumps = [asyncio.create_task(self._up()), asyncio.create_task(self._down(early))]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
        for pump in done:
            pump.result()

    async def _up(self) -> None:
        """Carry what the browser says."""
        carried = 0
        try:
            while True:
                data = await self._browser.read_bytes(_PIECE, partial=True)
                self._writer.write(data)
                await self._writer.drain()
                self._traffic()
                carried += len(data)
                if carried >= _TURN:
                    carried = 0
                    await asyncio.sleep(0)
        except OSError:
            return  # one of them left

    async def _down(self, data: bytes) -> None:
        """Carry what the service says."""
        try:
            while data := data or await self._reader.read(_PIECE):
                await self._browser.write(data)
                self._traffic()
                data = b""
        except OSError:
            return

    def close(self, _task: object = None) -> None:
        """End both sides. Harmless when they have ended."""
        self._held.close()
        self._browser.close()
        self._writer.close()
        asyncio.get_running_loop().call_later(_LAST_WORDS, self._writer.transport.abort)


def notice_death(connection: socket.socket) -> None:
    """Have the system ask for signs of life on a connection that may be silent for days."""
    with contextlib.suppress(OSError):  # no TCP
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _SIGNS_OF_LIFE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
