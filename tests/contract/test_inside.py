"""What is inside a session is reached in the same way on every engine."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tarfile
from contextlib import asynccontextmanager

import pytest

from jupyter_sessmgr.manager.inside import services
from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    LimitExceeded,
    NoSuchFile,
    NotAllowed,
    NotRunning,
)
from jupyter_sessmgr.model.requests import CreateRequest
from tests.plugins.managers import managed, places, run_code, running
from tests.plugins.waiting import eventually

#: "d" sends 8 MiB and ends its side; "u" counts what comes until its end, then answers;
#: "g" speaks first; "x" cuts off.
PEER = r"""
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def serve(peer):
    with peer:
        peer.sendall(b"hello\n")
        how = peer.recv(1)
        if how == b"d":
            for _ in range(8):
                peer.sendall(bytes(2**20))
            peer.shutdown(socket.SHUT_WR)
            assert peer.recv(9) == b"thanks"
        elif how == b"u":
            count = 0
            while data := peer.recv(2**20):
                count += len(data)
            peer.sendall(str(count).encode())
        elif how == b"e":
            while data := peer.recv(2**16):
                peer.sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
SERVICES = {
    "peer": {
        "prestart": [{"action": "write_tempfile", "args": {"body": [PEER]}, "ref": "program"}],
        "command": ["{runtime_path}", "{program}", "{ports[0]}"],
        "allowed_envs": ["TOLD"],
    }
}


@asynccontextmanager
async def a_manager(state_dir, engine, **traits):
    async with managed(state_dir, engine, **traits) as manager:
        manager.services.definitions = SERVICES
        yield manager


async def pieces(*data):
    for one in data:
        yield one


async def joined(source):
    return b"".join([piece async for piece in source])


async def hello(reader):
    assert await reader.readexactly(6) == b"hello\n"


