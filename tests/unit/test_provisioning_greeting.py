"""A websocket's socket, and kernels that greet, or do not, by real ZeroMQ."""

from __future__ import annotations

import asyncio
import contextlib

import zmq.asyncio
from zmq.eventloop.zmqstream import ZMQStream

from jupyter_sessmgr.provisioning.channels import greeting as greetings
from jupyter_sessmgr.provisioning.channels.greeting import Greeting, connect_anew, is_any
from tests.plugins.waiting import eventually

STATUS = [b"kernel.1.status", b"<IDS|MSG>", b"signature", b"{}", b"{}", b"{}", b"{}"]


class Kernel:
    """Greets who subscribes to something new, as a kernel's output channel does."""

    def __init__(self, context, address, first):
        self.socket = context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.bind(address)
        self.address = self.socket.last_endpoint.decode()
        self.heard = []
        self._first = first
        self._task = asyncio.create_task(self._greet())

    async def _greet(self):
        while True:
            (word,) = await self.socket.recv_multipart()
            self.heard.append(word)
            if word[:1] == b"\x01" and word[1:]:
                for said in self._first:
                    await self.socket.send_multipart(said)
                await self.socket.send_multipart([word[1:], b"<IDS|MSG>", b"welcome"])

    async def end(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.socket.close(0)


@contextlib.asynccontextmanager
async def a_kernel(address="tcp://127.0.0.1:*", first=()):
    """Be a kernel's output channel for a while."""
    with zmq.asyncio.Context() as context:
        kernel = Kernel(context, address, first)
        try:
            yield kernel
        finally:
            await kernel.end()


@contextlib.asynccontextmanager
async def a_stream(address):
    """Connect as a websocket does; for long nothing is connected again by itself."""
    with zmq.Context() as context:
        socket = context.socket(zmq.SUB)
        socket.linger = 0
        socket.reconnect_ivl = 60_000
        socket.subscribe(b"")
        socket.connect(address)
        stream = ZMQStream(socket)
        try:
            yield stream
        finally:
            stream.close(0)


async def test_a_kernel_that_greets_is_heard():
    async with a_kernel() as kernel, a_stream(kernel.address) as stream:
        assert await Greeting(stream).heard() == []
        assert not stream.receiving()


async def test_what_it_said_before_it_greeted_is_not_lost():
    async with a_kernel(first=[STATUS, STATUS]) as kernel, a_stream(kernel.address) as stream:
        said, received = await Greeting(stream).heard(), []
        stream.on_recv(received.append)
        await eventually(lambda: any(map(is_any, received)))
    assert [*said, *received[:-1]] == [STATUS, STATUS]


async def test_one_that_does_not_greet_is_told_in_time(monkeypatch):
    monkeypatch.setattr(greetings, "PATIENCE", 0.05)
    with zmq.Context() as context, context.socket(zmq.PUB) as silent:
        port = silent.bind_to_random_port("tcp://127.0.0.1")
        async with a_stream(f"tcp://127.0.0.1:{port}") as stream:
            assert await Greeting(stream).heard() is None
            assert not stream.receiving()


async def test_each_time_has_its_own_topic_and_lets_go_of_the_one_before():
    async with a_kernel() as kernel, a_stream(kernel.address) as stream:
        first = Greeting(stream)
        assert await first.heard() == []
        second = Greeting(stream)
        assert await second.heard() == []
        await eventually(lambda: len(kernel.heard) == 4)
    _everything, one, other, gone = kernel.heard
    assert gone == b"\x00" + one[1:]
    assert first.is_in([one[1:]])
    assert second.is_in([other[1:]])
    assert not second.is_in([one[1:]])


async def test_another_ones_greeting_shows_as_well_that_it_is_heard_and_is_no_message():
    async with a_kernel() as kernel, a_stream(kernel.address) as stream:
        assert await Greeting(stream).heard() == []
        received = []
        stream.on_recv(received.append)
        async with a_stream(kernel.address) as other:
            assert await Greeting(other).heard() == []
            await eventually(lambda: received)
    assert all(map(is_any, received))
    assert not any(map(is_any, [STATUS, []]))


async def test_a_kernel_in_the_place_of_another_greets_who_connects_anew():
    async with contextlib.AsyncExitStack() as stack:
        async with a_kernel() as first:
            stream = await stack.enter_async_context(a_stream(first.address))
            greeting, received = Greeting(stream), []
            assert await greeting.heard() == []
            stream.on_recv(received.append)
        async with a_kernel(first.address):
            connect_anew([stream])
            await eventually(lambda: received)
    assert greeting.is_in(received[0])


async def test_a_socket_that_is_closed_or_unconnected_is_no_error():
    async with a_kernel() as kernel, a_stream(kernel.address) as stream:
        stream.socket.disconnect(kernel.address)
        connect_anew([stream])
        assert await Greeting(stream).heard() == []
        stream.close(0)
        connect_anew([stream])
        assert stream.closed()
