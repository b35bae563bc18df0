"""The connection to the agent of one place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from weakref import WeakSet

from jupyter_sessmgr.manager.agents.bytesonly import dial
from jupyter_sessmgr.manager.agents.stream import AgentStream, StreamTransport, open_stream
from jupyter_sessmgr.manager.agents.words import (
    ERRORS,
    MAX_LINE,
    PROTOCOL,
    AgentHello,
    AgentService,
    Junk,
    KernelState,
    read_error,
    read_hello,
    read_kernel,
    read_line,
    read_service,
)
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable
from jupyter_sessmgr.model.ports import Endpoint

#: How long an agent may take to answer what needs no waiting, in seconds.
ANSWER_TIMEOUT = 10.0
#: The first and the longest pause between attempts to connect, in seconds.
_PAUSE, _LONGEST_PAUSE = 0.005, 0.02
#: How long one attempt may take, in seconds: a lost packet is sent again after one.
_ATTEMPT = 3.0
#: Streams of one place that are being opened; an agent cuts strangers off beyond twice as many.
MAX_OPENINGS = 16
#: Services of one place that are remembered.
MAX_SERVICES = 64
#: Bytes that are read at once: some lines, or two TLS records.
READ_SIZE = 2**15
#: How long a connection that was cut may take to be gone, in seconds.
_GOODBYE = 0.5

_NOT_OURS = (
    "What answers at the address of the session's agent is not this session's agent. If it goes "
    "on, destroy the session and make it anew."
)
_SILENT = "it takes too long to greet"
_JUNK = (
    "The session's agent said something that makes no sense ({}). If it goes on, destroy the "
    "session and make it anew."
)

Checked = TypeVar("Checked")
KernelListener = Callable[[KernelState], None]


@dataclass(frozen=True, slots=True)
class Address:
    """How an agent is reached, and known."""

    endpoint: Endpoint
    #: Trusts this agent and nobody else.
    context: ssl.SSLContext = field(repr=False)
    token: str = field(repr=False)


class AgentWire:
    """One authenticated connection to one agent.

    Made by `connect`; whoever has it closes it. Every answer is checked before it is believed.
    When the agent talks nonsense or the connection ends, `closed` is set and every call that
    waits fails; there is no way back but a new link.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: AgentHello
    ) -> None:
        self.hello = hello
        #: The latest that the agent said of its kernel.
        self.kernel: KernelState = hello.kernel
        #: The same of its services, by name.
        self.services: dict[str, AgentService] = {one.name: one for one in hello.services}
        #: Streams into the place that somebody has still.
        self.streams: WeakSet[StreamTransport] = WeakSet()
        #: How another connection to it is made.
        self._address: Address | None = None
        self._openings = asyncio.Semaphore(MAX_OPENINGS)
        #: Set when the link is of no use any more.
        self.closed = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._listeners: list[KernelListener] = []
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._end: AgentError = AgentUnavailable("The connection to the session's agent is closed.")
        self._reading = asyncio.create_task(self._read(), name=f"sessmgr-agent-{hello.place_id}")

    @classmethod
    async def connect(
        cls,
        endpoint: Endpoint,
        *,
        place_id: str,
        secrets: InstallationSecrets,
        timeout: float = ANSWER_TIMEOUT,
    ) -> Self:
        """Reach the agent of a place; while nobody listens there, try again.

        The token is shown only to who has the place's private key.

        Raises
        ------
        AgentUnavailable
            when it did not greet within `timeout` seconds, or is not who it should be.
        """
        address = Address(
            endpoint,
            _pinned(secrets.agent_certificate(place_id)[0]),
            secrets.agent_token(place_id),
        )
        pause = _PAUSE
        try:
            async with asyncio.timeout(timeout):
                while True:
                    problem = _SILENT
                    try:
                        async with asyncio.timeout(_ATTEMPT):
                            return await cls._attempt(address, place_id)
                    except ssl.SSLCertVerificationError:
                        raise AgentUnavailable(_NOT_OURS) from None
                    except (OSError, EOFError) as error:  # a timeout is one, too
                        problem = _problem(error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)
        except TimeoutError:
            raise AgentUnavailable(
                f"The session's agent did not answer within {timeout:g} s ({problem})."
            ) from None

    @classmethod
    async def _attempt(cls, address: Address, place_id: str) -> Self:
        reader, writer = await _open(address)
        try:
            writer.write(_encode({"token": address.token}))
            line = await reader.readuntil(b"\n")
            hello = read_hello(read_line(line))
            _check_identity(hello, place_id)
            link = cls(reader, writer, hello)
            link._address = address
        except (Junk, asyncio.LimitOverrunError) as error:
            writer.transport.abort()
            raise AgentUnavailable(_JUNK.format(error)) from None
        except BaseException:
            writer.transport.abort()
            raise
        return link

    def on_kernel(self, listener: KernelListener) -> None:
        """Call `listener` whenever the kernel's state became another. It must not block."""
        self._listeners.append(listener)

    async def open_stream(
        self, kind: str, *, timeout: float = ANSWER_TIMEOUT, **args: object
    ) -> AgentStream:
        """Open a stream to something inside the place, over a connection of its own.

        Raises
        ------
        SessmgrError
            as `stream.open_stream`.
        """
        if self.closed.is_set() or self._address is None:
            raise self._ended()
        address = self._address
        greeting = {"token": address.token, "stream": kind, "args": args}
        async with self._openings:
            stream = await open_stream(address.endpoint, address.context, greeting, timeout)
        self.streams.add(stream.transport)
        return stream

    def cut_streams(self) -> None:
        """End all streams into the place at once; who reads them sees that they were cut."""
        for transport in tuple(self.streams):
            transport.abort()

    async def call(self, verb: str, timeout: float = ANSWER_TIMEOUT, **args: Any) -> Any:
        """Ask the agent for something and return its answer, unchecked.

        Raises
        ------
        AgentUnavailable
            when no answer came within `timeout` seconds, or the link is closed. What was asked
            may have been done.
        NotRunning
            when no kernel runs and one is needed.
        AgentError
            when the agent says why it did not do it.
        """
        if self.closed.is_set():
            raise self._ended()
        self._last += 1
        number = self._last
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(_encode({"id": number, "verb": verb, "args": args}))
                await self._writer.drain()
                return await answer
        except TimeoutError:
            raise AgentUnavailable(
                f"The session's agent did not answer within {timeout:g} s."
            ) from None
        except OSError:
            raise self._ended() from None
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """Let go of the agent, which goes on. Harmless when it is closed."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._writer.wait_closed()

    async def _read(self) -> None:
        """Take what comes until the link ends; the only place that ends it."""
        try:
            while True:
                self._take(read_line(await self._reader.readuntil(b"\n")))
                await asyncio.sleep(0)  # lines that are here already must not hold the loop
        except (Junk, asyncio.LimitOverrunError) as error:
            self._end = AgentError(_JUNK.format(error))
        except (OSError, EOFError):
            self._end = AgentUnavailable("The connection to the session's agent was lost.")
        finally:
            self.closed.set()
            self._writer.transport.abort()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(self._ended())

    def _take(self, message: Mapping[str, Any]) -> None:
        """Do what one line wants; a new kind of event is not for us."""
        if "event" in message:
            if message["event"] == "kernel":
                self._note(read_kernel(message.get("kernel")))
            elif message["event"] == "service":
                self._note_service(read_service(message.get("service")))
            return
        number = message.get("id")
        if type(number) is not int or not 0 < number <= self._last:
            raise Junk("id")
        failure = read_error(message["error"]) if "error" in message else None
        answer = self._waiting.pop(number, None)
        if answer is None or answer.done():
            return  # its asker did not wait for it
        if failure is not None:
            kind, text = failure
            answer.set_exception(ERRORS.get(kind, AgentError)(text))
        else:
            answer.set_result(message.get("result"))

    def _note(self, kernel: KernelState) -> None:
        if kernel != self.kernel:
            self.kernel = kernel
            for listener in self._listeners:
                listener(kernel)

    def _note_service(self, service: AgentService) -> None:
        if service.name in self.services or len(self.services) < MAX_SERVICES:
            self.services[service.name] = service

    def _believe(self, read: Callable[[object], Checked], answer: object) -> Checked:
        """Check an answer; an agent that talks nonsense is not asked again."""
        try:
            return read(answer)
        except Junk as error:
            self._end = AgentError(_JUNK.format(error))
            self._reading.cancel()
            raise self._ended() from None

    def _ended(self) -> AgentError:
        """Make the error that says why the link is of no use; each raiser gets its own."""
        return type(self._end)(self._end.message)


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trust this certificate and no other. Its name does not count: addresses change."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificate)
    return context


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    endpoint, context = address.endpoint, address.context
    if endpoint.transport == "unix":
        reader, writer = await asyncio.open_connection(
            sock=await dial(endpoint.host), ssl=context, server_hostname="agent", limit=MAX_LINE
        )
    else:
        reader, writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=context, server_hostname="agent", limit=MAX_LINE
        )
    _read_less_at_once(writer.transport)
    return reader, writer


def _read_less_at_once(transport: asyncio.WriteTransport) -> None:
    """Give back the quarter of a MiB that asyncio reads each connection into, while it lasts.

    Before each read its protocol is asked for up to `max_size` bytes of room. There is no public
    way to say how much; other event loops' transports have no such protocol.
    """
    protocol = getattr(transport, "_ssl_protocol", None)
    if hasattr(protocol, "_ssl_buffer"):
        room = bytearray(READ_SIZE)
        vars(protocol).update(
            max_size=READ_SIZE, _ssl_buffer=room, _ssl_buffer_view=memoryview(room)
        )


def _check_identity(hello: AgentHello, place_id: str) -> None:
    if hello.protocol != PROTOCOL or hello.place_id != place_id:
        raise AgentUnavailable(_NOT_OURS)


def _problem(error: OSError | EOFError) -> str:
    """Say in words why an attempt to connect failed."""
    if isinstance(error, TimeoutError):
        return _SILENT
    return getattr(error, "strerror", None) or "the connection was cut"


def _encode(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
