"""A browser's connection and a service's, joined: also where tornado keeps the browser's TLS."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest
from tornado.iostream import IOStream

from jupyter_sessmgr.proxy.bounds import Traffic
from jupyter_sessmgr.proxy.relaying import Relay
from tests.plugins.waiting import eventually


class Encrypted(IOStream):
    """Stands in for `SSLIOStream`: asyncio cannot take it over."""


class Joined:
    """A relay, the browser and the service at its ends, and whether it has let go."""

    def __init__(self, kind):
        listener = socket.create_server(("127.0.0.1", 0))
        self.browser = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
        listener.close()
        self.service, self._far = socket.socketpair()
        self._near = kind(near)
        self.held = ExitStack()
        self.let_go = []
        self.held.callback(self.let_go.append, True)
        for one in (self.browser, self.service):
            one.setblocking(False)

    async def begin(self, early=b""):
        _, writer = await asyncio.open_connection(sock=self._far)
        writer.transport.pause_reading()
        relay = Relay(self._near, writer, self.held, Traffic(None))
        self.running = asyncio.create_task(relay.run(early))
        self.running.add_done_callback(relay.close)

    async def heard(self, side, size):
        loop, data = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while len(data) < size and (piece := await loop.sock_recv(side, 65536)):
                data += piece
        return data

    def close(self):
        self.browser.close()
        self.service.close()


@pytest.fixture(params=[IOStream, Encrypted])
def kind(request):
    return request.param


async def test_bytes_go_both_ways_the_early_ones_first(kind):
    joined, loop = Joined(kind), asyncio.get_running_loop()
    await joined.begin(b"early ")
    await loop.sock_sendall(joined.service, b"words")
    assert await joined.heard(joined.browser, 11) == b"early words"
    sending = asyncio.create_task(loop.sock_sendall(joined.browser, b"x" * 2**22))
    assert len(await joined.heard(joined.service, 2**22)) == 2**22
    await sending
    joined.close()
    await joined.running


@pytest.mark.parametrize("leaver", ["browser", "service"])
async def test_with_one_side_goes_the_other_after_its_last_words(kind, leaver):
    joined, loop = Joined(kind), asyncio.get_running_loop()
    await joined.begin()
    left, stays = joined.service, joined.browser
    if leaver == "browser":
        left, stays = stays, left
    await loop.sock_sendall(left, b"bye")
    left.close()
    assert await joined.heard(stays, 100) == b"bye"
    await eventually(lambda: joined.let_go, 5)
    joined.close()


@pytest.mark.parametrize("deaf", ["browser", "service"])
async def test_who_reads_nothing_holds_the_other_back(kind, deaf):
    joined, loop = Joined(kind), asyncio.get_running_loop()
    await joined.begin()
    talker = joined.service if deaf == "browser" else joined.browser
    sent = 0
    try:
        while sent < 2**28:
            await asyncio.wait_for(loop.sock_sendall(talker, bytes(2**18)), 1)
            sent += 2**18
    except TimeoutError:
        pass
    assert sent < 2**25
    joined.close()
    await asyncio.wait_for(joined.running, 5)
