"""The control port: TLS, one token, lines of JSON."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import ssl
import stat

from .refusals import Invalid, Refused

__all__ = ["Control", "Invalid", "Refused"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Mapping

    from .frames import Frames

    Handler = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
    StreamHandler = Callable[[str, Mapping[str, Any], Frames], Awaitable[None]]

#: A line that is longer ends the connection.
MAX_LINE = 4 * 2**20
MAX_CONNECTIONS = 32
#: Requests of one connection that may be under way.
MAX_REQUESTS = 64
#: Connections that became streams.
MAX_STREAMS = 1024
#: How long a connection may take to show the token, TLS included, in seconds.
AUTH_TIMEOUT = 5.0
#: Token, and which stream is wanted: a path of 4 KiB, as JSON spells it.
_MAX_FIRST_LINE = 26 * 1024
#: How long a client may take to hang up that was refused a stream, in seconds.
_LINGER = 10.0
#: How long what waits to be sent may take when the port closes, in hundredths of a second.
_GOODBYE = 50
#: A client that does not read is cut off before this much waits for it.
_MAX_UNSENT = 16 * 2**20


class Control:
    """Listens, and lets those in who know the token.

    Parameters
    ----------
    orders : dict
        The agent's config.
    hello : callable
        Makes what a client is greeted with.
    handler : callable
        Does a verb. May raise `Refused`, `Invalid`, or anything: it is told as failed.
    heard : callable
        Called for every message of an authenticated client.
    streams : callable
        Serves a connection that is to become a stream, until it ends. May raise as `handler`.
    """

    def __init__(
        self,
        orders: Mapping[str, Any],
        hello: Callable[[], Any],
        handler: Handler,
        heard: Callable[[], None],
        streams: StreamHandler,
    ) -> None:
        self.token = str(orders["token"])
        self.hello = hello
        self.handler = handler
        self.heard = heard
        self.streams = streams
        self._open_streams: set[Frames] = set()
        self._listen = orders["listen"]
        self._context = tls_context(orders)
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Begin to listen."""
        self._socket = listening_socket(self._listen)
        self.own(self._accept(self._socket))

    async def close(self) -> None:
        """Stop listening and cut all connections off, after what waits was sent."""
        for frames in self._open_streams:
            frames.close()
        for connection in list(self._connections):
            connection.close()
        for _ in range(_GOODBYE):  # only to let the last words out
            await asyncio.sleep(0.01 if self._connections else 0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        if self._listen["transport"] == "unix":
            remove_socket(self._listen["address"])

    def push(self, message: Mapping[str, Any]) -> None:
        """Tell every authenticated client."""
        line = encode(message)
        for connection in list(self._connections):
            if connection.authenticated:
                connection.write(line)

    def own(self, work: Any) -> asyncio.Task[None]:
        """Run something in the background until it ends or the port closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def forget(self, connection: Connection) -> None:
        """Drop a connection that ended."""
        if connection in self._connections:
            self._connections.remove(connection)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.1)  # out of file descriptors, or the peer is gone
                continue
            self._make_room()
            if len(self._connections) >= MAX_CONNECTIONS:
                peer.close()
                continue
            connection = Connection(self, peer)
            self._connections.append(connection)
            connection.shaking = self.own(connection.run())

    def _make_room(self) -> None:
        """Let strangers not keep the server out: the oldest of them goes."""
        if len(self._connections) >= MAX_CONNECTIONS:
            for connection in self._connections:
                if not connection.authenticated:
                    connection.abort()
                    return

    def become_stream(
        self, connection: Connection, transport: asyncio.Transport, wish: Mapping[str, Any]
    ) -> Frames:
        """Make a stream of a connection; from there on it counts as one."""
        from .frames import Frames  # noqa: PLC0415 - a start must not wait for it

        self.forget(connection)
        frames = Frames(transport)
        self.own(self._serve_stream(frames, wish))
        return frames

    async def _serve_stream(self, frames: Frames, wish: Mapping[str, Any]) -> None:
        """Serve one stream; what goes wrong is told to its client."""
        self._open_streams.add(frames)
        try:
            kind, args = self._check_wish(wish)
            await self.streams(kind, args, frames)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told to the asker
            frames.refuse(*reason(error))
            await asyncio.wait({frames.gone}, timeout=_LINGER)
        except BaseException:
            frames.abort()
            raise
        finally:
            frames.close()
            self._open_streams.discard(frames)

    def _check_wish(self, wish: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        if len(self._open_streams) > MAX_STREAMS:
            raise Refused("The session has %d streams open already." % MAX_STREAMS)
        kind, args = wish.get("stream"), wish.get("args", {})
        if not isinstance(kind, str) or not isinstance(args, dict):
            raise Invalid("stream, args: missing, or of the wrong type")
        return kind, args

    async def handshake(self, connection: Connection, peer: socket.socket) -> None:
        """Make a connection's TLS session."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: connection,
            peer,
            ssl=self._context,
            ssl_handshake_timeout=AUTH_TIMEOUT,
        )


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, control: Control, peer: socket.socket) -> None:
        self.authenticated = False
        #: Its socket until `run` begins; a task that is cancelled before never does.
        self._untaken = [peer]
        #: The task that makes its TLS session.
        self.shaking: asyncio.Task[None] | None = None
        self._control = control
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._pending = 0
        self._deadline: asyncio.TimerHandle | None = None
        #: What it became.
        self._stream: Frames | None = None

    async def run(self) -> None:
        """Shake hands; from there on the loop calls."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(AUTH_TIMEOUT, self._give_up)
        try:
            await self._control.handshake(self, self._untaken.pop())
        except (OSError, asyncio.TimeoutError):
            self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that TLS is up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone; what it asked for goes on."""
        del exc
        self._transport = None
        self.abort()

    def data_received(self, data: bytes) -> None:
        """Take lines apart and have them done."""
        self._received += data
        start = 0
        while True:
            end = self._received.find(b"\n", start)
            limit = MAX_LINE if self.authenticated else _MAX_FIRST_LINE
            if (end if end >= 0 else len(self._received)) - start > limit:
                self.abort()
                return
            if end < 0:
                break
            line = bytes(self._received[start:end])
            start = end + 1
            if not self._take(line):
                self.abort()
                return
            if self._stream is not None:
                self._stream.data_received(bytes(self._received[start:]))
                return
        del self._received[:start]

    def write(self, line: bytes) -> None:
        """Send a line, unless the client does not read."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            self.abort()
            return
        self._transport.write(line)

    def close(self) -> None:
        """End, after what waits was sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()
        elif self.shaking is not None:
            self.shaking.cancel()
        for peer in self._untaken:
            peer.close()
        self._control.forget(self)

    def _give_up(self) -> None:
        if not self.authenticated:
            self.abort()

    def _take(self, line: bytes) -> bool:
        """Have one line done; False ends the connection."""
        try:
            message = json.loads(line.decode())
        except (ValueError, RecursionError):
            return False
        if not isinstance(message, dict):
            return False
        if not self.authenticated:
            return self._greet(message)
        self._control.heard()
        number, verb, args = message.get("id"), message.get("verb"), message.get("args")
        if type(number) is not int or not isinstance(verb, str) or not isinstance(args, dict):
            return False
        if self._pending >= MAX_REQUESTS:
            return False
        self._pending += 1
        self._control.own(self._do(number, verb, args))
        return True

    def _greet(self, message: Mapping[str, Any]) -> bool:
        token = message.get("token")
        known = isinstance(token, str) and hmac.compare_digest(
            token.encode("utf-8", "replace"), self._control.token.encode()
        )
        if known and "stream" in message and self._transport is not None:
            self.authenticated = True
            self._control.heard()
            self._stream = self._control.become_stream(self, self._transport, message)
        elif known:
            self.authenticated = True
            self._control.heard()
            self.write(encode({"ok": True, "hello": self._control.hello()}))
        return known

    async def _do(self, number: int, verb: str, args: Mapping[str, Any]) -> None:
        """Do one request and answer it."""
        try:
            answer = {"id": number, "result": await self._control.handler(verb, args)}
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told to the asker
            answer = failure(number, *reason(error))
        finally:
            self._pending -= 1
        self.write(encode(answer))


