"""F10, F5 of THREATS: what a session can do to a server that it brings connections to."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import resource
import socket
import struct
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.agents.bytesonly import BytesOnly, Closer
from jupyter_sessmgr.manager.agents.landing import Landing
from jupyter_sessmgr.model.errors import NotRunning
from tests.plugins.agents import an_agent
from tests.plugins.managers import managed, run_code, running
from tests.plugins.services import listen_inside, say
from tests.plugins.waiting import eventually

PORT = 24741
#: Seconds that a hostile descriptor would hold up whoever lets go of it.
LINGER = 30


def lingering():
    """Make a connection whose last holder waits for data that nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.send(bytes(65536))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
    return one, other


def send_along(sender, data, descriptor):
    rights = array.array("i", [descriptor])
    sender.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads():
    return sum(one.name == "sessmgr-closer" for one in threading.enumerate())


@asynccontextmanager
async def a_landing(tmp_path):
    landing = await Landing.open(tmp_path)
    try:
        yield landing, str(tmp_path / landing.name)
    finally:
        await landing.close()


def come(path, shown=b""):
    """Come to a landing, as code in a session does."""
    visitor = socket.socket(socket.AF_UNIX)
    visitor.setblocking(False)
    visitor.connect(path)
    visitor.send(shown)
    return visitor


@pytest.mark.parametrize("is_read", [True, False])
async def test_F10_files_sent_along_hold_nobody_up(is_read):
    """Whoever reads past such a file, or closes a socket in which it waits, lets go of it last."""
    ours, theirs = socket.socketpair()
    peer = BytesOnly(ours, Closer())
    hostile, reader = lingering()
    send_along(theirs, b"hello", hostile.fileno())
    hostile.close()
    began = time.monotonic()
    if is_read:
        with pytest.raises(ConnectionAbortedError):
            peer.recv(100)
    peer.close()
    assert time.monotonic() - began < LINGER / 3
    assert threads() >= 1, "somebody waits for it, or the test proves nothing"
    reader.close()  # which ends the wait
    theirs.close()
    await eventually(lambda: threads() == 0, LINGER)


async def test_F10_a_transport_that_is_sent_files_ends(tmp_path):
    async with a_landing(tmp_path) as (landing, path):
        with landing.ticket() as ticket:
            visitor = await asyncio.to_thread(come, path, ticket.encode())
            came = await landing.arrival(ticket)
        reader, writer = await asyncio.open_connection(sock=came)
        await asyncio.to_thread(visitor.send, b"bytes")
        assert await reader.read(100) == b"bytes"
        before = descriptors()
        send_along(visitor, b"more", visitor.fileno())
        with pytest.raises(ConnectionAbortedError):
            await reader.read(100)
        writer.close()
        visitor.close()
        await eventually(lambda: descriptors() <= before - 2, 5)


@pytest.mark.parametrize("shown", [b"", b"x", b"0" * 32, b"\xff" * 4096])
async def test_F10_who_shows_no_ticket_is_told_nothing_and_turned_away(tmp_path, shown):
    async with a_landing(tmp_path) as (landing, path):
        with landing.ticket() as ticket:
            visitor = await asyncio.to_thread(come, path, shown)
            if len(shown) < 32:
                visitor.shutdown(socket.SHUT_WR)
            visitor.setblocking(True)
            visitor.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.to_thread(visitor.recv, 100) == b""
            # who was asked for is let in all the same, in any pieces, and its bytes are all there
            guest = await asyncio.to_thread(come, path, ticket[:5].encode())
            await asyncio.sleep(0)
            guest.send(ticket[5:].encode() + b"and more")
            came = await landing.arrival(ticket)
            assert came.recv(100) == b"and more"
        # a ticket is for one
        with landing.ticket() as other:
            second = await asyncio.to_thread(come, path, ticket.encode())
            assert await asyncio.wait_for(asyncio.to_thread(ended, second), 10)
            assert not landing._expected[other].done()
        for one in (visitor, guest, second, came):
            one.close()


def ended(visitor):
    visitor.settimeout(10)
    try:
        return visitor.recv(1) == b""
    except ConnectionResetError:
        return True


async def test_F10_who_comes_too_late_or_to_nobody_leaves_nothing(tmp_path):
    async with a_landing(tmp_path) as (landing, path):
        before = descriptors()
        with landing.ticket() as late:
            pass
        with landing.ticket() as given_up:
            guest = await asyncio.to_thread(come, path, given_up.encode())
            await eventually(landing._expected[given_up].done, 5)
        for _ in range(40):  # more than may fail
            visitor = await asyncio.to_thread(come, path, late.encode())
            assert await asyncio.to_thread(ended, visitor)
            visitor.close()
        assert await asyncio.to_thread(ended, guest)
        guest.close()
        assert landing.is_open, "who asked was gone; that is nobody's fault"
        await eventually(lambda: descriptors() <= before, 5)


