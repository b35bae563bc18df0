"""FAULTS T9: what a client hears when a service resets, hangs, trickles or stops halfway."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.plugins.rawdoor import CONFIG, WAYS, Door, parted
from tests.plugins.server import merge
from tests.plugins.waiting import eventually


@pytest.fixture
def app(inside):
    """Give a server that waits for services no longer than a second."""
    return inside(**merge(CONFIG, {"ServiceProxy": {"response_timeout": 1.0}}))


@pytest.mark.parametrize("way", WAYS)
async def test_T9_every_trouble_of_a_service_has_its_status(app, way):
    door = await Door.open(app, way=way)
    expected = {
        door.head("GET", "reset", "Connection: close"): 502,
        door.head("GET", "never", "Connection: close"): 504,
        door.head("GET", "drip", "Connection: close"): 504,
        door.head("POST", "deaf?3", "Content-Length: 99999999") + b"x" * 9_999_999: 504,
        door.head("POST", "never", "Content-Length: 3", "Connection: close") + b"abc": 504,
        door.upgrade("never") + b"early": 504,
        door.upgrade("reset"): 502,
        door.upgrade("drip"): 504,
        door.upgrade("truncated"): 200,
    }
    answers = await asyncio.gather(*(door.say(data) for data in expected))
    told = [parted(answer)[0] for answer in answers]
    assert dict(zip(range(99), told, strict=False)) == dict(enumerate(expected.values()))
    for answer, status in zip(answers, told, strict=True):
        if status >= 500:
            assert json.loads(parted(answer)[2])["title"].startswith("The service")
    await eventually(lambda: app.extension.proxy.connections.total == 0)


@pytest.mark.parametrize("path", ["half", "truncated", "broken"])
async def test_T9_an_answer_that_stops_halfway_is_cut(app, path):
    door = await Door.open(app)
    status, head, body = parted(await door.say(door.head("GET", path)))
    assert status == 200
    assert b"only this".startswith(body)  # what came together with the end may be lost
    assert "Content-Length: 1000" in head


@pytest.mark.parametrize("path", ["leave", "vanish"])
async def test_T9_a_websocket_ends_with_its_service(app, path):
    door = await Door.open(app)
    assert parted(await door.say(door.upgrade(path)))[0] == 101


async def test_T9_a_service_that_is_gone_is_a_bad_gateway(app):
    door = await Door.open(app)
    await door.app.ask(
        "POST", f"sessmgr/session/{door.session_id}/start-service", body={"app": "hostile"}
    )
    services = door.app.sessions.services
    port = await services.port_of(door.session_id, "hostile")
    await services.stop(door.session_id, "hostile")

    async def still_there(*_args, **_kwargs):
        return port

    services.port_of = still_there  # it went after it was found
    for data in (door.head("GET", "x", "Connection: close"), door.upgrade("x")):
        assert parted(await door.say(data))[0] == 502
