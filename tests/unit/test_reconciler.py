"""The reconciler, on an engine in memory that fails when told; FAULTS invariants I1-I9."""

from __future__ import annotations

import asyncio
import random

import pytest

from jupyter_sessmgr import testing
from jupyter_sessmgr.manager.agents.words import ERRORS
from jupyter_sessmgr.manager.loop.starting import Starter
from jupyter_sessmgr.model.errors import EngineError
from jupyter_sessmgr.model.session import Place, PlaceState
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.testing import make_session, unavailable
from tests.plugins.waiting import eventually
from tests.plugins.worlds import world

S = SessionStatus


async def test_a_session_starts_restarts_and_ends():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        place_id = w.store.get(one).place_id
        await w.restart(w.store.get(one))
        await eventually(lambda: w.store.get(one).observed_generation == 2)
        assert w.store.get(one).place_id == place_id
        await w.stop(one)
        await w.becomes(one, S.TERMINATED)
        assert not w.engine.made
        seen = [event.session.status for event in w.statuses if hasattr(event, "before")]
        assert seen == [S.CREATING, S.RUNNING, S.RESTARTING, S.RUNNING, S.TERMINATING, S.TERMINATED]
        assert [note.status for note in w.store.get(one).history] == [S.PENDING, *seen]


async def test_intent_is_written_before_the_engine_is_asked():
    async with world() as w:
        rows = []
        w.engine.before["start"] = lambda: rows.extend(w.store.places())
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        assert [row.session_id for row in rows] == [one]


async def test_a_refused_start_ends_as_error_with_the_reason_and_leaves_nothing():
    async with world() as w:

        def refuse():
            raise EngineError("no such entry point")

        w.engine.after["start"] = refuse
        one = await w.create()
        await w.becomes(one, S.ERROR)
        assert w.store.get(one).failure == "no such entry point"
        assert not w.engine.made


async def test_D1_a_lost_reply_is_answered_by_the_same_name():
    async with world() as w:
        w.engine.after["start"] = unavailable
        one = await w.create()
        await eventually(lambda: w.engine.made)
        places = set(w.engine.made)
        del w.engine.after["start"]
        await w.becomes(one, S.RUNNING)
        assert set(w.engine.made) == places


async def test_D3_what_the_engine_makes_late_is_removed():
    async with world() as w:
        late = asyncio.Event()
        w.engine.before["start"] = late.wait
        one = await w.create()
        await w.becomes(one, S.CREATING)
        await w.stop(one)
        await w.becomes(one, S.TERMINATED)
        place = w.store.places()[0]
        w.engine.before.clear()
        async for _ in w.engine.start(place, make_session().spec, b""):
            pass  # the engine carries out the create that everybody gave up
        assert w.engine.made
        await eventually(lambda: not w.engine.made)


async def test_I7_an_engine_that_is_away_ends_nothing():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        for verb in ("look", "survey", "start", "stop"):
            w.engine.before[verb] = unavailable
        w.links.connected.clear()
        w.links.refuses = True
        w.reconciler.poke(one)
        await eventually(lambda: w.parts.memory.unknown.get(one))
        assert w.status(one) is S.RUNNING
        await w.stop(one)
        await w.becomes(one, S.TERMINATING)
        w.engine.before.clear()
        await w.becomes(one, S.TERMINATED)


async def test_another_engine_says_nothing_about_our_places():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        w.engine.engine_id, made = "another", w.engine.made
        w.engine.made = {}
        w.links.connected.clear()
        w.reconciler.poke(one)
        await eventually(lambda: "another engine" in w.parts.memory.unknown.get(one, ""))
        assert w.status(one) is S.RUNNING
        w.engine.engine_id, w.engine.made = "fake-engine", made
        await eventually(lambda: w.links.connected, timeout=5)


async def test_C2_removed_from_outside_is_noticed():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        w.engine.made.clear()
        await w.becomes(one, S.ERROR)
        assert "removed from outside" in w.store.get(one).failure


async def test_C3_paused_is_not_dead_and_can_be_destroyed():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        made = next(iter(w.engine.made.values()))
        made.paused, made.running = True, False
        w.links.connected.clear()
        w.reconciler.poke(one)
        await eventually(lambda: w.parts.memory.unknown.get(one))
        assert w.status(one) is S.RUNNING
        await w.stop(one)
        await w.becomes(one, S.TERMINATED)


async def test_a_dead_kernel_is_started_again_unless_somebody_else_does():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        place_id = w.store.get(one).place_id
        w.links.die(place_id, "Out of memory.")
        await eventually(lambda: w.store.get(one).observed_generation == 2)
        assert w.store.get(one).kernel_exit.reason == "Out of memory."
        w.parts.memory.keepers[one] = 1
        w.links.die(place_id, "Again.")
        await eventually(lambda: w.store.get(one).kernel_exit.reason == "Again.")
        await eventually(lambda: w.reconciler.is_idle)
        assert w.store.get(one).generation == 2


async def test_C9_a_kernel_that_keeps_dying_is_given_up():
    async with world() as w:
        w.reconciler.max_deaths = 2
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        place_id = w.store.get(one).place_id
        w.engine.kernel_becomes = "exited"
        w.links.die(place_id)
        await w.becomes(one, S.ERROR)
        assert "3 times in a row" in w.store.get(one).failure
        assert not w.engine.made


