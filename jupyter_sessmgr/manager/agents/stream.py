"""A connection to an agent that became a stream: bytes, their end, and words, both ways.

What comes is a frame: a head of four bytes, kind and length, and so many bytes. A data frame is
passed on as it comes, so an agent cannot make the server keep what it sends (THREATS F10).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any, cast

from jupyter_sessmgr.manager.agents.bytesonly import dial
from jupyter_sessmgr.manager.agents.words import (
    ERRORS,
    Junk,
    read_error,
    read_line,
)
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable, SessmgrError
from jupyter_sessmgr.model.ports import Endpoint

DATA, END, WORDS = 0, 1, 2
HEAD = 4
#: The longest first answer and the longest words.
MAX_WORDS = 64 * 1024
#: Frames without data that one stream may bring: no reader's slowness holds these back.
MAX_BARE = 1000
#: Bytes that wait for a reader before the agent is held back; twice as many at most.
BUFFER = 256 * 1024
#: One frame's data; a longer write becomes several.
MAX_DATA = 2**20

_JUNK = (
    "The session's agent said something that makes no sense. If it goes on, destroy the session "
    "and make it anew."
)
_OLD = "The session's agent is of an earlier release and does not know this. Make the session anew."


class StreamTransport(asyncio.Transport):
    """The server's side of a stream, as asyncio wants it.

    An end can be written, which TLS alone has not. `ended` is set once the agent ended its side in
    order: a reader that sees the end without it has met a connection that was cut.
    """

    def __init__(self, below: asyncio.Transport) -> None:
        super().__init__()
        self._below = below
        self._said_end = False
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), MAX_DATA):
            piece = view[start : start + MAX_DATA]
            self._below.write(b"".join((head(DATA, len(piece)), piece)))

    def say(self, words: Mapping[str, object]) -> None:
        """Send words, such as a terminal's size."""
        text = json.dumps(words, separators=(",", ":")).encode()
        self._below.write(head(WORDS, len(text)) + text)

    def write_eof(self) -> None:
        """Say that no more bytes come; the other direction stays open."""
        if not self._said_end and not self._below.is_closing():
            self._said_end = True
            self._below.write(head(END, 0))

    def can_write_eof(self) -> bool:
        """Tell that an end can be written."""
        return True

    def close(self) -> None:
        """End the stream, after what waits was sent."""
        self._below.close()

    def abort(self) -> None:
        """End the stream at once."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed or about to."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """Hold the agent back."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if not self._below.is_closing():
            self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the connection."""
        return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another take what comes."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who takes what comes."""
        return self._protocol


