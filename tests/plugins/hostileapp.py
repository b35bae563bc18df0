"""A service that is no friend: resets, hangs, drips, floods, and answers whatever bytes it is told.

Plain asyncio, for any image. Tests have it started as a service, by `definition`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import inspect
import json
import socket
import struct
import sys
import zlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OK = b"HTTP/1.1 200 OK\r\n"
PIECE = b"x" * 65536


class App:
    """Answers each connection by the path of its first request."""

    def __init__(self):
        self.open = 0
        self.opened = 0

    async def serve(self, reader, writer):
        """Serve one connection."""
        self.open += 1
        self.opened += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path, _, query = head.split()[1].decode("latin1").partition("?")
            action = getattr(self, "do_" + path.strip("/").split("/")[0], self.do_echo)
            await action(reader, writer, head, query)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def do_echo(self, reader, writer, head, query):
        """Send back the head that came, byte for byte, and how long the body was."""
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while size < int(line.split(b":")[1]) and (data := await reader.read(65536)):
                    size += len(data)
        if b"transfer-encoding" in head.lower():
            await reader.readuntil(b"0\r\n\r\n")
        told = base64.b64encode(head) + b" %d" % size
        writer.write(OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(told) + told)

    async def do_connections(self, reader, writer, head, query):
        """Tell how many connections there are, and were, this one aside."""
        told = json.dumps([self.open - 1, self.opened - 1]).encode()
        self.opened -= 1
        writer.write(OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(told) + told)

    async def do_raw(self, reader, writer, head, query):
        """Send the bytes that the query is: a beginning, what is repeated how often, an end."""
        begin, piece, times, end = (base64.urlsafe_b64decode(one) for one in query.split("."))
        writer.write(begin + piece * int(times) + end)

    async def do_unasked(self, reader, writer, head, query):
        """Answer, and a moment later answer what nobody asked."""
        writer.write(OK + b"Content-Length: 5\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(OK + b"Content-Length: 5\r\n\r\nagain")
        await self.do_never(reader, writer, head, query)

    async def do_never(self, reader, writer, head, query):
        """Say nothing until the other side goes."""
        while await reader.read(65536):
            pass

    async def do_deaf(self, reader, writer, head, query):
        """Read nothing, and say nothing, for so many seconds."""
        writer.transport.pause_reading()
        await asyncio.sleep(int(query))

    async def do_reset(self, reader, writer, head, query):
        """Reset the connection."""
        reset(writer)

    async def do_half(self, reader, writer, head, query):
        """Promise more than there is, and end this half of the connection."""
        writer.write(OK + b"Content-Length: 1000\r\n\r\nonly this")
        writer.write_eof()
        await self.do_never(reader, writer, head, query)

    async def do_truncated(self, reader, writer, head, query):
        """Promise more than there is, and close."""
        writer.write(OK + b"Content-Length: 1000\r\n\r\nonly this")

    async def do_broken(self, reader, writer, head, query):
        """Send a part, and reset."""
        writer.write(OK + b"Content-Length: 1000\r\n\r\nonly this")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async def do_drip(self, reader, writer, head, query):
        """Send a head that never ends."""
        writer.write(OK)
        while not reader.at_eof():
            writer.write(b"X-Drip: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)

    async def do_big(self, reader, writer, head, query):
        """Send so many MiB."""
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % (int(query) << 20))
        for _ in range(int(query) << 4):
            writer.write(PIECE)
            await writer.drain()

    async def do_take(self, reader, writer, head, query):
        """Read everything, and tell how much it was."""
        size = 0
        while data := await reader.read(65536):
            size += len(data)

    async def do_events(self, reader, writer, head, query):
        """Send events as long as somebody listens."""
        writer.write(OK + b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        number = 0
        while not reader.at_eof():
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            number += 1
            await asyncio.sleep(0.05)

    async def do_pipe(self, reader, writer, head, query):
        """Accept a websocket, and send back every byte."""
        writer.write(acceptance(head))
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def do_hurry(self, reader, writer, head, query):
        """Accept a websocket, and speak in the same breath."""
        writer.write(acceptance(head) + b"\x81\x05hello")
        await self.do_never(reader, writer, head, query)

    async def do_flood(self, reader, writer, head, query):
        """Accept a websocket, and send one message of so many MiB."""
        size = int(query) << 20
        writer.write(acceptance(head) + b"\x82\x7f" + size.to_bytes(8, "big"))
        for _ in range(int(query) << 4):
            writer.write(PIECE)
            await writer.drain()
        await self.do_never(reader, writer, head, query)

    async def do_leave(self, reader, writer, head, query):
        """Accept a websocket, and close without a word."""
        writer.write(acceptance(head))

    async def do_vanish(self, reader, writer, head, query):
        """Accept a websocket, and reset."""
        writer.write(acceptance(head))
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async def do_accept(self, reader, writer, head, query):
        """Accept a websocket, with more headers."""
        more = base64.urlsafe_b64decode(query)
        writer.write(acceptance(head).removesuffix(b"\r\n") + more + b"\r\n")
        await self.do_never(reader, writer, head, query)


def reset(writer):
    """Close with a reset."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def acceptance(head):
    """Write a websocket's answer."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def main(port):
    """Run until killed."""
    await asyncio.start_server(App().serve, "127.0.0.1", port, backlog=500)
    await asyncio.Event().wait()


def definition():
    """Write how a session starts this as a service: for `SessionServices.definitions`."""
    source = zlib.compress(inspect.getsource(sys.modules[__name__]).encode())
    packed = base64.b64encode(source).decode()  # a definition's braces would be placeholders
    body = [f"import base64, zlib; exec(zlib.decompress(base64.b64decode({packed!r})))"]
    return {
        "prestart": [{"action": "write_tempfile", "args": {"body": body}, "ref": "program"}],
        "command": ["{runtime_path}", "{program}", "{ports[0]}"],
    }


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
