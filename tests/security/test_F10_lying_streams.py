"""F10: an agent that lies in a stream hurts nobody: bounded, refused in words, and left."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessmgr.manager.agents import words as agentwords
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.stream import (
    BUFFER,
    DATA,
    END,
    MAX_BARE,
    MAX_WORDS,
    WORDS,
    head,
)
from jupyter_sessmgr.manager.inside.files import read_list
from jupyter_sessmgr.model.errors import AgentError, NoSuchFile, NotRunning, SessmgrError
from tests.security.test_F10_lying_agents import (
    GOOD,
    PLACE,
    SECRETS,
    as_line,
    converse,
    spoiled,
    values,
)

OPENED = as_line({"ok": True, "stream": {}})
FILE = {"name": "a", "size": 1, "mode": 0o100644, "mtime": 0.0, "ctime": 0.0, "atime": 0.0}
SERVICE = {"name": "a", "state": "running", "ports": [8888], "pid": 1, "error": "", "tail": ""}


def frame(kind, data):
    return head(kind, len(data)) + data


def stream_with(said, use):
    """Let a liar greet a link, then say `said` in its stream; `use(stream)` meanwhile."""

    async def speak(reader, writer):
        first = json.loads(await reader.readuntil(b"\n"))
        writer.write(said if "stream" in first else GOOD)

    # what is an answer, or too much for one, is waited for, also on a slow machine
    patience = 10 if b"\n" in said or len(said) > MAX_WORDS else 0.5
    return converse(speak, lambda endpoint: attempt(endpoint, use, patience))


async def attempt(endpoint, use, timeout):
    link = await AgentLink.connect(endpoint, place_id=PLACE, secrets=SECRETS, timeout=5)
    try:
        stream = await link.open_stream("tunnel", timeout=timeout, port=1)
        try:
            return await use(stream)
        finally:
            stream.transport.abort()
    except SessmgrError as error:
        return error
    finally:
        assert not link.closed.is_set(), "a stream's lies end the stream alone"
        await link.close()


async def all_of(stream):
    data = await asyncio.wait_for(stream.reader.read(), 5)
    stream.check_whole()
    return data


async def a_little(stream):
    try:
        async with asyncio.timeout(0.05):
            return await stream.reader.read()
    except TimeoutError:
        return b""


frames = st.one_of(
    st.binary(max_size=40),
    st.builds(frame, st.integers(0, 255), st.binary(max_size=40)),
    st.builds(head, st.integers(0, 255), st.integers(0, 2**24 - 1)),
    values.map(lambda value: frame(WORDS, json.dumps(value).encode())),
)


@given(st.binary(max_size=60) | spoiled({"ok": True, "stream": {}}).map(as_line))
@settings(deadline=None, max_examples=50, database=None)
def test_F10_a_spoiled_answer_opens_nothing_or_a_stream(said):
    stream_with(said, a_little)


@given(st.lists(frames, max_size=6))
@settings(deadline=None, max_examples=100, database=None)
def test_F10_junk_in_a_stream_is_its_end(said):
    outcome = stream_with(OPENED + b"".join(said), a_little)
    assert isinstance(outcome, bytes | SessmgrError)


def test_F10_what_makes_sense_is_believed():
    said = OPENED + frame(DATA, b"one") + frame(WORDS, b'{"exit": 1}') + frame(DATA, b"two")
    assert stream_with(said + head(END, 0), all_of) == b"onetwo"
    refused = as_line({"ok": False, "error": {"kind": "refused", "message": "no"}})
    assert isinstance(stream_with(refused, all_of), NotRunning)
    absent = frame(WORDS, b'{"error": {"kind": "absent", "message": "gone"}}')
    assert isinstance(stream_with(OPENED + absent, all_of), NoSuchFile)


@pytest.mark.parametrize(
    "said",
    [
        frame(DATA, b"one"),
        frame(DATA, b"one") + head(9, 0),
        frame(DATA, b"one") + head(WORDS, MAX_WORDS + 1),
        frame(DATA, b"one") + frame(WORDS, b"[]"),
        frame(DATA, b"one") + head(END, 1),
        frame(WORDS, b'{"error": 3}'),
    ],
)
def test_F10_a_stream_that_is_cut_is_not_taken_for_whole(said):
    async def cut(stream):
        await asyncio.sleep(0.05)
        stream._wire._below.abort()
        return await all_of(stream)

    outcome = stream_with(OPENED + said, cut)
    assert isinstance(outcome, AgentError)


def test_F10_a_flood_waits_for_its_reader():
    """What nobody reads is held back: little of 64 MiB comes into memory."""

    async def waits(stream):
        await asyncio.sleep(0.3)
        return len(stream.reader._buffer)

    flood = frame(DATA, bytes(2**20)) * 64
    assert stream_with(OPENED + flood, waits) <= 4 * BUFFER


@pytest.mark.parametrize("bare", [frame(DATA, b""), frame(WORDS, b"{}")], ids=["data", "words"])
def test_F10_a_flood_of_nothing_is_the_streams_end(bare):
    """Frames that fill no buffer would keep the server busy for as long as an agent likes."""
    outcome = stream_with(OPENED + bare * (MAX_BARE + 1) + frame(DATA, b"late"), all_of)
    assert isinstance(outcome, AgentError)


def test_F10_an_answer_without_end_is_left():
    outcome = stream_with(b"x" * (2 * MAX_WORDS), all_of)
    assert isinstance(outcome, AgentError)


@given(values | spoiled(FILE).map(lambda one: [one]))
def test_F10_a_list_of_files_is_believed_or_refused(value):
    text = json.dumps(value).encode()
    try:
        found = read_list(text)
    except AgentError:
        return
    for one in found:
        assert 0 <= one.size < 2**63
        assert len(one.name) <= 4096


@given(spoiled(SERVICE) | values)
def test_F10_a_service_is_believed_or_refused(value):
    for read in (agentwords.read_service, agentwords.read_services, agentwords.read_survey):
        try:
            read(value)
        except agentwords.Junk:
            continue