async def test_F10_a_flood_of_strangers_closes_the_landing_and_nothing_else(tmp_path):
    async with a_landing(tmp_path) as (landing, path):
        visitors = []
        with landing.ticket() as ticket:
            while landing.is_open and len(visitors) < 1000:
                try:
                    visitors.append(await asyncio.to_thread(come, path, b"0" * 32))
                except OSError:
                    await asyncio.sleep(0.01)
                assert len(landing._standing) <= 16
            assert not landing.is_open
            assert await landing.arrival(ticket) is None
        for one in visitors:
            assert await asyncio.to_thread(ended, one)
            one.close()


async def test_F5_a_landing_without_descriptors_keeps_nobody_busy(tmp_path):
    async with a_landing(tmp_path) as (landing, path):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        visitor = socket.socket(socket.AF_UNIX)
        visitor.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            visitor.connect(path)
            await asyncio.sleep(0.1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert not landing.is_open
        assert await asyncio.to_thread(ended, visitor)
        visitor.close()


async def test_F10_silent_strangers_are_sent_away(tmp_path):
    async with a_landing(tmp_path) as (landing, path):
        silent = [await asyncio.to_thread(come, path) for _ in range(16)]
        await eventually(lambda: len(landing._standing) == 16, 5)
        with landing.ticket() as ticket:
            guest = await asyncio.to_thread(come, path, ticket.encode())
            await eventually(lambda: not landing._standing or landing._expected[ticket].done(), 10)
            came = await landing.arrival(ticket)
            assert came is not None
        for one in (*silent, guest, came):
            one.close()


@pytest.mark.parametrize("name", ["", "../x", "12345678/..", "1234567", "1234567g", None, 5])
async def test_D1_an_agent_brings_connections_to_the_landing_alone(name):
    async with an_agent() as agent:
        link = await agent.link()
        with pytest.raises(Exception, match="name: not eight digits"):
            await link.call("land", port=PORT, name=name, ticket="0" * 32)


async def test_D2_what_is_not_the_sessions_is_not_reached(state_dir):
    async with managed(state_dir, "process") as manager:
        manager.services._inside.shares_network = lambda _session_id: False
        session = await running(manager, preopen_ports=(PORT,))
        with socket.create_server(("127.0.0.1", PORT)), pytest.raises(NotRunning):
            await say(manager, session, PORT)


async def test_F10_a_session_that_lies_about_its_landing_is_reached_by_its_agent(state_dir):
    """It says that it came, and did not; or there is nobody where it should come to."""
    async with managed(state_dir, "process") as manager:
        inside = manager.services._inside
        inside.shares_network = lambda _session_id: False
        session = await running(manager, preopen_ports=(PORT,))
        await listen_inside(manager, session, "127.0.0.1", PORT, b"app")
        assert await say(manager, session, PORT) == b"app"
        link = inside.link(session.id)
        call = link.call

        async def lie(verb, *args, **kwargs):
            return {"landed": True} if verb == "land" else await call(verb, *args, **kwargs)

        link.call = lie
        assert await say(manager, session, PORT) == b"app"
        link.call = call
        folder = inside.landing(session.id)
        name = link._landing.result().name
        await run_code(
            manager.connection_info(session.id), f"import os; os.unlink({str(folder / name)!r})"
        )
        assert not (folder / name).exists()
        assert await say(manager, session, PORT) == b"app"


@pytest.mark.docker
async def test_F6_a_container_sees_its_landing_and_cannot_write_there(state_dir, reference_image):
    """The folder goes with the place, also when the server that made it was killed."""
    async with managed(state_dir, "docker") as manager:
        session = await running(manager, preopen_ports=(PORT,))
        await listen_inside(manager, session, "127.0.0.1", PORT, b"app")
        _, writer = await manager.services.open_stream(session.id, PORT)
        assert writer.get_extra_info("socket").family == socket.AF_UNIX
        writer.close()
        info = manager.connection_info(session.id)
        look = "import os; print(len(os.listdir('/run/sessmgr-landing')), os.access('/run/sessmgr-landing', os.W_OK))"
        _, out = await run_code(info, look)
        assert "1 False" in str(out), out
        folder = manager.services._inside.landing(session.id)
        assert folder.parent.stat().st_mode & 0o077 == 0
        left = folder.parent / "0123456789abcdef0123"
        left.mkdir()
        os.utime(left, (1, 1))
        await manager._parts.engine.survey()
        assert (folder.exists(), left.exists()) == (True, False)
    assert list(folder.parent.iterdir()) == []
