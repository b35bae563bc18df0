"""Speaks to a session's service through a server in this process, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import struct

from tests.plugins import hostileapp

CONFIG = {"SessionServices": {"definitions": {"hostile": hostileapp.definition()}}}
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)


#: How a service is reached: where the server has the session's network, where it has the session's
#: files, and anywhere.
WAYS = ("straight", "by a landing", "by a stream")


class Door:
    """The hostile service of one session, as its owner reaches it."""

    def __init__(self, app, session_id):
        self.app = app
        self.session_id = session_id
        self.host = app.base.split("/")[2]
        self.path = f"{app.app.base_url}sessmgr/session/{session_id}/service/hostile/"

    @classmethod
    async def open(cls, app, *, way="straight"):
        """Make a session, and have the service run; reach it in one of the ways."""
        inside = app.sessions.services._inside
        if way != "straight":
            inside.shares_network = lambda _session_id: False
        if way == "by a stream":
            inside.landing = lambda _session_id: None
        made = await app.create()
        door = cls(app, made["sessionId"])
        await door.connections()
        return door

    def head(self, method, path, *lines, token=True, version="HTTP/1.1"):
        """Write a request's head."""
        told = [f"{method} {self.path}{path} {version}", f"Host: {self.host}", *lines]
        if token:
            told.append(f"Authorization: {self.app.token['Authorization']}")
        return "\r\n".join([*told, "", ""]).encode("latin1")

    def upgrade(self, path, *lines, **kwargs):
        """Write a websocket's request."""
        return self.head("GET", path, *UPGRADE, *lines, **kwargs)

    @contextlib.asynccontextmanager
    async def dial(self, data=b""):
        """Connect, and say something; closes in the end."""
        reader, writer = await asyncio.open_connection(*self.host.split(":"), limit=2**20)
        try:
            writer.write(data)
            yield reader, writer
        finally:
            writer.close()

    async def say(self, data, timeout=20.0):
        """Say something, and return what comes back: one answer, or all until the end."""
        async with self.dial(data) as (reader, _), asyncio.timeout(timeout):
            received = b""
            with contextlib.suppress(ConnectionError):
                while (piece := await reader.read(65536)) and not is_whole(
                    received := received + piece
                ):
                    continue
            return received

    async def ask(self, method, path, *lines, body=b"", **kwargs):
        """Send one request; return the status, the headers' text and the body."""
        head = self.head(method, path, "Connection: close", *lines, **kwargs)
        return parted(await self.say(head + body))

    async def connections(self):
        """Ask the service how many connections it has, and had."""
        status, _, body = await self.ask("GET", "connections")
        assert status == 200, body
        return json.loads(body)


def parted(received):
    """Take an answer apart: status (0 for none), head, body."""
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return status, head.decode("latin1"), body


def is_whole(received):
    """Whether this is an answer as long as it says."""
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(body) >= int(lengths[0].split(b":")[1])


def raw(answer, piece=b"", times=0, end=b""):
    """Name the path that is answered with these very bytes, a piece of them repeated."""
    parts = (answer, piece, str(times).encode(), end)
    return "raw?" + ".".join(base64.urlsafe_b64encode(one).decode() for one in parts)


def reset(writer):
    """Close a connection with a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
