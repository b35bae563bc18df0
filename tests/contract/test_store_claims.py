"""What every store promises of spares: one session gets one, whoever else reaches for either."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jupyter_sessmgr.model.errors import SessionNotFound
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.store.memory import MemoryStore
from tests.plugins.stores import PLENTY, STORES, a_place, a_session, open_store

S = SessionStatus


@pytest.fixture(params=STORES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


async def a_spare(store, **changes):
    fields = {"state": PlaceState.MADE, "key": "container", "pool_key": "fits"}
    place = a_place(**(fields | changes))
    await store.save_place(place)
    return place


def claimed(session, place):
    """Say what both rows are to be."""
    taken = replace(session, status=S.CREATING, place_id=place.id)
    return taken, replace(place, session_id=session.id)


async def test_a_claim_changes_both_rows_for_good(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        session, place = await store.add(a_session(), PLENTY), await a_spare(store)
        taken, given = claimed(session, place)
        saved = await store.claim(taken, given)
        assert saved == replace(taken, revision=session.revision + 1)
        assert store.get(session.id) == saved
        assert store.place(place.id) == given
        await store.close()
        if cls is not MemoryStore:
            async with open_store(state_dir, cls) as again:
                assert again.get(session.id) == saved
                assert again.place(place.id) == given


async def test_of_many_claims_of_one_spare_one_wins(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        place = await a_spare(store)
        rivals = [await store.add(a_session(), PLENTY) for _ in range(8)]
        answers = await asyncio.gather(*(store.claim(*claimed(one, place)) for one in rivals))
        (winner,) = [one for one in answers if one is not None]
        assert store.place(place.id).session_id == winner.id
        assert [one.id for one in store.sessions() if one.place_id] == [winner.id]
        losers = [one for one in rivals if one.id != winner.id]
        assert [store.get(one.id) for one in losers] == losers


async def test_one_session_gets_one_spare(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        session = await store.add(a_session(), PLENTY)
        spares = [await a_spare(store) for _ in range(4)]
        answers = await asyncio.gather(*(store.claim(*claimed(session, one)) for one in spares))
        assert sum(one is not None for one in answers) == 1
        assert sum(one.session_id is not None for one in store.places()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"state": PlaceState.INTENDED},
        {"state": PlaceState.DOOMED},
        {"session_id": "another"},
        {"pool_key": ""},
    ],
    ids=str,
)
async def test_what_is_no_spare_cannot_be_claimed(cls, state_dir, changes):
    async with open_store(state_dir, cls) as store:
        session, place = await store.add(a_session(), PLENTY), await a_spare(store, **changes)
        taken, given = claimed(session, replace(place, state=PlaceState.MADE, pool_key="fits"))
        assert await store.claim(taken, given) is None
        assert store.get(session.id) == session
        assert store.place(place.id) == place


async def test_a_place_that_is_gone_cannot_be_claimed(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        session, place = await store.add(a_session(), PLENTY), await a_spare(store)
        await store.forget_place(place.id)
        assert await store.claim(*claimed(session, place)) is None
        assert store.place(place.id) is None
        assert store.get(session.id) == session


async def test_a_session_that_is_to_end_gets_nothing(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        place = await a_spare(store)
        stopped = await store.add(a_session(), PLENTY)
        taken, given = claimed(stopped, place)
        stopped = await store.save_wish(replace(stopped, goal=Goal.STOP))
        assert await store.claim(taken, given) is None
        failed = await store.add(a_session(), PLENTY)
        failed = await store.save_facts(replace(failed, failure="no"))
        assert await store.claim(*claimed(failed, place)) is None
        over = await store.add(a_session(), PLENTY)
        over = await store.save_facts(replace(over, status=S.CANCELLED))
        assert await store.claim(*claimed(over, place)) is None
        assert store.place(place.id) == place


async def test_a_session_without_a_row_gets_nothing(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        place = await a_spare(store)
        with pytest.raises(SessionNotFound):
            await store.claim(*claimed(a_session(), place))
        assert store.place(place.id) == place
