"""Spares on both engines, with real kernels."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time

import pytest

from jupyter_sessmgr.manager.agents import bootconfig
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.managers import managed, places, run_code, running
from tests.plugins.waiting import eventually

EAGER = {"default_size": 1, "refill_delay": 0.0, "min_free_memory": 0.0}
FACTS = """
import json, os
print(json.dumps({
    "session": __session__,
    "environ": {name: os.environ.get(name) for name in (
        "JPY_SESSION_NAME", "TENSORBOARD_PROXY_URL", "GREETING", "HOME")},
    "folder": os.getcwd(),
    "names": sorted(name for name in globals() if not name.startswith("_")),
    "history": [In[:-1], Out],
}))
"""


def pool(**traits):
    return {"WarmPool": {**EAGER, **traits}}


async def ready(manager):
    """Wait for a spare, and return its place."""
    await eventually(lambda: manager.pool.counts() == {"ready": 1, "booting": 0}, 60)
    rows = manager._parts.store.places()
    (spare,) = (
        one
        for one in rows
        if one.pool_key and one.session_id is None and one.state is PlaceState.MADE
    )
    return spare


async def facts_of(manager, session):
    reply, written = await run_code(manager.connection_info(session.id), FACTS)
    assert reply["status"] == "ok", reply
    return json.loads(written)


def kill(manager, place):
    """Kill what a place runs in, as a person would."""
    if manager._parts.engine.name == "docker":
        name = place_name(manager._parts.secrets.install_id, place.id)
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
    else:
        os.kill(int(place.key), signal.SIGKILL)


async def test_a_start_takes_the_spare_and_gets_what_it_asked_for(tmp_path, engine_name):
    (tmp_path / "notes").mkdir()
    asked = {
        "environ": {"GREETING": "hello"},
        "notebook_folder": str(tmp_path / "notes"),
        "notebook_path": "notes",
    }
    async with managed(tmp_path / "s", engine_name, config=pool()) as manager:
        cold = await running(manager, jupyter_session="notes/a.ipynb", **asked)
        spare = await ready(manager)
        warm = await running(manager, jupyter_session="notes/b.ipynb", **asked)
        assert warm.place_id == spare.id != cold.place_id
        assert [one.status for one in warm.history] == ["PENDING", "CREATING", "RUNNING"]
        assert warm.encrypted == cold.encrypted
        before, after = await facts_of(manager, cold), await facts_of(manager, warm)
        assert before["session"] == before["environ"]["JPY_SESSION_NAME"] == "notes/a.ipynb"
        assert after["session"] == after["environ"]["JPY_SESSION_NAME"] == "notes/b.ipynb"
        own_url = after["environ"]["TENSORBOARD_PROXY_URL"]
        assert own_url is None or warm.id in own_url
        for told in (before, after):
            told["session"] = told["environ"]["JPY_SESSION_NAME"] = ""
            told["environ"]["TENSORBOARD_PROXY_URL"] = ""
        assert after == before
        warm = await manager.restart(warm.id, 60)
        assert (await facts_of(manager, warm))["session"] == "notes/b.ipynb"
        other = await ready(manager)
        assert other.id != spare.id
        assert (manager.pool.hits, dict(manager.pool.misses)) == (1, {"none": 1})


async def test_a_spare_killed_by_hand_is_told_and_harms_nobody(tmp_path, engine_name, caplog):
    async with managed(tmp_path / "s", engine_name, config=pool()) as manager:
        session = await running(manager)
        spare = await ready(manager)
        manager.pool.refill_delay = 3600.0
        await asyncio.to_thread(kill, manager, spare)
        await eventually(lambda: "A spare session of" in caplog.text and "is gone" in caplog.text)
        await eventually(lambda: manager._parts.store.place(spare.id).state is PlaceState.DOOMED)
        assert set(await places(manager)) == {session.place_id}
        again = await running(manager)
        reply, _ = await run_code(manager.connection_info(again.id), "1")
        assert reply["status"] == "ok"
        assert manager.find(session.id, "me").status is SessionStatus.RUNNING


async def test_a_spare_killed_in_the_moment_of_its_claim_costs_a_cold_start(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name, config=pool()) as manager:
        await running(manager)
        spare = await ready(manager)
        manager.pool.refill_delay = 3600.0
        claim = manager._parts.store.claim

        async def claim_and_kill(session, place):
            claimed = await claim(session, place)
            await asyncio.to_thread(kill, manager, spare)
            return claimed

        manager._parts.store.claim = claim_and_kill
        session = await running(manager)
        assert session.place_id != spare.id
        reply, _ = await run_code(manager.connection_info(session.id), "1")
        assert reply["status"] == "ok"
        live = {one.place_id for one in manager.list("me")}

        async def only_these():
            await manager._reconciler.sweep()
            return set(await places(manager)) == live

        await eventually(only_these, 20, 0.1)


async def test_a_spare_that_no_server_talks_to_ends_with_its_lease(
    tmp_path, engine_name, monkeypatch
):
    monkeypatch.setattr(bootconfig, "SPARE_LEASE", 2.0)
    async with managed(tmp_path / "s", engine_name, config=pool()) as manager:
        session = await running(manager)
        spare = await ready(manager)
        await manager._parts.links.drop(spare.id)  # as when the server is killed

        async def ended():
            return (await places(manager)).get(spare.id) is not True

        await eventually(ended, 30, 0.1, what="the spare's end")
        assert manager.find(session.id, "me").status is SessionStatus.RUNNING


async def test_a_claimed_spare_has_the_lease_of_its_session(tmp_path, monkeypatch):
    monkeypatch.setattr(bootconfig, "SPARE_LEASE", 2.0)
    async with managed(tmp_path / "s", config=pool()) as manager:
        await running(manager)
        spare = await ready(manager)
        session = await running(manager)
        assert session.place_id == spare.id
        other = await ready(manager)
        for place in (spare, other):
            await manager._parts.links.drop(place.id)

        async def other_ended():
            return (await places(manager)).get(other.id) is not True

        await eventually(other_ended, 30, 0.1)
        assert (await places(manager))[spare.id] is True


READY, HITS = 'sessmgr_spares{state="ready"}', 'sessmgr_spare_claims_total{result="hit"}'


def metric(server, row):
    text = server.ask("GET", "metrics").text
    return float(next(line for line in text.splitlines() if line.startswith(row)).split()[1])


def until_metric(server, row, value, timeout=60):
    deadline = time.monotonic() + timeout
    while metric(server, row) != value:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


@pytest.mark.parametrize("door", [pytest.param("kernels", marks=pytest.mark.slow), "sessions"])
def test_a_notebook_takes_the_spare_of_a_server(servers, door):
    server = servers.start(config=pool())

    def start(name):
        body = {"name": "sessmgr-python"}
        if door == "sessions":
            body = {"path": name, "name": name, "type": "notebook", "kernel": body}
        reply = server.ask("POST", f"api/{door}", json=body)
        assert reply.status_code == 201, reply.text
        made = reply.json()
        return made["kernel"]["id"] if door == "sessions" else made["id"]

    start("a.ipynb")
    until_metric(server, READY, 1)
    assert len(server.sessions()) == 1, "a spare is no session"
    second = start("b.ipynb")
    assert metric(server, HITS) == 1
    assert server.execute(second, "6 * 7") == "42"
    named = "b.ipynb" if door == "sessions" else ""
    assert named in server.execute(second, "__session__ if '__session__' in globals() else ''")


def test_a_server_that_follows_gets_the_spare_of_the_one_that_leads(servers):
    leader = servers.start(config=pool())
    follower = servers.start(config=pool(), state_dir=leader.state_dir)
    assert (leader.is_leader, follower.is_leader) == (True, False)
    follower.create(name="cold")
    until_metric(leader, READY, 1)
    session = follower.create(name="warm")["sessionId"]
    assert follower.until(session, "RUNNING")
    assert (metric(leader, HITS), metric(follower, READY)) == (1, 0)
    assert follower.execute(session, "6 * 7") == "42"


def test_the_next_server_takes_the_spare_of_a_killed_one_over(servers):
    first = servers.start(config=pool())
    first.create(name="cold")
    until_metric(first, READY, 1)
    first.kill()
    second = servers.start(config=pool(), state_dir=first.state_dir)
    until_metric(second, READY, 1)
    session = second.create(name="warm")["sessionId"]
    second.until(session, "RUNNING")
    assert metric(second, HITS) == 1
    assert second.execute(session, "6 * 7") == "42"
    second.stop()
    assert "Traceback" not in second.log()
