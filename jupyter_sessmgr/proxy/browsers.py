"""Clients' connections, taken from tornado as asyncio's transports."""

from __future__ import annotations

import asyncio

from tornado.iostream import IOStream, StreamClosedError

#: Bytes that are read at once.
_PIECE = 64 * 1024


async def as_transport(stream: IOStream, protocol: asyncio.Protocol) -> None:
    """Let a protocol have a connection of tornado's, which has nothing left to write.

    Asyncio needs a third of the time for a message. It cannot take a connection's TLS over, so one
    that has it is still tornado's below.
    """
    if type(stream) is not IOStream:
        protocol.connection_made(_OverTornado(stream, protocol))
        return
    # Tornado closes its own descriptor; it has no way to give it away.
    connection = stream.socket.dup()
    early = bytes(memoryview(stream._read_buffer)[: stream._read_buffer_size])  # noqa: SLF001 - as above
    stream.close()
    await asyncio.get_running_loop().create_connection(lambda: protocol, sock=connection)
    if early:
        protocol.data_received(early)


class _OverTornado(asyncio.Transport):
    """What a protocol needs of a transport."""

    def __init__(self, stream: IOStream, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._reading = asyncio.create_task(self._read(), name="sessmgr-proxy-tls")

    async def _read(self) -> None:
        try:
            while await self._goes_on.wait():
                self._protocol.data_received(await self._stream.read_bytes(_PIECE, partial=True))
                await asyncio.sleep(0)  # what is here already is read without waiting
        except OSError:
            self._protocol.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; the protocol is held back until they are gone."""
        try:
            written = self._stream.write(bytes(data))
        except StreamClosedError:
            return  # the reader tells
        if not written.done():
            self._protocol.pause_writing()
            asyncio.ensure_future(written).add_done_callback(self._written)

    def _written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled() and written.exception() is None:
            self._protocol.resume_writing()

    def pause_reading(self) -> None:
        """Read no more."""
        self._goes_on.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._goes_on.set()

    def is_closing(self) -> bool:
        """Tell whether it is closed."""
        return self._stream.closed()

    def close(self) -> None:
        """Close it."""
        self._reading.cancel()
        self._stream.close()
