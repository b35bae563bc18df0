"""What counts as use of a session, and how much use there may be at once."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from jupyter_sessmgr.proxy import bounds
from tests.plugins.rawdoor import CONFIG, Door, parted
from tests.plugins.server import merge
from tests.plugins.waiting import eventually

FEW = {"max_connections_per_session": 2, "max_connections": 3}


@pytest.fixture
def app(inside, request):
    """Give a server; a test's parameter is the configuration of its proxy."""
    return inside(**merge(CONFIG, {"ServiceProxy": getattr(request, "param", {})}))


async def open_socket(stack, door):
    """Open a websocket that lasts as long as the stack."""
    reader, writer = await stack.enter_async_context(door.dial(door.upgrade("pipe")))
    return parted(await reader.readuntil(b"\r\n\r\n"))[0], reader, writer


@pytest.mark.parametrize("app", [FEW], indirect=True, ids=["few"])
async def test_D3_what_is_too_much_at_once_is_refused_until_there_is_room(app):
    one, two = await Door.open(app), await Door.open(app)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            assert (await open_socket(stack, one))[0] == 101
        for data in (one.head("GET", "echo"), one.upgrade("pipe")):
            status, head, body = parted(await one.say(data))
            assert (status, "Retry-After: 2" in head) == (429, True)
            assert "2 connections" in json.loads(body)["msg"]
        assert (await open_socket(stack, two))[0] == 101
        status, _, body = parted(await two.say(two.head("GET", "echo")))
        assert status == 429
        assert "all sessions" in json.loads(body)["msg"]
        assert (await app.ask("GET", "sessmgr/session")).code == 200
    await eventually(lambda: app.extension.proxy.connections.total == 0)
    assert (await one.ask("GET", "echo"))[0] == 200


@pytest.fixture
def noted(monkeypatch):
    """Have traffic noted at every quarter of a second."""
    monkeypatch.setattr(bounds, "_NOTED", 0.25)


@pytest.mark.usefixtures("noted")
async def test_what_flows_is_activity_and_silence_is_none(app):
    door = await Door.open(app)
    presence = app.sessions.activity.of(door.session_id)
    async with door.dial(door.head("GET", "events")) as (reader, _):
        await reader.readuntil(b"data: 0\n")
        began = presence.last_use
        await eventually(lambda: presence.last_use > began)
    async with door.dial(door.head("GET", "never")):
        await eventually(lambda: app.extension.proxy.connections.total == 1)
        await asyncio.sleep(0.5)  # the touch of its beginning is over
        before = presence.last_use
        await asyncio.sleep(0.5)
        assert presence.last_use == before
    await eventually(lambda: app.extension.proxy.connections.total == 0)


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize(
    ("app", "passive"),
    [({"passive_services": []}, False), ({"passive_services": ["hostile"]}, True)],
    indirect=["app"],
    ids=["active", "passive"],
)
async def test_a_websocket_is_a_client_unless_its_service_is_passive(app, passive):
    door = await Door.open(app)
    presence = app.sessions.activity.of(door.session_id)
    before = presence.last_use, presence.clients
    async with contextlib.AsyncExitStack() as stack:
        status, reader, writer = await open_socket(stack, door)
        assert status == 101
        assert presence.clients == before[1] + (not passive)
        began = presence.last_use
        for _ in range(5):
            await asyncio.sleep(0.1)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        assert (presence.last_use != began) == (not passive)
    await eventually(lambda: app.extension.proxy.connections.total == 0)
    await eventually(lambda: presence.clients == before[1])
    assert (presence.last_use == before[0]) == passive


async def test_early_bytes_pass_both_ways(app):
    door = await Door.open(app)
    async with door.dial(door.upgrade("pipe") + b"early") as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(5), 20) == b"early"
    async with door.dial(door.upgrade("hurry")) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(7), 20) == b"\x81\x05hello"


async def test_frames_pass_as_they_are(app):
    door = await Door.open(app)
    mask = b"\x00\x00\x00\x00"
    frames = [
        b"\x01\x83" + mask + b"one",  # text, to be continued
        b"\x89\x84" + mask + b"ping",  # a ping in between
        b"\x00\x80" + mask,
        b"\x80\x83" + mask + b"two",
        b"\x8a\x80" + mask,  # a pong nobody asked for
        b"\x82\xfe\x00\x03" + mask + b"\x00\xff\x00",  # a length written longer than it is
        b"\x88\x85" + mask + b"\x03\xf6why",  # close, 1014
    ]
    async with door.dial(door.upgrade("pipe")) as (reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for frame in frames:
            writer.write(frame)
            assert await asyncio.wait_for(reader.readexactly(len(frame)), 20) == frame


def test_traffic_is_noted_now_and_then(monkeypatch):
    now, notes = [100.0], []
    monkeypatch.setattr(bounds.time, "monotonic", lambda: now[0])
    traffic = bounds.Traffic(lambda: notes.append(now[0]))
    for now[0] in (100.0, 101.0, 109.9, 110.1, 115.0, 500.0):
        traffic()
    assert notes == [100.0, 110.1, 500.0]
    bounds.Traffic(None)()
