"""Suspending and resuming, as doors ask for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, NotRunning, Unsupported
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.testing import unavailable
from tests.plugins.fakes import begun, fake_manager
from tests.plugins.waiting import eventually

S = SessionStatus


def place_of(manager, session):
    return manager.engine_there.made[manager.find(session.id, "me").place_id]


def status(manager, session):
    return manager.find(session.id, "me").status


async def suspended(manager, **asked):
    session = await begun(manager, **asked)
    assert (await manager.suspend(session.id)).status is S.SUSPENDED
    await eventually(lambda: place_of(manager, session).paused)
    return session


async def test_a_suspended_session_resumes_with_its_kernel(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        assert (await manager.suspend(session.id)).status is S.SUSPENDED
        resumed = await manager.resume(session.id)
        assert resumed.status is S.RUNNING
        assert resumed.observed_generation == 1
        assert not place_of(manager, session).paused
        assert (await manager.resume(session.id)).revision == resumed.revision


async def test_first_use_resumes_and_many_at_once_do_it_once(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        calls = []
        manager.engine_there.before["resume"] = lambda: calls.append(1)
        together = [manager.resume_for_use(session.id) for _ in range(48)]
        rows = await asyncio.gather(*together)
        assert {row.status for row in rows} == {S.RUNNING}
        assert len(calls) == 1
        assert manager.find(session.id, "me").last_active_at is not None


async def test_using_a_running_session_asks_nobody(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await begun(manager)
        manager.engine_there.before["look"] = manager.engine_there.before["resume"] = unavailable
        assert (await manager.resume_for_use(session.id)).status is S.RUNNING


async def test_a_suspended_session_can_be_destroyed(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        assert (await manager.destroy(session.id)).status is S.TERMINATED
        assert not manager.engine_there.made
        for verb in (manager.suspend, manager.resume, manager.resume_for_use):
            with pytest.raises(NotRunning):
                await verb(session.id)


async def test_a_suspended_session_can_be_restarted(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        again = await manager.restart(session.id, 10)
        assert (again.status, again.observed_generation) == (S.RUNNING, 2)


async def test_a_sweep_takes_a_paused_place_neither_for_lost_nor_for_running(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        for _ in range(3):
            await manager._reconciler.sweep()
            await eventually(lambda: manager._reconciler.is_idle)
        assert status(manager, session) is S.SUSPENDED
        place_of(manager, session).paused = False  # somebody else woke it
        await manager._reconciler.sweep()
        await eventually(lambda: place_of(manager, session).paused)


async def test_an_engine_that_is_away_says_nothing_about_a_suspended_session(state_dir):
    async with fake_manager(state_dir, resume_timeout=0.3) as manager:
        session = await suspended(manager)
        manager.engine_there.before["look"] = unavailable
        with pytest.raises(EngineUnavailable, match="SUSPENDED still"):
            await manager.resume(session.id)
        assert status(manager, session) is S.SUSPENDED
        del manager.engine_there.before["look"]
        await eventually(lambda: status(manager, session) is S.RUNNING)  # the wish stands


async def test_one_that_cannot_be_paused_goes_on_and_is_not_asked_again(state_dir):
    async with fake_manager(state_dir) as manager:
        calls = []

        def refuse():
            calls.append(1)
            raise EngineError("No freezer here.")

        manager.engine_there.before["suspend"] = refuse
        session = await begun(manager)
        await manager.suspend(session.id)
        await eventually(lambda: status(manager, session) is S.RUNNING)
        await manager._reconciler.sweep()
        await eventually(lambda: manager._reconciler.is_idle)
        assert len(calls) == 1


async def test_an_engine_that_cannot_suspend_is_named(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await begun(manager)
        engine = manager.engine_there
        engine.capabilities = replace(engine.capabilities, suspend=False)
        with pytest.raises(Unsupported, match="fake engine cannot suspend"):
            await manager.suspend(session.id)


async def test_a_wish_to_end_is_never_taken_back(state_dir):
    async with fake_manager(state_dir) as manager:
        session = await suspended(manager)
        ends = asyncio.create_task(manager.destroy(session.id))
        await asyncio.sleep(0)
        results = await asyncio.gather(
            *(manager.resume(session.id) for _ in range(5)), return_exceptions=True
        )
        assert (await ends).status is S.TERMINATED
        assert all(isinstance(one, NotRunning) or one.status for one in results)
        assert status(manager, session) is S.TERMINATED


async def test_nobody_is_told_of_more_time_for_what_was_asked_to_end_meanwhile(
    state_dir, monkeypatch
):
    async with fake_manager(state_dir) as manager:
        session = await begun(manager)
        keep = Wishes.keep

        async def end_first(wishes, one, until):
            await wishes.stop(one)
            return await keep(wishes, one, until)

        monkeypatch.setattr(Wishes, "keep", end_first)
        with pytest.raises(NotRunning):
            await manager.extend(session.id, 60)