def reason(error: Exception) -> tuple[str, str]:
    """Say of which kind an error is, and what its asker is told."""
    if isinstance(error, Refused):
        return error.kind, str(error)
    # its message may quote the request, which may hold secrets
    return "failed", str(getattr(error, "public", type(error).__name__))


def failure(number: int, kind: str, message: str) -> dict[str, Any]:
    """Make the answer to a request that went wrong."""
    return {"id": number, "error": {"kind": kind, "message": message[:2000]}}


def encode(message: Mapping[str, Any]) -> bytes:
    """Make a line."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def tls_context(orders: Mapping[str, Any]) -> ssl.SSLContext:
    """Make the server side of TLS. The key lies in a file only while it is read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    text = (orders["certificate"] + "\n" + orders["private_key"]).encode()
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("sessmgr", getattr(os, "MFD_CLOEXEC", 1))
        path = "/proc/self/fd/%d" % descriptor
    else:
        import tempfile  # noqa: PLC0415 - it brings much, and is needed on other systems only

        descriptor, path = tempfile.mkstemp(dir=orders["runtime_dir"])
    try:
        os.write(descriptor, text)
        context.load_cert_chain(path)
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            os.unlink(path)
    return context


def listening_socket(listen: Mapping[str, Any]) -> socket.socket:
    """Make the socket that the port listens on; a unix one is for this user only."""
    address = listen["address"]
    if listen["transport"] == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        remove_socket(address)
        mask = os.umask(0o177)
        try:
            made.bind(address)
        finally:
            os.umask(mask)
    else:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Who is gone without a word, as after this place's address changed, is noticed in a minute.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        made.bind((address, listen["port"]))
    made.listen(MAX_CONNECTIONS)
    made.setblocking(False)
    return made


def remove_socket(path: str) -> None:
    """Remove the socket file of an agent that was killed; nothing but a socket."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return
