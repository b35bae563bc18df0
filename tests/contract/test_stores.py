"""What every store promises."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NameTaken,
    SessionNotFound,
)
from jupyter_sessmgr.model.naming import new_session_id
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import FINAL, Goal, SessionStatus
from jupyter_sessmgr.store.quota import Ceiling, Quota
from tests.plugins.stores import (
    PLENTY,
    STORES,
    a_full_session,
    a_place,
    a_session,
    open_store,
)

S = SessionStatus


@pytest.fixture(params=STORES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


async def ended(store, session, status=S.TERMINATED, at=None):
    moment = time.time() if at is None else at
    return await store.save_facts(replace(session, status=status, ended_at=moment))


async def test_a_new_store_is_new_and_empty(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        assert store.opened.is_new
        assert store.opened.corrupt_copy == ""
        assert list(store.sessions(live=False)) == list(store.places()) == []
        assert store.get(new_session_id()) is None
        assert store.find("ada", "nothing") is None
        assert store.place("nothing") is None


async def test_add_numbers_a_session_and_gives_back_every_field(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        asked = a_full_session(status=S.RUNNING)
        stored = await store.add(asked, PLENTY)
        assert stored == replace(asked, number=1, revision=1)
        assert store.get(asked.id) == stored
        assert (await store.add(a_session(), PLENTY)).number == 2


async def test_numbers_are_never_used_again(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        first = await store.add(a_session(), PLENTY)
        await ended(store, first)
        await store.forget(first.id)
        assert store.get(first.id) is None
        assert store.find("ada", "1") is None
        assert (await store.add(a_session(), PLENTY)).number == 2


async def test_find_knows_live_names_then_ids_then_numbers(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        gone = await ended(store, await store.add(a_session(name="analysis"), PLENTY))
        live = await store.add(a_session(name="analysis"), PLENTY)
        named_like_a_number = await store.add(a_session(name="1"), PLENTY)
        assert store.find("ada", "analysis") == live
        assert store.find("ada", live.id) == live
        assert store.find("ada", "2") == live
        assert store.find("ada", gone.id) == gone
        assert store.find("ada", "1") == named_like_a_number
        assert store.find("ada", "1", name_last=True) == gone
        assert store.find("ada", "analysis", name_last=True) == live
        await ended(store, named_like_a_number)
        assert store.find("ada", "1") == gone


@pytest.mark.parametrize(
    "reference", ["analysi", "ANALYSIS", "01", "+1", "\uff11", " 1", "analysis ", ""]
)
async def test_find_takes_exact_matches_only(cls, state_dir, reference):
    async with open_store(state_dir, cls) as store:
        await store.add(a_session(name="analysis"), PLENTY)
        assert store.find("ada", reference) is None


async def test_foreign_sessions_look_absent(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        hers = await store.add(a_session(name="analysis"), PLENTY)
        for reference in ("analysis", hers.id, str(hers.number)):
            assert store.find("bob", reference) is None
        assert list(store.sessions(owner="bob")) == []
        his = await store.add(a_session(name="analysis", owner="bob"), PLENTY)
        assert store.find("bob", "analysis") == his
        assert store.find("ada", "analysis") == hers


async def test_sessions_are_listed_newest_first(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        added = [await store.add(a_session(created_at=9.0 - n), PLENTY) for n in range(4)]
        added[1] = await ended(store, added[1])
        added[0] = await store.save_wish(replace(added[0], tag="changed"))
        assert list(store.sessions(live=False)) == added[::-1]
        assert list(store.sessions()) == [added[3], added[2], added[0]]


async def numbered(store, count, owner="ada", statuses=(S.RUNNING, S.TERMINATED, S.ERROR)):
    """Add sessions whose statuses take turns; return them, newest first."""
    added = []
    for n in range(count):
        session = await store.add(a_session(owner=owner), PLENTY)
        added.append(await ended(store, session, statuses[n % len(statuses)]))
    return added[::-1]


async def test_pages_follow_each_other_without_gap_or_repeat(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        mine = await numbered(store, 8)
        await numbered(store, 2, owner="bob")
        seen, before = [], None
        while True:
            page = store.page("ada", SessionStatus, limit=3, before=before)
            assert page.total == 8
            seen += page.items
            before = page.next
            if before is None:
                break
        assert seen == mine
        assert store.page("nobody", SessionStatus, limit=3).total == 0


@pytest.mark.parametrize("offset", range(10))
@pytest.mark.parametrize("before", [None, 1, 5, 100])
async def test_a_page_is_what_a_slice_of_the_list_is(cls, state_dir, offset, before):
    async with open_store(state_dir, cls) as store:
        mine = [s for s in await numbered(store, 8) if s.status in {S.ERROR, S.TERMINATED}]
        rest = [s for s in mine if before is None or s.number < before][offset:]
        page = store.page("ada", FINAL, limit=2, before=before, offset=offset)
        assert page.items == tuple(rest[:2])
        assert page.total == len(mine)
        assert page.next == (rest[1].number if len(rest) > 2 else None)


async def test_a_page_shows_where_sessions_are_now(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        session = await store.add(a_session(), PLENTY)
        await store.add(a_session(), PLENTY)
        await store.save_wish(replace(session, tag="t"))
        session = await ended(store, session)
        assert store.page("ada", {S.TERMINATED}, limit=9).items == (session,)
        assert store.page("ada", {S.PENDING}, limit=9).total == 1
        await store.forget(session.id)
        assert store.page("ada", SessionStatus, limit=9).total == 1


async def test_a_live_name_is_taken(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        holder = await store.add(a_session(name="analysis"), PLENTY)
        with pytest.raises(NameTaken) as caught:
            await store.add(a_session(name="analysis"), PLENTY)
        assert caught.value.data["existingSessionId"] == holder.id
        await store.add(a_session(name="analysis", owner="bob"), PLENTY)
        await store.add(a_session(name="ANALYSIS"), PLENTY)


@pytest.mark.parametrize("final", sorted(FINAL))
async def test_a_final_status_frees_the_name(cls, state_dir, final):
    async with open_store(state_dir, cls) as store:
        first = await store.add(a_session(name="analysis"), PLENTY)
        await ended(store, first, final)
        again = await store.add(a_session(name="analysis"), PLENTY)
        assert store.find("ada", "analysis") == again


@pytest.mark.parametrize("status", sorted(set(SessionStatus) - FINAL))
async def test_no_other_status_frees_the_name(cls, state_dir, status):
    async with open_store(state_dir, cls) as store:
        first = await store.add(a_session(name="analysis"), PLENTY)
        await store.save_facts(replace(first, status=status))
        with pytest.raises(NameTaken):
            await store.add(a_session(name="analysis"), PLENTY)


async def test_an_id_serves_once(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        first = await ended(store, await store.add(a_session(), PLENTY))
        with pytest.raises(InvalidRequest, match="used before"):
            await store.add(a_session(id=first.id), PLENTY)
        assert store.get(first.id) == first


async def test_a_taken_name_is_said_before_a_quota(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        quota = Quota(owner=Ceiling(sessions=1))
        await store.add(a_session(name="analysis"), quota)
        with pytest.raises(NameTaken):
            await store.add(a_session(name="analysis"), quota)


async def test_wishes_and_facts_do_not_overwrite_each_other(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        old = await store.add(a_session(), PLENTY)
        wished = await store.save_wish(
            replace(old, goal=Goal.STOP, generation=5, forced=True, name="other", tag="t")
        )
        assert wished == replace(
            old, goal=Goal.STOP, generation=5, forced=True, name="other", tag="t", revision=2
        )
        known = await store.save_facts(replace(old, status=S.RUNNING, place_id="p", queries=3))
        assert known == replace(wished, status=S.RUNNING, place_id="p", queries=3, revision=3)
        again = await store.save_wish(replace(old, name="other", tag="new"))
        assert again == replace(
            known, goal=Goal.RUN, generation=1, forced=False, tag="new", revision=4
        )
        assert store.get(old.id) == again


async def test_what_is_fixed_stays_as_it_was_added(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        added = await store.add(a_session(), PLENTY)
        other = replace(
            a_full_session(), id=added.id, owner="bob", created_at=1.0, number=99, revision=99
        )
        known = await store.save_facts(other)
        assert known.endpoints == other.endpoints
        assert known.spec == added.spec
        names = ("owner", "domain", "group", "origin", "server_id", "created_at", "number")
        assert [getattr(known, name) for name in names] == [getattr(added, name) for name in names]
        assert known.revision == 2


async def test_a_rename_moves_the_name(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        first = await store.add(a_session(name="first"), PLENTY)
        second = await store.add(a_session(name="second"), PLENTY)
        with pytest.raises(NameTaken) as caught:
            await store.save_wish(replace(second, name="first"))
        assert caught.value.data["existingSessionId"] == first.id
        assert store.find("ada", "second") == second
        first = await store.save_wish(replace(first, name="third"))
        assert store.find("ada", "first") is None
        assert store.find("ada", "third") == first
        second = await store.save_wish(replace(second, name="first"))
        assert store.find("ada", "first") == second


async def test_changes_of_a_session_without_row_are_refused(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        for change in (store.save_wish, store.save_facts):
            with pytest.raises(SessionNotFound):
                await change(a_session())
        await store.forget(new_session_id())
        assert list(store.sessions(live=False)) == []


async def test_places_come_change_and_go(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        place, other = a_place(session_id=new_session_id()), a_place(key="k", image_digest="d")
        await store.save_place(place)
        await store.save_place(other)
        made = replace(place, key="container", state=PlaceState.MADE)
        await store.save_place(made)
        assert store.place(place.id) == made
        assert list(store.places()) == [made, other]
        await store.forget_place(place.id)
        await store.forget_place(place.id)
        assert store.place(place.id) is None
        assert list(store.places()) == [other]


async def test_T2_I6_of_32_concurrent_adds_of_one_name_one_wins(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        wanted = [a_session(name="analysis") for _ in range(32)]
        results = await asyncio.gather(
            *(store.add(session, PLENTY) for session in wanted), return_exceptions=True
        )
        (winner,) = [one for one in results if not isinstance(one, Exception)]
        losers = [one for one in results if isinstance(one, NameTaken)]
        assert len(losers) == 31
        assert {one.data["existingSessionId"] for one in losers} == {winner.id}
        assert list(store.sessions(live=False)) == [winner]
        assert winner.number == 1


async def test_sessions_that_ended_long_ago_are_forgotten(cls, state_dir):
    async with open_store(state_dir, cls, keep_ended_days=2.0, keep_ended_most=3) as store:
        now = time.time()
        added = [await store.add(a_session(), PLENTY) for _ in range(8)]
        old = await ended(store, added[0], at=now - 3 * 24 * 3600)
        assert store.get(old.id) == old, "what just ended can be looked up"
        kept = [await ended(store, one, at=now + n) for n, one in enumerate(added[1:6])]
        assert [one.id for one in store.sessions(live=False)] == [
            one.id for one in [*added[:5:-1], *kept[:0:-1]]
        ]
        assert store.get(kept[1].id) == kept[1]
        assert store.get(old.id) is None
        assert store.find("ada", str(old.number)) is None


async def test_S8_what_cannot_be_stored_is_refused_by_name(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        added = await store.add(a_session(), PLENTY)
        for field, value in [
            ("tag", "\ud800"),
            ("owner", "a\udfff"),
            ("group", "\ud800"),
            ("generation", 2**63),
            ("created_at", float("nan")),
            ("place_id", "\ud800"),
        ]:
            with pytest.raises(InvalidRequest) as caught:
                await store.add(a_session(**{field: value}), PLENTY)
            assert caught.value.data["field"] == field
        spec = replace(added.spec, environ={"KEY": "\ud800"})
        with pytest.raises(InvalidRequest, match="KEY"):
            await store.add(a_session(spec=spec), PLENTY)
        with pytest.raises(InvalidRequest):
            await store.save_wish(replace(added, tag="\ud800"))
        with pytest.raises(InvalidRequest):
            await store.save_place(a_place(key="\ud800"))
        assert list(store.sessions(live=False)) == [added]
        assert list(store.places()) == []


async def test_S8_what_a_session_reports_is_mended_instead(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        added = await store.add(a_session(), PLENTY)
        known = await store.save_facts(
            replace(
                added,
                status=S.RUNNING,
                log_tail="a\ud800b\0c",
                failure="\udfff",
                cpu_ms=2**70,
                queries=2**63 - 1,
                last_active_at=float("inf"),
            )
        )
        assert (known.log_tail, known.failure) == ("a?b\0c", "?")
        assert (known.cpu_ms, known.queries) == (2**63 - 1, 2**63 - 1)
        assert known.last_active_at is None
        assert known.status is S.RUNNING
        assert store.get(added.id) == known


async def test_texts_that_look_like_sql_are_texts(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        nasty = "'; DROP TABLE sessions; -- :id ?1 \" \0 %s"
        stored = await store.add(a_session(name=nasty, tag=nasty, owner=nasty), PLENTY)
        assert store.find(nasty, nasty) == stored
        assert (await store.save_facts(replace(stored, failure=nasty))).failure == nasty


async def test_a_caller_that_is_cancelled_leaves_memory_as_the_disk_is(cls, state_dir):
    async with open_store(state_dir, cls) as store:
        tasks = [asyncio.ensure_future(store.add(a_session(), PLENTY)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        last = await store.add(a_session(), PLENTY)
        listed = [one.number for one in store.sessions()]
        assert last.number in listed
        assert sorted(listed) == list(range(1, len(listed) + 1))
