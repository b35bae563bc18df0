"""Who does not know the token, or is not the right agent, gets nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from jupyter_sessmgr.agent.control import AUTH_TIMEOUT, MAX_CONNECTIONS, MAX_LINE, tls_context
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import AgentUnavailable
from tests.plugins.agents import a_liar, an_agent, stranger
from tests.plugins.waiting import eventually

WRONG = [
    b'{"token": "0000"}\n',
    b'{"token": ""}\n',
    b'{"token": null}\n',
    b'{"token": ["x"]}\n',
    '{"token": "\\ud800ü"}\n'.encode(),
    b'{"id": 1, "verb": "ping", "args": {}}\n',
    b"[]\n",
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\xfe\n",
    b"[" * 1000 + b"\n",
    b"x" * 30_000,
    b"NaN\n",
]


async def test_a_peer_without_the_token_gets_nothing():
    async with an_agent() as agent:
        for words in WRONG:
            reader, writer = await stranger(agent)
            writer.write(words)
            assert await hears(reader) == b"", words
            writer.transport.abort()
        assert (await (await agent.link()).call("ping")) == {}
        assert (agent.folder / "stderr").read_text() == ""


async def hears(reader, timeout=AUTH_TIMEOUT - 2):
    """Return all that is said until the connection ends, before it would end by itself."""
    async with asyncio.timeout(timeout):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_a_peer_that_says_nothing_is_cut_off():
    async with an_agent() as agent:
        begun = time.monotonic()
        plain, plain_writer = await stranger(agent, tls=False)
        silent, silent_writer = await stranger(agent)
        assert await hears(plain, timeout=AUTH_TIMEOUT + 2) == b""
        assert await hears(silent, timeout=2) == b""
        assert time.monotonic() - begun > AUTH_TIMEOUT - 1
        for writer in (plain_writer, silent_writer):
            writer.transport.abort()
        assert (agent.folder / "stderr").read_text() == ""


async def test_a_peer_that_speaks_no_tls_gets_nothing():
    async with an_agent() as agent:
        reader, writer = await stranger(agent, tls=False)
        writer.write(json.dumps({"token": agent.config["token"]}).encode() + b"\n")
        heard = await hears(reader)
        assert b"hello" not in heard
        assert len(heard) < 32, "at most a TLS alert"
        writer.transport.abort()


def test_old_tls_is_refused(tmp_path):
    certificate, private_key = InstallationSecrets(bytes(32), "0123456789").agent_certificate("p")
    orders = {"certificate": certificate, "private_key": private_key, "runtime_dir": str(tmp_path)}
    assert tls_context(orders).minimum_version == ssl.TLSVersion.TLSv1_2
    assert list(tmp_path.iterdir()) == [], "the key lies in no file"


async def test_strangers_cannot_keep_the_server_out():
    async with an_agent() as agent:
        first = await agent.link()
        crowd = []
        for _ in range(3 * MAX_CONNECTIONS):
            peer = socket.socket(socket.AF_UNIX)
            peer.setblocking(False)
            # its backlog may be full for a moment
            await eventually(lambda: peer.connect_ex(agent.endpoint.host) == 0)  # noqa: B023 - done before the next
            crowd.append(peer)
        try:
            second = await agent.link(timeout=4)
            await second.ping()
            await first.ping()
            files = Path(f"/proc/{agent.process.pid}/fd")
            await eventually(lambda: len(list(files.iterdir())) < MAX_CONNECTIONS + 15)
        finally:
            for peer in crowd:
                peer.close()
        assert (agent.folder / "stderr").read_text() == ""


async def test_the_server_has_a_limited_number_of_connections_too():
    async with an_agent() as agent:
        links = [await agent.link() for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(AgentUnavailable):
            await agent.link(timeout=1)
        await links[0].ping()
        await links[-1].close()
        await (await agent.link()).ping()


@pytest.mark.parametrize(
    "words", [b"x" * (MAX_LINE + 1), b"{\n", b'{"id": "1", "verb": "ping", "args": {}}\n', b"[1]\n"]
)
async def test_a_client_that_talks_nonsense_is_cut_off(words):
    async with an_agent() as agent:
        reader, writer = await stranger(agent)
        writer.write(json.dumps({"token": agent.config["token"]}).encode() + b"\n")
        assert b"hello" in await reader.readuntil(b"\n")
        writer.write(words)
        assert await hears(reader) == b""
        writer.transport.abort()
        await (await agent.link()).ping()


async def test_a_client_that_does_not_read_does_not_fill_the_agents_memory():
    async with an_agent() as agent:
        _, writer = await stranger(agent)
        writer.write(json.dumps({"token": agent.config["token"]}).encode() + b"\n")
        writer.transport.pause_reading()
        request = b'{"id": 1, "verb": "no_such", "args": {}}\n'
        link = await agent.link()
        for _ in range(100):
            if writer.transport.is_closing():
                break
            writer.write(request * 50)
            await link.ping()
        pages = Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]
        assert int(pages) * os.sysconf("SC_PAGE_SIZE") < 80 << 20
        writer.transport.abort()


async def test_a_server_with_another_secret_refuses_the_agent_and_tells_it_nothing():
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read())

    async with an_agent() as agent:
        await agent.link()
        stranger_secrets = InstallationSecrets(os.urandom(32), "0123456789")
        begun = time.monotonic()
        with pytest.raises(AgentUnavailable, match="not this session's agent"):
            await agent.link(secrets=stranger_secrets)
        assert time.monotonic() - begun < 2, "no use in trying again"
        async with a_liar(agent.folder, stranger_secrets, agent.place_id, listen) as endpoint:
            with pytest.raises(AgentUnavailable, match="not this session's agent"):
                await AgentLink.connect(
                    endpoint, place_id=agent.place_id, secrets=agent.secrets, timeout=5
                )
        assert b"".join(heard) == b"", "the token is shown only to the right one"


async def test_the_agent_of_another_place_is_refused():
    async with an_agent() as agent:
        with pytest.raises(AgentUnavailable, match="not this session's agent"):
            await agent.link(place_id="another")


async def test_where_nobody_listens_the_cause_is_told():
    async with an_agent() as agent:
        await agent.link()
        agent.process.kill()
        await agent.gone()
        begun = time.monotonic()
        with pytest.raises(AgentUnavailable, match=r"within 0.5 s \(Connection refused\)"):
            await agent.link(timeout=0.5)
        assert 0.4 < time.monotonic() - begun < 1.5


async def test_calls_that_wait_end_with_the_agent():
    async with an_agent() as agent:
        link = await agent.link()
        agent.process.send_signal(19)  # SIGSTOP: it will not answer
        waiting = asyncio.gather(*(link.ping() for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(0)
        agent.process.kill()
        errors = await asyncio.wait_for(waiting, 5)
        assert {type(error) for error in errors} == {AgentUnavailable}
        assert link.closed.is_set()
        with pytest.raises(AgentUnavailable, match="was lost"):
            await link.ping()
        await link.close()
        await link.close()  # harmless


async def test_a_call_that_is_cancelled_disturbs_nobody():
    async with an_agent() as agent:
        link = await agent.link()
        for _ in range(20):
            task = asyncio.create_task(link.usage())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await link.ping()
        await eventually(lambda: not link._waiting)
