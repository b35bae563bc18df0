"""What the proxies lead to: speaks just enough HTTP and websocket to be quicker than all of them.

Plain Python, so that it runs in any session: ``python service_upstream.py PORT``.

    GET  /small       1 KiB
    GET  /big?N       N MiB
    POST /upload      takes everything and answers
    GET  /socket      a websocket that compresses where the client offers it: "N" has it send N
                      messages of 1 MiB; a longer text is answered with 1 KiB, and a binary message
                      with "." when its last byte came
    GET  /plain       the same, and it never compresses
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
import zlib

MIB = 1 << 20
PIECE = bytes(MIB)
SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"%sSec-WebSocket-Accept: %s\r\n\r\n"
)
PACKED = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE = 1, 2, 8
#: Ends whatever zlib flushes; never sent.
FLUSHED = b"\0\0\xff\xff"


def frame(kind, payload, first=0x80):
    """Make a frame as a server sends it."""
    kind |= first
    size = len(payload)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65536:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


#: Hard to compress, as images and numbers are.
RANDOM = os.urandom(MIB)
MESSAGE, ANSWER, TICK = frame(BINARY, RANDOM), frame(TEXT, b"x" * 1024), frame(TEXT, b".")


class Upstream(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=4 * MIB)
        self.held = b""
        #: Bytes of a body that are yet to come.
        self.body = 0
        self.chunked = self.socket = self.packs = False
        self.room = asyncio.Event()
        self.room.set()
        self.sending = None

    def pause_writing(self):
        self.room.clear()

    def resume_writing(self):
        self.room.set()

    def connection_lost(self, exc):
        del exc
        if self.sending is not None:
            self.sending.cancel()

    def data_received(self, data):
        if self.body:
            self.body -= len(data)
            if self.body == 0:
                self.transport.write(TAKEN)
        elif self.chunked:
            self.held = (self.held + data)[-5:]
            self.end_of_chunks()
        else:
            self.held += data
            while self.take():
                continue

    def take(self):
        """Take one request or frame; False when it is not whole yet."""
        if self.socket:
            return self.take_frame()
        head, end, rest = self.held.partition(b"\r\n\r\n")
        if not end:
            return False
        self.held = rest
        self.answer(head.split(b" ", 2)[1], head)
        return bool(self.held)

    def answer(self, target, head):
        if target.startswith(b"/small"):
            self.transport.write(SMALL)
        elif target.startswith(b"/big"):
            count = int(target.partition(b"?")[2])
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * MIB))
            self.send(lambda: PIECE, count)
        elif target.startswith(b"/upload"):
            self.take_body(head)
        else:
            key = value(head, b"sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            offered = b"permessage-deflate" in value(head, b"sec-websocket-extensions")
            self.packs = offered and target.startswith(b"/socket")
            self.transport.write(SWITCHED % (PACKED if self.packs else b"", accept))
            self.socket = True

    def take_body(self, head):
        came, self.held = self.held, b""
        if b"chunked" in value(head, b"transfer-encoding"):
            self.chunked, self.held = True, came[-5:]
            self.end_of_chunks()
            return
        self.body = int(value(head, b"content-length")) - len(came)
        if self.body == 0:
            self.transport.write(TAKEN)

    def end_of_chunks(self):
        if self.held == b"0\r\n\r\n":
            self.held, self.chunked = b"", False
            self.transport.write(TAKEN)

    def take_frame(self):
        """Take one frame. Clients mask with zeros here, so nothing needs to be undone."""
        if len(self.held) < 2:
            return False
        kind, size, start = self.held[0] & 15, self.held[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self.held) < start:
                return False
            size = int.from_bytes(self.held[2:start], "big")
        masked = 4 if self.held[1] & 128 else 0
        whole = start + masked + size
        if len(self.held) < whole:
            if kind == BINARY:  # its bytes are counted, not kept
                self.body = 0
                self.skip(whole)
            return False
        key = self.held[start : start + masked]
        payload, self.held = self.held[start + masked : whole], self.held[whole:]
        self.got(kind, size, payload, key)
        return bool(self.held)

    def skip(self, whole):
        """Wait for the rest of a long message."""
        missing = whole - len(self.held)
        self.held = b""
        take = self.data_received

        def taking(data):
            nonlocal missing
            if len(data) < missing:
                missing -= len(data)
                return
            self.data_received = take
            self.transport.write(TICK)
            if data[missing:]:
                take(data[missing:])

        self.data_received = taking

    def got(self, kind, size, payload, key):
        if kind == CLOSE:
            self.transport.write(frame(CLOSE, b""))
            self.transport.close()
        elif kind == BINARY:
            self.transport.write(TICK)
        elif size > 10:
            self.transport.write(ANSWER)
        elif kind == TEXT:
            text = bytes(one ^ key[n % 4] for n, one in enumerate(payload)) if key else payload
            if self.packs:
                text = zlib.decompressobj(-15).decompress(text + FLUSHED)
            self.send(self.message, int(text))

    def message(self):
        """Make a message of 1 MiB; compressing it is part of what sending costs."""
        if not self.packs:
            return MESSAGE
        packing = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packing.compress(RANDOM) + packing.flush(zlib.Z_SYNC_FLUSH)
        return frame(BINARY, packed.removesuffix(FLUSHED), 0xC0)

    def send(self, make, count):
        self.sending = asyncio.ensure_future(self.send_many(make, count))

    async def send_many(self, make, count):
        for _ in range(count):
            await self.room.wait()
            self.transport.write(make())


def value(head, name):
    """Find a header's value; b"" when there is none."""
    for line in head.split(b"\r\n"):
        said, _, rest = line.partition(b":")
        if said.lower() == name:
            return rest.strip()
    return b""


async def serve(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
