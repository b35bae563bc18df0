"""Joins a stream to something of the place: a socket, or a terminal."""

from __future__ import annotations

import asyncio

from .frames import Frames, Sink


class Relay(asyncio.Protocol, Sink):
    """Passes bytes both ways, holding the faster side back; an end is passed on, too.

    Parameters
    ----------
    frames : Frames
        The client's side.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._ends = 0
        self._reader: asyncio.ReadTransport | None = None
        self._writer: asyncio.WriteTransport | None = None
        #: Done when nothing more comes from the place.
        self.drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the place's side; a socket is for both directions."""
        if isinstance(transport, asyncio.ReadTransport):
            self._reader = transport
        if isinstance(transport, asyncio.WriteTransport):
            self._writer = transport

    def data_received(self, data: bytes) -> None:
        """Pass bytes on to the client."""
        self._frames.send(data)

    def eof_received(self) -> bool:
        """Pass the place's end on; the other direction stays open."""
        self._frames.end()
        self._note_end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the stream: in order when both sides had ended, else as it was, cut."""
        del exc
        self._frames.close()
        self._drain()

    def pause_writing(self) -> None:
        """Hold the client back."""
        self._frames.pause_reading()

    def resume_writing(self) -> None:
        """Let the client go on."""
        self._frames.resume_reading()

    def data(self, data: memoryview) -> None:
        """Pass bytes on to the place."""
        if self._writer is not None:
            self._writer.write(data)

    def end(self) -> None:
        """Pass the client's end on."""
        if self._writer is not None and self._writer.can_write_eof():
            self._writer.write_eof()
        self._note_end()

    def lost(self) -> None:
        """Let go of the place's side."""
        for transport in (self._writer, self._reader):
            if transport is not None and not transport.is_closing():
                abort = getattr(transport, "abort", transport.close)
                abort()
        self._drain()

    def pause(self) -> None:
        """Hold the place back."""
        if self._reader is not None and not self._reader.is_closing():
            self._reader.pause_reading()

    def resume(self) -> None:
        """Let the place go on."""
        if self._reader is not None and not self._reader.is_closing():
            self._reader.resume_reading()

    def _note_end(self) -> None:
        self._ends += 1
        if self._ends == 2:  # noqa: PLR2004 - both directions
            if self._writer is not None:
                self._writer.close()
            self._frames.close()

    def _drain(self) -> None:
        if not self.drained.done():
            self.drained.set_result(None)


class LooseRelay(Relay):
    """A relay whose stream is ended by who serves it, after a last word."""

    def eof_received(self) -> bool:
        """Leave the end to who serves the stream."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more comes."""
        del exc
        self._drain()

    def end(self) -> None:
        """Ignore it: the client's end means nothing here."""
