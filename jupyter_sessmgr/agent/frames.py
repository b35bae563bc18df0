"""A connection that became a stream: bytes, their end, and words, both ways.

A frame is a head of four bytes, kind and length, and so many bytes. TLS cannot be closed in one
direction, so the end of what one side says is a frame, too.
"""

from __future__ import annotations

import asyncio
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

DATA, END, WORDS = 0, 1, 2
HEAD = 4
#: Words are short: a terminal's size, or how something ended.
MAX_WORDS = 64 * 1024
#: Bytes for a client that reads slowly, before the source is held back.
_UNSENT = 256 * 1024


class Sink:
    """Where a stream's frames go. Each kind of stream has its own."""

    def data(self, data: memoryview) -> None:
        """Take bytes of the client."""

    def end(self) -> None:
        """Note that the client says no more."""

    def said(self, words: Mapping[str, Any]) -> None:
        """Take words of the client."""

    def lost(self) -> None:
        """Note that the client is gone."""

    def pause(self) -> None:
        """Send no more for now: the client does not keep up."""

    def resume(self) -> None:
        """Send again."""


class Junk(Exception):
    """A client sent what is no frame."""


class FrameReader:
    """Takes a client's bytes apart. A data frame is passed on as it comes, so none is held."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._kind, self._left = DATA, 0
        self._words = bytearray()

    def feed(self, data: bytes, sink: Sink) -> None:
        """Tell a sink what came; raises `Junk`."""
        view = memoryview(data)
        while view:
            if self._left == 0:
                view = self._take_head(view, sink)
                continue
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            if self._kind == DATA:
                sink.data(piece)
                continue
            self._words += piece
            if self._left == 0:
                sink.said(self._take_words())

    def _take_head(self, view: memoryview, sink: Sink) -> memoryview:
        missing = HEAD - len(self._head)
        self._head += view[:missing]
        if len(self._head) == HEAD:
            self._kind, self._left = self._head[0], int.from_bytes(self._head[1:], "big")
            self._head.clear()
            if self._kind == END and self._left == 0:
                sink.end()
            elif self._kind != DATA and not (self._kind == WORDS and self._left <= MAX_WORDS):
                raise Junk
        return view[missing:]

    def _take_words(self) -> dict[str, Any]:
        try:
            words = json.loads(self._words.decode())
        except (ValueError, RecursionError):
            raise Junk from None
        finally:
            self._words.clear()
        if not isinstance(words, dict):
            raise Junk
        return words


class Frames(asyncio.Protocol):
    """The agent's side of a stream.

    Parameters
    ----------
    transport : asyncio.Transport
        The connection, with its TLS.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._sink = Sink()
        self._reader = FrameReader()
        #: What came before the stream was opened.
        self._early = bytearray()
        self._opened = False
        #: What was to be sent before that.
        self._held = bytearray()
        #: Done when the connection is gone.
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=_UNSENT)
        transport.pause_reading()

    def open(self, sink: Sink, **facts: Any) -> None:
        """Tell the client that the stream begins, and let it."""
        self._sink = sink
        self._opened = True
        answer = {"ok": True, "stream": facts}
        line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
        self._write(line + bytes(self._held))
        self._held.clear()
        early, self._early = bytes(self._early), bytearray()
        self.resume_reading()
        self.data_received(early)

    def refuse(self, kind: str, message: str) -> None:
        """Tell the client why there is no stream, or no more of it; it hangs up then.

        What it still sends is thrown away: were it left unread, the client would hear of a reset
        instead.
        """
        error = {"error": {"kind": kind, "message": message[:2000]}}
        self._sink = Sink()
        if self._opened:
            self.say(error)
        else:
            self._opened = True
            self._write(json.dumps(dict(error, ok=False)).encode() + b"\n")
            self._early.clear()
        self.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take frames apart, once the stream is open; what is none ends it."""
        if not self._opened:
            self._early += data
            return
        try:
            self._reader.feed(data, self._sink)
        except Junk:
            self.abort()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._write(head(DATA, len(data)) + data)

    def say(self, words: Mapping[str, Any]) -> None:
        """Send words."""
        text = json.dumps(words, separators=(",", ":")).encode()
        self._write(head(WORDS, len(text)) + text)

    def end(self) -> None:
        """Say that no more bytes come."""
        self._write(head(END, 0))

    def close(self) -> None:
        """End the stream, after what waits was sent."""
        self._transport.close()

    def abort(self) -> None:
        """End the stream at once."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Let the client wait: what it sends goes nowhere at the moment."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Pass the client's slowness on."""
        self._sink.pause()

    def resume_writing(self) -> None:
        """Undo `pause_writing`."""
        self._sink.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone."""
        del exc
        if not self.gone.done():
            self.gone.set_result(None)
        self._sink.lost()

    def _write(self, data: bytes) -> None:
        if not self._opened:
            self._held += data  # for a moment: who dials opens the stream next
        elif not self._transport.is_closing():
            self._transport.write(data)


def head(kind: int, size: int) -> bytes:
    """Make the head of a frame."""
    return bytes((kind,)) + size.to_bytes(3, "big")
