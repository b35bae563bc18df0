"""The queue around the order: rows in, starts and news out; on an engine in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest

from jupyter_sessmgr.engines.base import Capabilities, Capacity
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.queue.order import MostRunning, Room
from jupyter_sessmgr.manager.queue.room import check_fits, room_of
from jupyter_sessmgr.model.errors import EngineUnavailable, LimitExceeded
from jupyter_sessmgr.model.events import StartProgressed
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.testing import FAKE_IMAGE, unavailable
from tests.plugins.waiting import eventually
from tests.plugins.worlds import world

S = SessionStatus
GIB = 2**30
HAS = Capacity(cpu=Decimal(4), mem=8 * GIB, devices=MappingProxyType({"cuda.device": 1}))


def spec(mem):
    return SessionSpec(image=FAKE_IMAGE, resources=Resources(mem=mem * GIB))


def news_of(w, session_id):
    return [
        event.info
        for event in w.statuses
        if isinstance(event, StartProgressed)
        and event.phase == "queued"
        and event.session.id == session_id
    ]


def small_host(w):
    async def capacity():
        await asyncio.sleep(0)
        return HAS

    w.engine.capacity = capacity


def line(w, *ids):
    return [place.position if (place := w.queue.place_of(one)) else None for one in ids]


async def test_a_full_host_makes_sessions_wait_with_a_place_and_a_reason():
    async with world(StartQueue(memory_overcommit=1.0, max_starting_at_once=1)) as w:
        small_host(w)
        w.queue._asked_at = None
        big = await w.create(spec=spec(6))
        await w.becomes(big, S.RUNNING)
        waits, small, third = [await w.create(spec=spec(n)) for n in (4, 2, 3)]
        await w.becomes(small, S.RUNNING)
        await eventually(lambda: line(w, waits, third) == [1, 2])
        assert w.status(waits) is S.PENDING
        place = w.queue.place_of(waits)
        assert place.reason == "waits for 4 GiB of memory; 0 bytes are free"
        assert place.since == w.store.get(waits).created_at
        assert news_of(w, waits)[-1] == f"{place.reason} (position 1)"
        assert w.queue.notes() == (f"2 sessions wait to be started; the first {place.reason}.",)
        await w.stop(big)
        await w.becomes(waits, S.RUNNING)
        await eventually(lambda: line(w, waits, third) == [None, 1])
        assert news_of(w, third)[-1].endswith("(position 1)")
        await w.stop(waits)
        await w.becomes(third, S.RUNNING)
        assert w.queue.notes() == ()


async def test_a_session_that_waits_can_be_cancelled():
    async with world(StartQueue()) as w:
        w.most_running = MostRunning(server=0)
        one, other = [await w.create() for _ in range(2)]
        await eventually(lambda: line(w, one, other) == [1, 2])
        await w.stop(one)
        await w.becomes(one, S.CANCELLED)
        await eventually(lambda: line(w, one, other) == [None, 1])
        assert not w.engine.made


async def test_the_line_outlives_the_server():
    async with world(StartQueue()) as w:
        w.most_running = MostRunning(server=1)
        first = await w.create()
        await w.becomes(first, S.RUNNING)
        waiting = [await w.create(owner=owner) for owner in ("ada", "bob", "ada")]
        await eventually(lambda: line(w, *waiting) == [1, 2, 3])
        await w.crash()
        assert line(w, *waiting) == [None, None, None]
        w.queue = StartQueue()
        await w.start()
        await eventually(lambda: line(w, *waiting) == [1, 2, 3])
        for one, ends in zip(waiting, [first, *waiting], strict=False):
            await w.stop(ends)
            await w.becomes(one, S.RUNNING)


async def test_a_start_that_was_under_way_is_not_queued_again():
    async with world(StartQueue()) as w:
        w.engine.before["start"] = asyncio.Event().wait
        one = await w.create()
        await eventually(lambda: w.store.get(one).place_id)
        await w.crash()
        w.most_running = MostRunning(server=0)
        w.engine.before.clear()
        await w.start()
        await w.becomes(one, S.RUNNING)


async def test_so_many_start_at_once_and_no_more():
    async with world(StartQueue(max_starting_at_once=3)) as w:
        gate = asyncio.Event()
        w.engine.before["start"] = gate.wait
        ids = [await w.create() for _ in range(8)]
        await eventually(lambda: sum(bool(w.store.get(one).place_id) for one in ids) == 3)
        await eventually(lambda: line(w, *ids[3:]) == [1, 2, 3, 4, 5])
        assert "at most 3 start at once" in w.queue.place_of(ids[3]).reason
        gate.set()
        for one in ids:
            await w.becomes(one, S.RUNNING)


async def test_a_big_one_is_passed_but_not_for_ever():
    queue = StartQueue(memory_overcommit=1.0, reserve_after=0.05)
    async with world(queue) as w:
        small_host(w)
        w.queue._asked_at = None
        first = await w.create(spec=spec(4))
        await w.becomes(first, S.RUNNING)
        big = await w.create(spec=spec(8))
        await eventually(lambda: line(w, big) == [1])
        await asyncio.sleep(0.06)
        small = await w.create(spec=spec(1))
        await eventually(lambda: line(w, big, small) == [1, 2])
        assert "has waited for long" in w.queue.place_of(small).reason
        await w.stop(first)
        await w.becomes(big, S.RUNNING)
        assert w.status(small) is S.PENDING


async def test_nobody_is_let_in_while_the_engine_is_away():
    async with world(StartQueue()) as w:
        w.engine.before["survey"] = unavailable
        await eventually(lambda: w.queue._away)
        one = await w.create()
        await eventually(lambda: line(w, one) == [1])
        reason = w.queue.place_of(one).reason
        assert reason == "waits for the engine: The engine does not answer (as told)."
        w.engine.before.clear()
        await w.becomes(one, S.RUNNING)


async def test_a_host_of_unknown_size_holds_nobody_back():
    async with world(StartQueue(memory_overcommit=1.0)) as w:

        async def capacity():
            await asyncio.sleep(0)
            raise EngineUnavailable("not now")

        w.engine.capacity = capacity
        w.queue._asked_at = None
        one = await w.create(spec=spec(4096))
        await w.becomes(one, S.RUNNING)


async def test_what_would_wait_for_ever_is_refused():
    queue = StartQueue(memory_overcommit=2.0, cpu_overcommit=2.0)
    queue.check(Resources(mem=999 * GIB))  # not open: nothing is known
    async with world(queue) as w:
        small_host(w)
        w.queue._asked_at = None
        await w.becomes(await w.create(), S.RUNNING)
        queue.check(Resources(mem=16 * GIB, cpu=Decimal(4)))
        for needs, field, fits in (
            (Resources(mem=17 * GIB), "mem", "16 GiB"),
            (Resources(cpu=Decimal(5)), "cpu", "4"),
            (Resources(devices=MappingProxyType({"cuda.device": 2})), "cuda.device", "1"),
        ):
            with pytest.raises(LimitExceeded, match=f"at most {fits}") as caught:
                queue.check(needs)
            assert caught.value.data["field"] == field
            assert caught.value.data["fits"] == fits


HARD = Capabilities(images=True, hard_memory=True, hard_cpu=True)
ROOMS = [
    ("the usual, where limits hold", HARD, None, None, Room(cpu=Decimal(64), mem=32 * GIB)),
    ("no end where they do not", Capabilities(images=False), None, None, Room()),
    ("as told", Capabilities(images=False), 0.5, 1.5, Room(cpu=Decimal(2), mem=12 * GIB)),
    ("no end, as told", HARD, float("inf"), float("inf"), Room()),
]


@pytest.mark.parametrize(("_what", "can", "cpu", "mem", "room"), ROOMS, ids=lambda x: str(x)[:30])
def test_how_much_is_given_away(_what, can, cpu, mem, room):
    found = room_of(HAS, can, cpu_factor=cpu, mem_factor=mem)
    assert found == replace(room, devices=HAS.devices)


def test_an_engine_with_a_queue_of_its_own_needs_no_sums():
    can = replace(HARD, queues=True, hard_cpu=False)
    room = room_of(HAS, can, cpu_factor=1.0, mem_factor=1.0)
    assert room == Room()
    check_fits(Resources(mem=999 * GIB, cpu=Decimal(999)), HAS, can, room)