async def test_streams_carry_bytes_and_ends_both_ways(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        port = (await manager.services.start(session.id, "peer")).port
        reader, writer = await manager.services.open_stream(session.id, port)
        await hello(reader)
        writer.write(b"d")
        assert len(await reader.read()) == 8 * 2**20
        writer.write(b"thanks")  # the other direction is open still
        writer.close()
        reader, writer = await manager.services.open_stream(session.id, port)
        writer.write(b"u")
        for _ in range(64):
            writer.write(bytes(2**17))
            await writer.drain()
        writer.write_eof()
        await hello(reader)
        assert await reader.read() == b"%d" % 2**23
        writer.close()
        await many_at_once(manager, session, port)
        # a kernel's end is none of a service, nor of who talks to it
        reader, writer = await manager.services.open_stream(session.id, port)
        writer.write(b"e")
        await hello(reader)
        await manager.restart(session.id, 60)
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        # the session's end is theirs
        await manager.destroy(session.id, forced=True)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def many_at_once(manager, session, port):
    streams = await asyncio.gather(
        *(manager.services.open_stream(session.id, port) for _ in range(60))
    )
    for number, (_, writer) in enumerate(streams):
        writer.write(b"e%03d" % number)
    for number, (reader, writer) in enumerate(streams):
        await hello(reader)
        assert await reader.readexactly(3) == b"%03d" % number
        writer.close()


async def is_direct(manager, session):
    """Whether a stream to the service is a connection to its own port."""
    port = (await manager.services.start(session.id, "peer")).port
    reader, writer = await manager.services.open_stream(session.id, port)
    await hello(reader)
    writer.close()
    return writer.get_extra_info("peername")[:2] == ("127.0.0.1", port)


async def test_an_app_is_reached_directly_where_it_has_the_servers_network(
    state_dir, engine_name, monkeypatch
):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        assert await is_direct(manager, session) == (engine_name == "process")
        # by the agent, when the server was started anew in another network than the session's
        monkeypatch.setattr(services, "OWN_NETWORK", "net:[1]")
        assert not await is_direct(manager, session)


async def test_D2_a_strangers_port_is_never_connected_to(state_dir):
    async with a_manager(state_dir, "process") as manager:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            port = stranger.getsockname()[1]
            session = await running(manager, preopen_ports=(port,))
            with pytest.raises(NotRunning, match="Nothing of the session listens"):
                await manager.services.open_stream(session.id, port)
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.accept()


async def test_a_start_of_a_service_is_one_for_all_who_wait(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager, preopen_ports=(9123,))
        states = await asyncio.gather(
            *(manager.services.start(session.id, "peer") for _ in range(5))
        )
        assert len({state.port for state in states}) == 1
        assert manager.services.states(session.id)["peer"].running
        with pytest.raises(NotAllowed):
            await manager.services.open_stream(session.id, 22)
        with pytest.raises(NotRunning, match="9123"):
            await manager.services.open_stream(session.id, 9123)
        with pytest.raises(InvalidRequest, match="--evil"):
            await manager.services.start(session.id, "tensorboard", {"--evil": 1})
        await manager.services.stop(session.id, "peer")
        assert not manager.services.states(session.id)["peer"].running
        with pytest.raises(NotAllowed):
            await manager.services.open_stream(session.id, states[0].port)


async def test_files_go_in_and_come_out_whole(state_dir, engine_name):
    content = os.urandom(3 * 2**20)
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        files = manager.files
        assert await files.write(session.id, "deep/a.bin", pieces(content[:9], content[9:])) == len(
            content
        )
        assert await joined(files.read(session.id, "deep/a.bin")) == content
        (found,) = await files.list(session.id, "deep")
        assert (found.name, found.size, found.is_dir) == ("a.bin", len(content), False)
        archive = io.BytesIO(await joined(files.archive(session.id, "deep")))
        with tarfile.open(fileobj=archive) as tar:
            assert tar.getnames() == ["deep", "deep/a.bin"]
        await files.make_folder(session.id, "new/one")
        assert await files.list(session.id, "new/one") == []
        for path, error in [
            ("no/such", NoSuchFile),
            ("deep", InvalidRequest),
            ("/dev/null/x", NoSuchFile),
            ("x" * 300, InvalidRequest),
            ("a\0b", InvalidRequest),
        ]:
            with pytest.raises(error):
                await joined(files.read(session.id, path))
        # what kernels write is what is read, and the other way round
        told = "open('told.txt', 'w').write(open('deep/a.bin', 'rb').read(4).hex())"
        await run_code(manager.connection_info(session.id), told)
        assert await joined(files.read(session.id, "told.txt")) == content[:4].hex().encode()


async def test_a_file_that_does_not_fit_is_not_there(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        manager.files.max_upload_size = 1000
        with pytest.raises(LimitExceeded, match="1000 bytes"):
            await manager.files.write(session.id, "big", pieces(*[bytes(600)] * 50))
        if engine_name == "docker":
            manager.files.max_upload_size = 2**40
            with pytest.raises(LimitExceeded, match="No space left"):
                await manager.files.write(
                    session.id, "/dev/shm/big", pieces(*[bytes(2**20)] * 2000)
                )
            assert await manager.files.list(session.id, "/dev/shm") == []
        assert [one.name for one in await manager.files.list(session.id) if "big" in one.name] == []


async def test_a_terminal_is_the_users_shell(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        terminal = await manager.services.open_terminal(session.id, 33, 99)
        terminal.writer.write(b"stty size; pwd > where.txt; exit 7\n")
        shown = await asyncio.wait_for(terminal.reader.read(), 20)
        assert b"33 99" in shown
        assert terminal.words == {"exit": 7}
        terminal.writer.close()
        assert await joined(manager.files.read(session.id, "where.txt"))


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("echo done; pwd > /dev/null", "TERMINATED", "exit code 0"),
        ("echo hopeless >&2; exit 3", "ERROR", "exit code 3"),
        ("kill -9 $$", "ERROR", "signal 9"),
    ],
)
async def test_a_batch_session_ends_with_its_command(
    state_dir, engine_name, command, status, words
):
    async with a_manager(state_dir, engine_name) as manager:
        request = CreateRequest(session_type="batch", startup_command=command)
        session, _ = await manager.create(request, "me")
        ended = await eventually(lambda: final(manager, session.id), 60)
        assert ended.status == status
        assert words in (ended.failure or ended.status_info)
        assert ended.started_at
        assert "done" in ended.log_tail or "hopeless" in ended.failure or "kill" in command
        assert await manager.logs(session.id) == ended.log_tail
        assert not await places(manager)


async def test_a_bootstrap_script_runs_first_and_once(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager, bootstrap_script="echo prepared; echo x >> count")
        await manager.restart(session.id, 60)
        assert await joined(manager.files.read(session.id, "count")) == b"x\n"
        assert (await manager.logs(session.id)).startswith("prepared\n")
        bad = CreateRequest(bootstrap_script="#!/bin/sh\necho no internet; exit 9")
        session, _ = await manager.create(bad, "me")
        ended = await eventually(lambda: final(manager, session.id), 60)
        assert ended.status == "ERROR"
        assert "The bootstrap script ended with exit code 9" in ended.failure
        assert "no internet" in ended.failure


async def test_usage_only_grows_over_restarts(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
        await run_code(manager.connection_info(session.id), burn)
        before = await manager.usage(session.id)
        assert before.cpu_ms >= 300
        await manager.restart(session.id, 60)
        after = await manager.usage(session.id)
        assert after.cpu_ms >= before.cpu_ms
        assert after.io_write_bytes >= before.io_write_bytes
        if engine_name == "docker":
            await manager.files.write(session.id, "/tmp/scratch", pieces(bytes(2**20)))
            assert (await manager.usage(session.id)).scratch_bytes >= 2**20


def final(manager, session_id):
    session = manager.find(session_id, "me")
    return session if session.status.is_final else None
