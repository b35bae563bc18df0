"""D1 and D2 of THREATS where all share the machine's network: a session's ports are its own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, suppress

import pytest

from jupyter_sessmgr.model.errors import NotAllowed, NotRunning
from tests.plugins.managers import run_code, running
from tests.plugins.services import DEFINITIONS, a_manager, listen_inside, say

PORT = 24731


def stranger(host, port, came):
    """Listen on the machine, outside of every session; note who comes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)

    async def serve():
        listener.setblocking(False)
        while True:
            peer, _ = await asyncio.get_running_loop().sock_accept(listener)
            came.append(peer)
            peer.send(b"evil")
            peer.close()

    return listener, asyncio.create_task(serve())


async def test_D1_a_strangers_port_is_never_reached(state_dir):
    """Sessions as processes share the machine's network; its ports are not theirs."""
    came = []
    async with a_manager(state_dir, "process") as manager:
        manager.services.definitions = {}
        listener, serving = stranger("127.0.0.1", PORT, came)
        try:
            session = await running(manager, preopen_ports=(PORT,))
            services = manager.services
            for _ in range(3):
                with pytest.raises(NotRunning):
                    await services.open_stream(session.id, PORT)
            assert not (await services.look(session.id))[str(PORT)].running
            # on the same number at another address: each gets what is meant for it
            await listen_inside(manager, session, "::1", PORT, b"mine")
            assert await say(manager, session, PORT) == b"mine"
            assert came == []
        finally:
            serving.cancel()
            listener.close()


async def test_D2_a_port_of_another_session_is_never_reached(state_dir):
    async with a_manager(state_dir, "process") as manager:
        first = await running(manager, preopen_ports=(PORT,))
        second = await running(manager, preopen_ports=(PORT,))
        await listen_inside(manager, first, "127.0.0.1", PORT, b"first")
        assert await say(manager, first, PORT) == b"first"
        with pytest.raises(NotRunning):
            await manager.services.open_stream(second.id, PORT)
        assert not (await manager.services.look(second.id))[str(PORT)].running
        # the one ends, the other takes its port: who asks for the first is never answered by it
        asking = True
        answers = set()

        async def ask():
            while asking:
                try:
                    answers.add(await say(manager, first, PORT))
                except (NotRunning, NotAllowed):
                    answers.add(b"")
                await asyncio.sleep(0.01)

        polling = asyncio.create_task(ask())
        await manager.destroy(first.id, forced=True)
        await listen_inside(manager, second, "127.0.0.1", PORT, b"second")
        assert await say(manager, second, PORT) == b"second"
        asking = False
        await polling
        assert answers <= {b"first", b""}
        assert b"" in answers


async def test_D2_who_takes_a_port_at_the_last_moment_hears_nothing(state_dir):
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(3))
        writer.close()

    async with a_manager(state_dir, "process") as manager, AsyncExitStack() as strangers:
        session = await running(manager, preopen_ports=(PORT,))
        await listen_inside(manager, session, "127.0.0.1", PORT, b"mine")
        link = manager.services._inside.link(session.id)
        find_port, taken = link.find_port, asyncio.Event()

        async def find_and_lose(*args):
            hosts = await find_port(*args)
            if not taken.is_set():
                taken.set()
                end = "listener.shutdown(socket.SHUT_RDWR); listener.close()"
                running_it = run_code(manager.connection_info(session.id), end)
                await asyncio.create_task(running_it)  # it blocks, but not our code
                listener = socket.create_server(("127.0.0.1", PORT))
                listening = await asyncio.start_server(listen, sock=listener)
                await strangers.enter_async_context(listening)
            return hosts

        assert await say(manager, session, PORT) == b"mine"
        link.find_port = find_and_lose
        with pytest.raises(NotRunning):
            await say(manager, session, PORT)
        assert taken.is_set()
        assert b"".join(heard) == b""


async def test_D2_of_sessions_that_promise_the_same_port_each_gets_its_own(state_dir):
    async with a_manager(state_dir, "process") as manager:
        manager.services.definitions = {"jupyter": DEFINITIONS["app"]}
        came, sessions, ports = [], [await running(manager), await running(manager)], []
        (promised,) = next(one.ports for one in sessions[0].promised if one.name == "jupyter")
        listener, serving = None, None
        with suppress(OSError):  # else somebody listens there already: as good
            listener, serving = stranger("127.0.0.1", promised, came)
        for session in sessions:
            ports.append(await manager.services.port_of(session.id, "jupyter"))
            assert await say(manager, session, ports[-1]) == b"app"
        assert len({promised, *ports}) == 3
        with pytest.raises(NotAllowed):
            await manager.services.open_stream(sessions[0].id, ports[1])
        assert came == []
        if listener is not None:
            serving.cancel()
            listener.close()
