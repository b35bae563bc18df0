"""An agent's streams, whatever their clients do."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.agents.stream import DATA, END, MAX_WORDS, WORDS, head
from jupyter_sessmgr.model.errors import AgentUnavailable, InvalidRequest, NotRunning
from tests.plugins.agents import an_agent, stranger
from tests.plugins.waiting import eventually

ECHO = """
import asyncio, sys
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=500)
    await server.serve_forever()
asyncio.run(main())
"""
DEFINITION = {
    "prestart": [{"action": "write_tempfile", "args": {"body": [ECHO]}, "ref": "program"}],
    "command": ["{runtime_path}", "{program}", "{ports[0]}"],
}
ORDER = {"name": "echo", "ports": [], "definition": DEFINITION, "is_admins": True}


async def an_echo(link):
    return (await link.start_service(ORDER, timeout=20)).ports[0]


def open_files(agent):
    return len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))


def stderr_of(agent):
    return (agent.folder / "stderr").read_text()


async def test_no_descriptor_is_left_of_clients_that_go():
    async with an_agent() as agent:
        link = await agent.link()
        port = await an_echo(link)
        before = open_files(agent)
        for number in range(150):
            stream = await link.open_stream("tunnel", port=port)
            size = (0, 1, 2**20)[number % 3]
            stream.writer.write(bytes(size))
            if size and number % 2:
                await stream.reader.read(1)
            stream.transport.abort()
        terminal = await link.open_stream("terminal", rows=2, cols=2)
        terminal.transport.abort()
        await eventually(lambda: open_files(agent) <= before, 10)
        assert stderr_of(agent) == ""


async def test_a_client_that_reads_nothing_holds_its_source_back():
    async with an_agent() as agent:
        link = await agent.link()
        stream = await link.open_stream("tunnel", port=await an_echo(link))
        sent = 0
        try:
            async with asyncio.timeout(1):
                while sent < 2**28:
                    stream.writer.write(bytes(2**18))
                    sent += 2**18
                    await stream.writer.drain()
        except TimeoutError:
            pass
        assert sent < 2**26, "256 MiB are not kept anywhere"
        memory = Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]
        assert int(memory) * os.sysconf("SC_PAGE_SIZE") < 2**27
        stream.transport.abort()
        await link.ping()


JUNK = [
    b"\xff" * 100,
    head(WORDS, MAX_WORDS + 1),
    head(WORDS, 2) + b"[]",
    head(WORDS, 1) + b"{",
    head(END, 7) + b"seven..",
    head(DATA, 2**24 - 1) + bytes(100),
    head(END, 0) + head(END, 0) + head(DATA, 1) + b"x",
    head(WORDS, 2) + b"{}",
]


async def test_junk_in_a_stream_harms_nobody_else():
    async with an_agent() as agent:
        link = await agent.link()
        port = await an_echo(link)
        kinds = (
            ("tunnel", {"port": port}),
            ("terminal", {}),
            ("write", {"path": "x", "limit": 99}),
            ("read", {"path": "/etc/hostname"}),
        )
        for kind, args in kinds:
            for junk in JUNK:
                reader, writer = await stranger(agent)
                words = {"token": agent.config["token"], "stream": kind, "args": args}
                # without waiting for the answer
                writer.write(json.dumps(words).encode() + b"\n" + junk)
                assert json.loads(await reader.readuntil(b"\n"))["ok"] is True
                writer.transport.abort()
        stream = await link.open_stream("tunnel", port=port)
        stream.writer.write(b"fine")
        assert await stream.reader.readexactly(4) == b"fine"
        stream.transport.abort()
        assert stderr_of(agent) == ""


async def test_what_cannot_be_opened_is_refused_in_words():
    async with an_agent() as agent:
        link = await agent.link()
        for kind, args, error in [
            ("no-such", {}, InvalidRequest),
            ("tunnel", {}, InvalidRequest),
            ("tunnel", {"port": "22"}, InvalidRequest),
            ("tunnel", {"port": 70000}, InvalidRequest),
            ("tunnel", {"port": 1}, NotRunning),
            ("terminal", {"rows": 0}, InvalidRequest),
            ("terminal", {"rows": True}, InvalidRequest),
            ("write", {"path": "x"}, InvalidRequest),
            ("read", {"path": 3}, InvalidRequest),
            ("list", {"path": "\ud800"}, InvalidRequest),
        ]:
            with pytest.raises(error):
                await link.open_stream(kind, **args)
        reader, writer = await stranger(agent)
        writer.write(json.dumps({"token": "0" * 64, "stream": "terminal"}).encode() + b"\n")
        assert await reader.read() == b"", "a stranger hears nothing"
        writer.transport.abort()
        assert stderr_of(agent) == ""


async def test_an_agent_that_is_killed_ends_its_streams():
    async with an_agent() as agent:
        link = await agent.link()
        stream = await link.open_stream("tunnel", port=await an_echo(link))
        agent.process.kill()
        assert await asyncio.wait_for(stream.reader.read(), 10) == b""
        with pytest.raises(AgentUnavailable):
            stream.check_whole()
        stream.writer.close()