async def test_I5_what_is_not_provably_ours_is_never_touched():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        stranger = Place(id="stranger", engine_id="fake-engine")
        async for _ in w.engine.start(stranger, make_session().spec, b""):
            pass
        w.engine.made["stranger"].name = "somebody-elses"
        w.engine.made["stranger"].made_at = 0.0
        await w.reconciler.sweep()
        assert "stranger" in w.engine.made


async def test_P10_ours_but_unknown_to_the_store_is_left_alone_and_told():
    async with world() as w:
        place = Place(id="unknown", engine_id="fake-engine")
        async for _ in w.engine.start(place, make_session().spec, b""):
            pass
        w.links.refuses = True
        await w.reconciler.sweep()
        assert "unknown" in w.engine.made
        assert w.parts.memory.quarantine


async def test_I9_a_place_that_was_replaced_never_comes_back():
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        old = Place(id="old", engine_id="fake-engine", session_id=one, state=PlaceState.MADE)
        await w.store.save_place(old)
        async for _ in w.engine.start(old, make_session().spec, b""):
            pass
        await eventually(lambda: "old" not in w.engine.made)
        assert w.status(one) is S.RUNNING


@pytest.mark.parametrize("seed", range(30))
async def test_P2_random_trouble_loses_nothing_and_leaks_nothing(seed):
    """Crashes, lost replies, absences and deaths, in any order; then the invariants."""
    rng = random.Random(seed)
    async with world() as w:
        ids = []

        def flaky():
            if rng.random() < 0.3:
                unavailable()

        for verb in ("start", "stop", "look", "survey"):
            w.engine.before[verb] = flaky
            w.engine.after[verb] = flaky
        for _ in range(40):
            await _trouble(w, rng, ids)
            await asyncio.sleep(rng.random() * 0.003)
        w.engine.before.clear()
        w.engine.after.clear()
        await w.crash()
        await w.start()
        await _settled(w, ids)
        _check_invariants(w, ids)


async def _trouble(w, rng, ids):
    action = rng.choice(["create", "stop", "restart", "remove", "die", "crash"])
    one = rng.choice(ids) if ids else None
    place = rng.choice(list(w.engine.made)) if w.engine.made else None
    if action == "create" or one is None:
        ids.append(await w.create())
    elif action == "stop":
        await w.stop(one)
    elif action == "restart" and w.status(one) is S.RUNNING:
        await w.restart(w.store.get(one))
    elif action == "remove" and place:
        w.engine.made.pop(place)
    elif action == "die" and place:
        w.links.die(place)
    elif action == "crash":
        await w.crash()
        await w.start()


async def _settled(w, ids):
    def calm():
        rows = [w.store.get(one) for one in ids]
        return all(
            row.status.is_final
            or (
                row.status is S.RUNNING
                and row.observed_generation >= row.generation
                and row.goal is Goal.RUN
            )
            for row in rows
        )

    for _ in range(2):
        await w.reconciler.sweep()
        await eventually(lambda: w.reconciler.is_idle, timeout=20)
        await eventually(calm, timeout=20, what="all sessions settled")


def _check_invariants(w, ids):
    rows = {one: w.store.get(one) for one in ids}
    assert None not in rows.values(), "I1: an acknowledged session has no row"
    running = [row.place_id for row in rows.values() if row.status is S.RUNNING]
    assert sorted(running) == sorted(w.engine.made), "I2/I3: rows and places differ"
    assert not any(row.status.is_transitional for row in rows.values()), "I4"
    for row in rows.values():
        assert row.status is not S.RUNNING or row.goal is Goal.RUN


async def test_D5_a_start_that_finds_no_engine_for_long_is_given_up(monkeypatch):
    monkeypatch.setattr(Starter, "patience", 0.3)
    async with world() as w:
        w.engine.before["start"] = unavailable
        one = await w.create()
        await eventually(lambda: one in w.parts.memory.no_engine_since)
        assert w.status(one) is S.CREATING
        await w.becomes(one, S.ERROR)
        assert "The engine gave no answer to the start" in w.store.get(one).failure
        w.engine.before.clear()
        await w.becomes(await w.create(), S.RUNNING)


@pytest.mark.parametrize("refusal", ERRORS.values())
async def test_F10_an_agent_that_refuses_with_whatever_it_likes_is_ended(refusal, monkeypatch):
    async def refuse(_link):
        raise refusal("No.")

    monkeypatch.setattr(testing._FakeLink, "usage", refuse)
    async with world() as w:
        one = await w.create()
        await w.becomes(one, S.RUNNING)
        await w.stop(one)
        await w.becomes(one, S.TERMINATED)
        assert not w.engine.made


async def test_one_place_that_cannot_be_removed_keeps_the_sweep_from_no_other():
    async with world() as w:
        for name in ("first", "stuck", "last"):
            place = Place(id=name, engine_id="fake-engine", state=PlaceState.MADE)
            await w.store.save_place(place)
            async for _ in w.engine.start(place, make_session().spec, b""):
                pass
        stop = w.engine.stop

        async def refuse(place, grace):
            if place.id == "stuck":
                raise EngineError("It is stuck.")
            await stop(place, grace)

        w.engine.stop = refuse
        await eventually(lambda: set(w.engine.made) == {"stuck"})
        w.engine.stop = stop
        await eventually(lambda: not w.engine.made)
