"""F10, F5 of THREATS: agents on unix sockets that send open files along with their bytes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import tempfile
from array import array
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.agents.bytesonly import dial
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.model.errors import AgentError
from tests.plugins.agents import a_liar
from tests.plugins.waiting import eventually
from tests.security.test_F10_landings import LINGER, descriptors, lingering, send_along, threads
from tests.security.test_F10_lying_agents import GOOD, PLACE, SECRETS

#: As many files as the system lets one message have.
MANY = 253
#: Seconds that the loop may stand still.
PATIENCE = LINGER / 10


@asynccontextmanager
async def an_agent_that_sends_files(when):
    """Send one past the encryption, as soon as `when(message)`; the server lets go of it last."""
    hostile, other = await asyncio.to_thread(lingering)

    async def speak(reader, writer):
        first = json.loads(await reader.readuntil(b"\n"))
        if not when(first):
            writer.write(GOOD)
            await writer.drain()
            await reader.readuntil(b"\n")
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as raw:
            send_along(raw, b"x", hostile.fileno())
        hostile.close()
        await reader.read()

    folder = Path(tempfile.mkdtemp(prefix="sm-"))
    try:
        async with a_liar(folder, SECRETS, PLACE, speak) as endpoint:
            yield endpoint
            assert threads() >= 1, "somebody waits for it, or the test proves nothing"
    finally:
        hostile.close()
        other.close()  # which ends the wait
        shutil.rmtree(folder)
        await eventually(lambda: threads() == 0, LINGER)


@asynccontextmanager
async def a_loop_that_goes_on():
    loop = asyncio.get_running_loop()
    gaps = [0.0]

    async def tick():
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            gaps.append(loop.time() - before)

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        await asyncio.sleep(0.05)
        ticking.cancel()
    assert max(gaps) < PATIENCE


async def test_F10_files_sent_along_by_an_agent_hold_nobody_up():
    async with an_agent_that_sends_files(lambda _: False) as endpoint, a_loop_that_goes_on():
        link = await AgentLink.connect(endpoint, place_id=PLACE, secrets=SECRETS, timeout=5)
        with pytest.raises(AgentError, match="lost"):
            await link.ping(timeout=5)
        await link.close()


async def test_F10_files_sent_along_in_a_stream_hold_nobody_up():
    def when(message):
        return "stream" in message

    async with an_agent_that_sends_files(when) as endpoint, a_loop_that_goes_on():
        link = await AgentLink.connect(endpoint, place_id=PLACE, secrets=SECRETS, timeout=5)
        with pytest.raises(AgentError):
            await link.open_stream("tunnel", timeout=5, port=1)
        await link.close()


def send_many(sender, hostile):
    """Send a file of which nobody else holds an end, and as many as possible behind it."""
    with hostile:
        files = array("i", [hostile.fileno(), *[sender.fileno()] * (MANY - 1)])
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])


async def test_F5_whose_files_are_not_closed_yet_sends_no_more():
    folder = Path(tempfile.mkdtemp(prefix="sm-"))
    path = str(folder / "agent")
    ours, theirs, readers = [], [], []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        for _ in range(4):
            hostile, reader = await asyncio.to_thread(lingering)
            readers.append(reader)
            ours.append(await dial(path))
            theirs.append(listener.accept()[0])
            send_many(theirs[-1], hostile)
        before = descriptors()
        for one in ours:
            with pytest.raises(ConnectionAbortedError):
                one.recv(100)
        assert descriptors() - before <= MANY
        with pytest.raises(ConnectionAbortedError):
            await dial(path)
        for one in (*ours, *theirs, *readers):
            one.close()  # the readers' ends end the wait
        await eventually(lambda: threads() == 0, LINGER)
        (await dial(path)).close()  # nothing is remembered
    shutil.rmtree(folder)
