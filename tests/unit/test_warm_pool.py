"""The warm pool in a whole manager, on an engine in memory."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from decimal import Decimal

import pytest
from traitlets.config import Config

from jupyter_sessmgr.engines.base import Capacity
from jupyter_sessmgr.manager.pool import pauses, warm
from jupyter_sessmgr.model.errors import AgentUnavailable, StoreError
from jupyter_sessmgr.model.images import Image
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine, unavailable
from tests.plugins.fakes import begun, fake_manager
from tests.plugins.waiting import eventually

EAGER = {"sizes": {FAKE_IMAGE: 1}, "refill_delay": 0.0, "min_free_memory": 0.0}
MIB = 2**20


@contextlib.asynccontextmanager
async def pooled(state_dir, *, queue=None, **traits):
    config = Config({"WarmPool": {**EAGER, **traits}, "StartQueue": queue or {}})
    async with fake_manager(state_dir, config=config) as manager:
        manager.links_there = manager._parts.links
        yield manager


async def spares(manager, count=1):
    """Wait until there are so many spares, and none on its way; return their places."""
    await eventually(
        lambda: manager.pool.counts() == {"ready": count, "booting": 0}, 10, what=f"{count} spares"
    )
    return [one for one in manager._parts.store.places() if is_free(one)]


def is_free(place):
    return place.pool_key and place.session_id is None and place.state is PlaceState.MADE


async def only(manager, *sessions):
    """Wait until the engine has the places of these sessions and nothing else."""
    wanted = {one.place_id for one in sessions}
    await eventually(lambda: set(manager.engine_there.made) == wanted, 10, what="only these")


async def test_a_fresh_server_has_none_and_the_first_start_makes_one(state_dir):
    async with pooled(state_dir) as manager:
        await manager._reconciler.sweep()
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        assert manager.pool.notes() == ()
        first = await begun(manager)
        (spare,) = await spares(manager)
        assert manager.pool.notes() == ("1 spare session is ready for the next start.",)
        assert manager.list("me") == [first]
        assert set(manager.engine_there.made) == {first.place_id, spare.id}


async def test_a_spare_is_used_once(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        second = await begun(manager)
        assert second.place_id == spare.id
        (other,) = await spares(manager)
        third = await begun(manager)
        assert spare.id != other.id == third.place_id
        assert (manager.pool.hits, dict(manager.pool.misses)) == (2, {"none": 1})


async def test_nothing_is_remembered_of_places_that_are_gone(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        await spares(manager)
        await begun(manager)
        memory = manager._parts.memory
        assert memory.settled
        for session in manager.list("me"):
            await manager.destroy(session.id)
        assert (memory.settled, memory.booted_at) == (set(), {})


async def test_two_starts_at_once_do_not_share_a_spare(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        both = await asyncio.gather(begun(manager), begun(manager))
        assert sum(one.place_id == spare.id for one in both) == 1
        assert len({one.place_id for one in both}) == 2


async def test_the_sweep_leaves_spares_alone(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        for _ in range(3):
            await manager._reconciler.sweep()
        assert spare.id in manager.engine_there.made
        assert await spares(manager) == [spare]
        assert manager._parts.memory.quarantine == {}


@pytest.mark.parametrize("sizes", [{FAKE_IMAGE: 0}, {}], ids=str)
async def test_without_a_size_there_is_none(state_dir, sizes):
    async with pooled(state_dir, sizes=sizes) as manager:
        session = await begun(manager)
        assert await manager.pool._look(manager.pool._ties) > 0
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        assert set(manager.engine_there.made) == {session.place_id}
        assert (manager.pool.hits, dict(manager.pool.misses)) == (0, {})


async def test_an_image_may_be_named_without_its_tag_and_have_several(state_dir):
    async with pooled(state_dir, sizes={"fake/python": 3}, refill_at_once=2) as manager:
        await begun(manager)
        assert len(await spares(manager, 3)) == 3


async def test_a_preset_has_its_own_size_and_the_default_one_the_usual(state_dir):
    async with pooled(state_dir, sizes={"small": 2}, default_size=1) as manager:
        presets = {"small": {"image": FAKE_IMAGE}, "usual": {"image": FAKE_IMAGE}}
        manager.admission.presets = presets
        manager.admission.default_preset = "usual"
        await begun(manager, preset="usual")
        await spares(manager, 1)
        await begun(manager, preset="small")
        await spares(manager, 3)


async def test_another_wish_is_a_miss_and_gets_what_it_asked_for(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        session = await begun(manager, environ={"GREETING": "hello"})
        assert session.place_id != spare.id
        assert manager.pool.misses["unlike"] == 1


async def test_what_is_asked_for_later_drains_the_spare_of_before(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (old,) = await spares(manager)
        await begun(manager, environ={"GREETING": "hello"})
        await eventually(lambda: old.id not in manager.engine_there.made)
        (new,) = await spares(manager)
        session = await begun(manager, environ={"GREETING": "hello"})
        assert session.place_id == new.id


async def test_another_image_of_the_same_name_drains(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (old,) = await spares(manager)
        there, built = manager.engine_there, Image(reference=FAKE_IMAGE, digest="sha256:new")

        async def image(_reference):
            await asyncio.sleep(0)
            return built

        there.image = image
        second = await begun(manager)
        assert second.place_id != old.id
        await eventually(lambda: old.id not in there.made)
        (new,) = await spares(manager)
        assert set(there.made) == {first.place_id, second.place_id, new.id}


async def test_an_image_that_is_gone_drains(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        await spares(manager)
        manager.engine_there.image = lambda _: FakeEngine.image(manager.engine_there, "gone/away")
        manager.pool._due.set()
        await only(manager, first)


async def test_other_settings_drain(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (old,) = await spares(manager)
        manager.engine_there.poll_interval = 7.0
        manager.pool._due.set()
        await eventually(lambda: old.id not in manager.engine_there.made)
        (new,) = await spares(manager)
        assert new.pool_key != old.pool_key


async def test_spares_are_handed_back_when_memory_is_short(state_dir, monkeypatch):
    free = 0.9
    monkeypatch.setattr(warm, "free_memory", lambda: free)
    async with pooled(state_dir, min_free_memory=0.2) as manager:
        first = await begun(manager)
        await spares(manager)
        free = 0.19
        manager.pool._due.set()
        await only(manager, first)
        free = 0.21  # not at once again: that would come and go
        assert await manager.pool._look(manager.pool._ties) > 0
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        free = 0.9
        manager.pool._due.set()
        await spares(manager)


async def has(manager, mem):
    async def capacity():
        await asyncio.sleep(0)
        return Capacity(cpu=Decimal(64), mem=mem * MIB)

    manager.engine_there.capacity = capacity
    manager.queue._asked_at = None
    await manager.queue._ask_capacity(manager.engine_there)


async def test_a_spare_makes_no_session_wait_for_room(state_dir):
    async with pooled(state_dir, queue={"memory_overcommit": 1.0}) as manager:
        await has(manager, 300)
        asked = {"resources": {"mem": "100m"}}
        first = await begun(manager, **asked)
        (spare,) = await spares(manager)
        big = await begun(manager, resources={"mem": "200m"})
        assert big.status is SessionStatus.RUNNING
        assert not any("waits" in note.info for note in big.history)
        await only(manager, first, big)  # and the spare gave way
        assert spare.id not in manager.engine_there.made
        await manager.destroy(big.id)
        await spares(manager)


async def test_none_is_made_where_it_does_not_fit(state_dir):
    async with pooled(state_dir, queue={"memory_overcommit": 1.0}) as manager:
        await has(manager, 150)
        first = await begun(manager, resources={"mem": "100m"})
        assert await manager.pool._look(manager.pool._ties) > 0
        await only(manager, first)
        assert manager.pool.counts() == {"ready": 0, "booting": 0}


async def test_none_is_made_while_a_start_waits(state_dir):
    async with pooled(state_dir) as manager:
        manager.engine_there.kernel_becomes = "starting"
        session, _ = await manager.create(CreateRequest(image=FAKE_IMAGE, kernel="python3"), "me")
        await eventually(lambda: manager.engine_there.made)
        for _ in range(3):
            await manager.pool._look(manager.pool._ties)
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        manager.engine_there.kernel_becomes = "bound"
        (place_id,) = manager.engine_there.made
        manager.links_there.tell(place_id, state="bound")
        await manager.settled(session.id, 10)
        await spares(manager)


async def test_the_machine_is_left_alone_for_a_moment_after_a_start(state_dir):
    async with pooled(state_dir, refill_delay=3600.0) as manager:
        first = await begun(manager)
        assert await manager.pool._look(manager.pool._ties) > 3500
        await only(manager, first)


async def test_a_start_waits_for_a_spare_of_its_kind_that_is_almost_there(state_dir):
    async with pooled(state_dir) as manager:
        there = manager.engine_there
        await begun(manager)
        (spare,) = await spares(manager)
        there.kernel_becomes = "starting"
        await begun(manager)
        (coming,) = await eventually(
            lambda: [one for one in there.made.values() if one.kernel.state == "starting"]
        )
        asked = asyncio.create_task(begun(manager))
        await eventually(lambda: len(manager.list("me")) == 3)
        there.kernel_becomes = "bound"
        manager.links_there.tell(coming.place.id, state="bound")
        session = await asked
        assert session.place_id == coming.place.id != spare.id


async def test_a_spare_killed_by_hand_is_told_and_the_next_start_is_cold(state_dir, caplog):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager.pool.refill_delay = 3600.0
        del manager.engine_there.made[spare.id]
        second = await begun(manager)  # nobody had noticed yet
        assert second.place_id not in {spare.id, first.place_id}
        assert manager.pool.misses["lost"] == 1
        manager._role.place_changed(spare.id)
        await eventually(lambda: manager._parts.store.place(spare.id).state is PlaceState.DOOMED)
        assert "is gone: it was removed from outside" in caplog.text
        await only(manager, first, second)


@pytest.mark.parametrize("changes", [{"state": "exited"}, {"generation": 2}], ids=str)
async def test_a_spare_whose_kernel_is_not_fresh_is_removed(state_dir, changes):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager.links_there.tell(spare.id, **changes)
        await only(manager, first)
        assert not manager.pool._ties.stock.pauses.is_over(spare.pool_key), (
            "it is not tried at once"
        )


async def test_a_spare_that_dies_while_it_is_claimed_costs_a_cold_start(state_dir, caplog):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        claim = manager._parts.store.claim

        async def and_dies(session, place):
            saved = await claim(session, place)
            del manager.engine_there.made[place.id]
            return saved

        manager._parts.store.claim = and_dies
        second = await begun(manager)
        assert second.status is SessionStatus.RUNNING
        assert second.place_id != spare.id
        manager.pool.refill_delay = 3600.0
        assert {first.place_id, second.place_id} <= set(manager.engine_there.made)


async def test_a_spare_that_does_not_become_personal_costs_a_cold_start(state_dir, caplog):
    def refuse():
        raise AgentUnavailable("The agent does not answer.")

    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        manager.links_there.before["set_claim"] = refuse
        second = await begun(manager)
        assert second.place_id != spare.id
        assert "does not take the spare" in caplog.text
        await eventually(lambda: spare.id not in manager.engine_there.made)


async def test_a_claim_that_cannot_be_written_leaves_no_spare_behind(state_dir):
    async with pooled(state_dir) as manager:
        await begun(manager)
        (spare,) = await spares(manager)
        claim, manager._parts.store.claim = manager._parts.store.claim, full
        second = await begun(manager)
        manager._parts.store.claim = claim
        assert second.place_id != spare.id
        await eventually(lambda: spare.id not in manager.engine_there.made)


async def full(_session, _place):
    await asyncio.sleep(0)
    raise StoreError("The disk is full.")


async def test_a_session_that_was_stopped_meanwhile_gets_none(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        await spares(manager)
        claim = manager._parts.store.claim

        async def too_late(session, place):
            await manager._open_wishes().stop(session)
            return await claim(session, place)

        manager._parts.store.claim = too_late
        session, _ = await manager.create(CreateRequest(image=FAKE_IMAGE, kernel="python3"), "me")
        settled = await manager.settled(session.id, 10)
        manager._parts.store.claim = claim
        assert settled.status in {SessionStatus.CANCELLED, SessionStatus.TERMINATED}
        (other,) = await spares(manager)
        await only(manager, first, replace(first, place_id=other.id))


async def test_one_that_cannot_be_made_leaves_nothing_and_is_tried_later(state_dir, caplog):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager.engine_there.after["start"] = unavailable
        manager.pool._ties.stock.hand_back([spare.id], "a test")
        manager.pool._due.set()
        await eventually(lambda: "Next try in 10 s" in caplog.text)
        await only(manager, first)
        await manager.pool._look(manager.pool._ties)
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        assert caplog.text.count("No spare session of") == 1


async def test_one_whose_kernel_never_starts_is_removed(state_dir, caplog, monkeypatch):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager.engine_there.kernel_becomes = "failed"
        manager.pool._ties.stock.hand_back([spare.id], "a test")
        manager.pool._due.set()
        await eventually(lambda: "No spare session of" in caplog.text)
        await only(manager, first)
        manager.engine_there.kernel_becomes = "bound"
        monkeypatch.setattr(pauses, "FIRST", 0.0)
        manager.pool._ties.stock.pauses._until.clear()
        manager.pool._due.set()
        await spares(manager)


async def test_a_server_that_stops_takes_its_spares_along(state_dir):
    async with pooled(state_dir, sizes={FAKE_IMAGE: 2}) as manager:
        first = await begun(manager)
        await spares(manager, 2)
        await manager.pool.stop()
        assert set(manager.engine_there.made) == {first.place_id}
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        await manager.pool.stop()  # harmless


async def test_one_that_is_being_made_when_the_server_stops_is_removed(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager.engine_there.kernel_becomes = "starting"
        manager.pool._ties.stock.hand_back([spare.id], "a test")
        manager.pool._due.set()
        await eventually(lambda: manager.pool.counts()["booting"] == 1)
        await eventually(lambda: len(manager.engine_there.made) == 2)
        await manager.pool.stop()
        assert set(manager.engine_there.made) == {first.place_id}


async def test_a_spare_without_a_row_is_removed_as_nobodys(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        (spare,) = await spares(manager)
        manager._parts.memory.kept.discard(spare.id)
        del manager.pool._ties.stock._ready[spare.id]
        manager.pool.refill_delay = 3600.0
        await manager._parts.store.forget_place(spare.id)
        await manager._reconciler.sweep()
        await only(manager, first)
        assert manager.list("me") == [first]


async def test_spares_are_not_what_doors_list_or_count(state_dir):
    async with pooled(state_dir) as manager:
        first = await begun(manager)
        await spares(manager)
        assert [one.id for one in manager.list("me", live=False)] == [first.id]
        assert manager.list("") == []
        assert dict(manager.census()) == {SessionStatus.RUNNING: 1}
