"""P1, P3: a server killed while a spare is made or taken leaves no orphan and loses no session."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest

from jupyter_sessmgr.manager.loop.claims import read_claim
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import SessionStatus
from tests.faults.test_P1_kill_points import run_until_killed
from tests.plugins import killpoints
from tests.plugins.managers import managed, places, run_code, running, sweep_until
from tests.plugins.waiting import eventually

POOL = {"WarmPool": {"default_size": 1, "refill_delay": 0.0, "min_free_memory": 0.0}}
#: What is left of the spare: nothing, a spare that the next server takes over, or a session's place
#: (unless its kernel was told its names and nobody remembers: then that is made anew).
GONE = {"spare INTENDED.after", "spare start.booting", "spare MADE.before"}
KEPT = {"spare MADE.after", "claim.before"}
TAKEN = {"claim.after", "set_claim.after"}


def spares_of(manager):
    rows = manager._parts.store.places()
    return [
        one
        for one in rows
        if one.pool_key and one.session_id is None and one.state is not PlaceState.DOOMED
    ]


async def calm(manager):
    """Wait until every session runs, and the pool is what it should be."""
    await eventually(
        lambda: (
            all(one.status is SessionStatus.RUNNING for one in manager.list("me"))
            and manager._reconciler.is_idle
            and manager.pool.counts()["booting"] == 0
            and manager.pool.counts()["ready"] == len(manager._parts.memory.kept)
        ),
        60,
    )


async def check(state, engine, point):
    """Start a server on what is left, and compare."""
    async with managed(state, engine, config=POOL) as manager:
        before = {one.place_id for one in manager.list("me") if one.name == "second"}
        for _ in range(2):  # P3
            await manager._reconciler.sweep()
            await calm(manager)
        live = manager.list("me")
        wanted = {one.place_id for one in live} | {one.id for one in spares_of(manager)}
        found = await places(manager)
        assert set(found) == wanted, "I2, I3: something is left, or missing"
        assert all(found.values())
        assert len(wanted) == len(live) + manager.pool.counts()["ready"]
        if point in GONE | KEPT | TAKEN:  # else the second start was one without a spare
            assert manager.pool.counts()["ready"] == (point in KEPT)
        for session in live:
            link = manager._parts.links.get(session.place_id)
            assert read_claim(link.hello.claim, manager._parts.secrets).id == session.id or (
                session.place_id in manager._parts.memory.settled
            )
            reply, _ = await run_code(manager.connection_info(session.id), "x = 1")
            assert (reply["status"], reply["execution_count"]) == ("ok", 1)
        if point in TAKEN:
            assert before == {one.place_id for one in live if one.name == "second"} != {""}


def slow(point):
    return pytest.param(point, marks=pytest.mark.slow)


#: Those that differ little from others are put off.
SLOW = {"spare start.booting", "claim.before", "set_claim.after"}


@pytest.mark.parametrize("point", [slow(p) if p in SLOW else p for p in killpoints.SPARE])
async def test_P1_P3_I1_I2_I3_I4_killed_around_a_spare_that_is_a_process(tmp_path, point):
    state = tmp_path / "s"
    told = await asyncio.to_thread(run_until_killed, state, "process", point, "spare")
    assert "running" in told
    assert ("spare" in told) == (point not in GONE | {"spare MADE.after"})
    await check(state, "process", point)


@pytest.mark.docker
@pytest.mark.parametrize("point", [slow("spare MADE.after"), "claim.after"])
async def test_P1_P3_I1_I2_I3_I4_killed_around_a_spare_that_is_a_container(
    tmp_path, point, reference_image
):
    state = tmp_path / "s"
    await asyncio.to_thread(run_until_killed, state, "docker", point, "spare")
    await check(state, "docker", point)


async def test_spares_of_other_settings_are_not_taken_over(tmp_path):
    state = tmp_path / "s"
    await asyncio.to_thread(run_until_killed, state, "process", "spare MADE.after", "spare")
    config = {**POOL, "AdmissionControl": {"pids_limit": 500}}
    async with managed(state, config=config) as manager:
        (session,) = manager.list("me")
        await eventually(lambda: not manager._parts.memory.kept, 60)
        await manager._reconciler.sweep()
        assert set(await places(manager)) == {session.place_id}
        assert manager.pool.counts() == {"ready": 0, "booting": 0}


@pytest.mark.slow
async def test_spares_are_removed_by_a_server_that_has_none(tmp_path):
    state = tmp_path / "s"
    await asyncio.to_thread(run_until_killed, state, "process", "spare MADE.after", "spare")
    async with managed(state) as manager:
        (session,) = manager.list("me")
        await eventually(lambda: not manager._parts.memory.kept, 60)
        await manager._reconciler.sweep()
        assert set(await places(manager)) == {session.place_id}


def copy_of(database, copy):
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


async def test_P10_a_spare_that_became_a_session_after_the_backup_is_adopted(tmp_path):
    state, copy = tmp_path / "s", tmp_path / "backup"
    async with managed(state, config=POOL, keep=True) as manager:
        first = await running(manager)
        await eventually(lambda: manager.pool.counts()["ready"] == 1, 60)
        await asyncio.to_thread(copy_of, state / "sessions.db", copy)
        second = await running(manager, name="precious")
        assert second.place_id in {one.id for one in manager._parts.store.places() if one.pool_key}
        reply, _ = await run_code(manager.connection_info(second.id), "x = 41")
        assert reply["status"] == "ok"
    for path in state.glob("sessions.db-*"):
        path.unlink()
    shutil.copyfile(copy, state / "sessions.db")
    async with managed(state, config=POOL) as manager:
        assert [one.id for one in manager.list("me")] == [first.id]
        await sweep_until(manager, lambda: len(manager.list("me")) == 2, 60)
        adopted = manager.find("precious", "me")
        assert (adopted.id, adopted.place_id) == (second.id, second.place_id)
        _, written = await run_code(manager.connection_info(adopted.id), "print(x + 1)")
        assert written == "42\n"
