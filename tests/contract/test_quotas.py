"""What every store counts when a session is added, and how it refuses."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest

from jupyter_sessmgr.model.errors import LimitExceeded, TooManyRequests
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.model.status import FINAL, SessionStatus
from jupyter_sessmgr.store.quota import Ceiling, Quota, count_alive
from tests.plugins.stores import PLENTY, STORES, a_session, open_store

S = SessionStatus
GIB = 2**30
SIZE = Resources(
    cpu=Decimal("1.3"), mem=2 * GIB, devices=MappingProxyType({"cuda.device": 2, "tpu": 1})
)
#: What room for one session of `SIZE` is called, and what three of them would need.
MEASURES = {
    "sessions": (2, 1, 0),
    "cpu": (Decimal("3.8"), "1.3", "1.2"),
    "mem": (5 * GIB, 2 * GIB, GIB),
    "devices": (8, 3, 2),
}


@pytest.fixture(params=STORES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def sized(**changes):
    spec = SessionSpec(image="jupyter-sessmgr/python:latest", resources=SIZE)
    return a_session(**({"spec": spec, "group": "physics"} | changes))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("whose", ["owner", "group", "server"])
async def test_E8_a_limit_counts_what_is_alive_and_whose_it_is(cls, state_dir, whose, measure):
    most, asked, fits = MEASURES[measure]
    quota = Quota(**{whose: Ceiling(**{measure: most})})
    async with open_store(state_dir, cls) as store:
        first = await store.add(sized(), quota)
        await store.add(sized(status=S.RUNNING), quota)
        with pytest.raises(LimitExceeded, match="allowed") as caught:
            await store.add(sized(), quota)
        told = caught.value.data
        assert (told["limit"], told["asked"], told["fits"]) == (
            f"{measure} per {whose}",
            asked,
            fits,
        )
        others = {
            "owner": {"owner": "bob"},
            "group": {"group": "chemistry"},
            "server": None,
        }[whose]
        if others is not None:
            await store.add(sized(**others), quota)
        await store.save_facts(replace(first, status=S.TERMINATED, ended_at=time.time()))
        await store.add(sized(), quota)


@pytest.mark.parametrize("whose", ["owner", "group", "server"])
async def test_T5_too_many_that_wait_are_told_to_come_back(cls, state_dir, whose):
    quota = Quota(**{whose: Ceiling(pending=1)})
    async with open_store(state_dir, cls) as store:
        await store.add(sized(status=S.RUNNING), quota)
        waiting = await store.add(sized(), quota)
        with pytest.raises(TooManyRequests, match="wait to be started, and 1 are allowed"):
            await store.add(sized(), quota)
        await store.save_facts(replace(waiting, status=S.CREATING))
        await store.add(sized(), quota)


async def test_what_needs_nothing_of_a_thing_is_not_refused_for_it(cls, state_dir):
    quota = Quota(owner=Ceiling(cpu=Decimal(1), devices=0))
    async with open_store(state_dir, cls) as store:
        with pytest.raises(LimitExceeded, match="ask for at most 1, or destroy one first"):
            await store.add(sized(), quota)
        await store.add(a_session(), quota)


async def test_sums_of_the_largest_numbers_do_not_break(cls, state_dir):
    spec = SessionSpec(image="x", resources=Resources(mem=2**63 - 1, cpu=Decimal(999_999)))
    async with open_store(state_dir, cls) as store:
        for _ in range(3):
            await store.add(a_session(spec=spec), PLENTY)
        with pytest.raises(LimitExceeded):
            await store.add(a_session(spec=spec), Quota(owner=Ceiling(mem=2**63 - 1)))


async def test_T8_of_50_that_race_for_the_last_free_slot_one_wins(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        quota = Quota(owner=Ceiling(sessions=5, mem=11 * GIB), server=Ceiling(sessions=6))
        for _ in range(4):
            await store.add(sized(), quota)
        results = await asyncio.gather(
            *(store.add(sized(), quota) for _ in range(50)), return_exceptions=True
        )
        assert sum(isinstance(one, LimitExceeded) for one in results) == 49
        assert len(store.sessions()) == 5
        alive = count_alive(sized(), store.sessions())
        assert (alive.owner.sessions, alive.owner.mem) == (5, 10 * GIB)


@pytest.mark.parametrize("status", sorted(FINAL))
async def test_what_ended_is_not_counted(cls, state_dir, status):
    async with open_store(state_dir, cls) as store:
        one = await store.add(sized(), PLENTY)
        await store.save_facts(replace(one, status=status, ended_at=time.time()))
        await store.add(sized(), Quota(server=Ceiling(sessions=1)))