class AgentStream:
    """A stream to something inside a session. Whoever opened it closes its writer."""

    def __init__(self, wire: _Wire, transport: StreamTransport, facts: Mapping[str, Any]) -> None:
        self.reader = asyncio.StreamReader(limit=BUFFER)
        protocol = asyncio.StreamReaderProtocol(self.reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        loop = asyncio.get_running_loop()
        self.writer = asyncio.StreamWriter(transport, protocol, self.reader, loop)
        self.transport = transport
        #: What the agent said when it opened the stream, unchecked.
        self.facts = facts
        self._wire = wire

    @property
    def words(self) -> Mapping[str, Any]:
        """The last words of the agent, unchecked."""
        return self._wire.words

    def check_whole(self) -> None:
        """Check, at the reader's end, that the agent has sent all there was.

        Raises
        ------
        SessmgrError
            what the agent says went wrong; `AgentUnavailable` when it was cut off.
        """
        if "error" in self.words:
            raise error_of(self.words)
        if not self._wire.ended:
            raise AgentUnavailable("The connection to the session's agent was lost.")


class _Wire(asyncio.Protocol):
    """Takes an agent's bytes apart: first its answer, then frames."""

    def __init__(self, greeting: bytes) -> None:
        self.opened: asyncio.Future[AgentStream] = asyncio.get_running_loop().create_future()
        self.words: Mapping[str, Any] = {}
        #: The agent ended its side in order.
        self.ended = False
        self._greeting = greeting
        self._kept = bytearray()
        self._kind, self._left = DATA, 0
        self._bare = 0
        self._below: asyncio.Transport | None = None
        self._above: StreamTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who asks, and for what."""
        self._below = cast("asyncio.Transport", transport)
        self._below.set_write_buffer_limits(high=BUFFER)
        self._below.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        """Pass data on; whatever makes no sense ends the stream."""
        try:
            self._take(memoryview(data))
        except Junk:
            self._fail(AgentError(_JUNK))

    def _take(self, view: memoryview) -> None:
        if self._above is None:
            view = self._take_answer(bytes(view))
        while view and self._above is not None:
            if self._left == 0:
                view = self._take_head(view)
                continue
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            if self._kind == DATA:
                self._protocol().data_received(bytes(piece))
                continue
            self._kept += piece
            if self._left == 0:
                self.words = read_line(bytes(self._kept))
                self._kept.clear()
                if "error" in self.words:  # nothing more comes; the agent waits for us to hang up
                    self._protocol().eof_received()

    def _take_answer(self, data: bytes) -> memoryview:
        line, newline, rest = data.partition(b"\n")
        self._kept += line
        if len(self._kept) > MAX_WORDS:
            raise Junk("answer")
        if not newline:
            return memoryview(b"")
        answer = read_line(bytes(self._kept))
        self._kept.clear()
        facts = answer.get("stream")
        if answer.get("ok") is not True:
            self._fail(error_of(answer))
        elif not isinstance(facts, dict) or self._below is None:
            self._fail(AgentError(_OLD))
        elif not self.opened.done():
            self._above = StreamTransport(self._below)
            self.opened.set_result(AgentStream(self, self._above, facts))
        return memoryview(rest)

    def _take_head(self, view: memoryview) -> memoryview:
        missing = HEAD - len(self._kept)
        self._kept += view[:missing]
        if len(self._kept) == HEAD:
            self._kind, self._left = self._kept[0], int.from_bytes(self._kept[1:], "big")
            self._kept.clear()
            self._bare += self._kind != DATA or self._left == 0
            if self._bare > MAX_BARE:
                raise Junk("frames")
            if self._kind == END and self._left == 0 and not self.ended:
                self.ended = True
                # As asyncio's own transports: who does not want to go on writing is closed.
                if not self._protocol().eof_received() and self._above is not None:
                    self._above.close()
            elif self.ended or self._kind not in (DATA, WORDS):
                raise Junk("frame")
            elif self._kind == WORDS and not 0 < self._left <= MAX_WORDS:
                raise Junk("words")
        return view[missing:]

    def pause_writing(self) -> None:
        """Pass the agent's slowness on."""
        if self._above is not None:
            self._protocol().pause_writing()

    def resume_writing(self) -> None:
        """Undo `pause_writing`."""
        if self._above is not None:
            self._protocol().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits; an end that was not said is an end to the reader all the same."""
        del exc
        if not self.opened.done():
            self.opened.set_exception(AgentUnavailable("The session's agent hung up."))
        if self._above is not None:
            self._protocol().connection_lost(None)

    def _fail(self, error: SessmgrError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        if self._below is not None:
            self._below.abort()

    def _protocol(self) -> asyncio.Protocol:
        above = cast("StreamTransport", self._above)
        return cast("asyncio.Protocol", above.get_protocol())


async def open_stream(
    endpoint: Endpoint, context: ssl.SSLContext, greeting: Mapping[str, object], timeout: float
) -> AgentStream:
    """Make a connection to an agent that becomes a stream.

    Raises
    ------
    SessmgrError
        what the agent answered; `AgentUnavailable` when it did not, within `timeout` seconds.
    """
    line = json.dumps(greeting, separators=(",", ":")).encode() + b"\n"
    loop = asyncio.get_running_loop()
    wire = _Wire(line)
    transport: asyncio.BaseTransport | None = None
    try:
        async with asyncio.timeout(timeout):
            if endpoint.transport == "unix":
                transport, _ = await loop.create_connection(
                    lambda: wire,
                    sock=await dial(endpoint.host),
                    ssl=context,
                    server_hostname="agent",
                )
            else:
                transport, _ = await loop.create_connection(
                    lambda: wire,
                    endpoint.host,
                    endpoint.port,
                    ssl=context,
                    server_hostname="agent",
                )
            return await wire.opened
    except (OSError, EOFError) as error:  # a timeout is one, too
        why = getattr(error, "strerror", None) or f"no answer within {timeout:g} s"
        raise AgentUnavailable(f"The session's agent cannot be reached: {why}.") from None
    finally:
        opened = wire.opened
        if not opened.done() or opened.cancelled() or opened.exception() is not None:
            opened.cancel()
            if isinstance(transport, asyncio.Transport):
                transport.abort()


def error_of(answer: Mapping[str, Any]) -> SessmgrError:
    """Make the error that an agent tells of."""
    try:
        kind, message = read_error(answer.get("error"))
    except Junk:
        return AgentError(_JUNK)
    return ERRORS.get(kind, AgentError)(message)


def head(kind: int, size: int) -> bytes:
    """Make the head of a frame."""
    return bytes((kind,)) + size.to_bytes(3, "big")
