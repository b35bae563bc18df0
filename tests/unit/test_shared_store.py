"""Two servers on one database file: one leads, the other follows; each sees what the other writes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest

from jupyter_sessmgr.model.errors import LimitExceeded, NameTaken, StoreError, StoreRefused
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.store.merging import Use, with_facts, with_wishes
from jupyter_sessmgr.store.quota import Ceiling, Quota
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.stores import PLENTY, ReversingCipher, a_place, a_session, open_store

S = SessionStatus


@asynccontextmanager
async def both(folder):
    """Give the store of the server that leads, and of one that follows."""
    async with open_store(folder) as leader:
        follower = SqliteStore()
        await follower.open(folder, ReversingCipher(), leads=False)
        try:
            yield leader, follower
        finally:
            await follower.close()


async def test_each_takes_over_what_the_other_wrote_and_says_what_it_was(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await follower.add(a_session(), PLENTY)
        assert leader.get(made.id) is None
        (change,) = await leader.refresh()
        assert (change.before, change.after) == (None, made)
        running = await leader.save_facts(replace(made, status=S.RUNNING))
        place = a_place(session_id=made.id)
        await leader.save_place(place)
        (change,) = await follower.refresh()
        assert (change.before, change.after) == (made, running)
        assert follower.place(place.id) == place
        await leader.forget(made.id)
        await leader.forget_place(place.id)
        (change,) = await follower.refresh()
        assert (change.before, change.after) == (running, None)
        assert (follower.sessions(live=False), follower.places()) == ([], [])


async def test_own_writes_are_no_news(tmp_path):
    async with both(tmp_path) as (leader, follower):
        for store in (leader, follower):
            await store.refresh()
        made = await leader.add(a_session(), PLENTY)
        await leader.save_wish(replace(made, tag="mine"))
        assert await leader.refresh() == []
        assert len(await follower.refresh()) == 1
        assert await follower.refresh() == []


async def test_a_write_that_finds_anothers_change_still_tells_of_it(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(), PLENTY)
        await follower.refresh()
        await leader.save_facts(replace(made, status=S.RUNNING))
        wished = await follower.save_wish(replace(made, generation=2))
        assert (wished.status, wished.generation) == (S.RUNNING, 2)
        (change,) = await follower.refresh()
        assert (change.before.status, change.after.status) == (S.PENDING, S.RUNNING)
        saved = await leader.save_facts(replace(made, status=S.RUNNING, observed_generation=1))
        assert saved.generation == 2
        (change,) = await leader.refresh()
        assert (change.before.generation, change.after.generation) == (1, 2)


async def test_wishes_of_two_servers_are_joined(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(opened_ports=(1, 2)), PLENTY)
        await follower.refresh()
        await leader.save_wish(
            replace(made, goal=Goal.STOP, stop_reason="idle", opened_ports=(2, 3))
        )
        changes = {"goal": Goal.SUSPEND, "name": "other", "opened_ports": (1, 4)}
        now = await follower.save_wish(replace(made, **changes, stop_reason="asked"))
        assert (now.goal, now.stop_reason, now.name) == (Goal.STOP, "idle", "other")
        assert now.opened_ports == (3, 4)


def test_two_wishes_for_another_kernel_at_once_are_one():
    base = a_session(revision=4)
    stored = replace(base, generation=2, revision=5)
    assert with_wishes(stored, replace(base, generation=2), base).generation == 2
    assert with_wishes(stored, replace(base, tag="t"), base).generation == 2


def test_facts_keep_what_others_noted_of_the_use_meanwhile():
    base = a_session(queries=5, revision=4)
    stored = replace(base, queries=8, connected_at=1.0, last_active_at=9.0, revision=5)
    facts = with_facts(stored, replace(base, queries=6, connected_at=3.0, last_active_at=7.0), base)
    assert (facts.queries, facts.connected_at, facts.last_active_at) == (9, 1.0, 9.0)
    alone = replace(base, revision=4)
    assert with_facts(alone, replace(base, queries=6, last_active_at=None), base).queries == 6


async def test_use_is_added_by_whoever_saw_it(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(queries=2), PLENTY)
        await follower.refresh()
        await leader.add_use([Use(session_id=made.id, queries=1, first=5.0, last=5.0)])
        gone = Use(session_id=a_session().id, queries=1)
        await follower.add_use([Use(session_id=made.id, queries=4, first=6.0, last=9.0), gone])
        now = follower.get(made.id)
        assert (now.queries, now.connected_at, now.last_active_at) == (7, 5.0, 9.0)
        await leader.refresh()
        assert leader.get(made.id) == now


async def test_T8_of_two_servers_at_the_limit_exactly_one_is_let_in(tmp_path):
    async with both(tmp_path) as (leader, follower):
        quota = Quota(owner=Ceiling(sessions=3))
        for _ in range(2):
            await leader.add(a_session(), quota)
        tries = [store.add(a_session(), quota) for _ in range(10) for store in (leader, follower)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        refused = [one for one in ended if isinstance(one, LimitExceeded)]
        assert len(ended) - len(refused) == 1


async def test_a_name_is_unique_over_both_servers(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(name="one"), PLENTY)
        with pytest.raises(NameTaken) as refused:
            await follower.add(a_session(name="one"), PLENTY)
        assert refused.value.data["existingSessionId"] == made.id
        ended = await leader.save_facts(replace(made, status=S.TERMINATED, ended_at=2e9))
        again = await leader.add(a_session(name="one"), PLENTY)
        await follower.refresh()
        assert follower.find("ada", "one") == again
        assert follower.get(made.id) == ended


async def test_names_that_were_swapped_are_found_whatever_the_order(tmp_path):
    async with both(tmp_path) as (leader, follower):
        first = await leader.add(a_session(name="x"), PLENTY)
        second = await leader.add(a_session(name="z"), PLENTY)
        await follower.refresh()
        await leader.save_wish(replace(first, name="y"))
        await leader.save_wish(replace(second, name="x"))
        third = await leader.add(a_session(name="z"), PLENTY)
        await follower.refresh()
        found = [follower.find("ada", name).id for name in "yxz"]
        assert found == [first.id, second.id, third.id]


async def test_who_follows_makes_and_mends_nothing(tmp_path):
    follower = SqliteStore()
    with pytest.raises(StoreError, match="not there"):
        await follower.open(tmp_path, ReversingCipher(), leads=False)
    assert list(tmp_path.iterdir()) == []
    async with open_store(tmp_path) as leader:
        await leader.add(a_session(), PLENTY)
    file = tmp_path / "sessions.db"
    content = file.read_bytes()
    file.write_bytes(b"\0" * len(content))
    with pytest.raises(StoreError):
        await follower.open(tmp_path, ReversingCipher(), leads=False)
    assert [one.name for one in tmp_path.iterdir() if "corrupt" in one.name] == []


async def test_who_follows_refuses_another_schema_in_words(tmp_path):
    async with open_store(tmp_path):
        pass
    for version, words in ((99, "newer release"), (-1, "older release")):
        with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(StoreRefused, match=words):
            await SqliteStore().open(tmp_path, ReversingCipher(), leads=False)


async def test_who_follows_goes_on_with_the_file_that_the_leader_wrote_anew(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(), PLENTY)
        await follower.refresh()
        for file in tmp_path.glob("sessions.db*"):
            file.unlink()
        with pytest.raises(StoreError, match="the server that leads"):
            await follower.save_wish(replace(made, tag="lost"))
        with pytest.raises(StoreError, match="the server that leads"):
            await follower.refresh()
        saved = await leader.save_facts(replace(made, status=S.RUNNING))
        assert follower.get(made.id).status is S.PENDING
        await follower.refresh()
        assert follower.get(made.id) == saved
        wished = await follower.save_wish(replace(saved, tag="kept"))
        await leader.refresh()
        assert leader.get(made.id) == wished


async def test_who_takes_over_mends_and_tells_what_it_had_not_heard(tmp_path):
    async with both(tmp_path) as (leader, follower):
        made = await leader.add(a_session(), PLENTY)
        await follower.refresh()
        running = await leader.save_facts(replace(made, status=S.RUNNING))
        new = await leader.add(a_session(), PLENTY)
        await leader.close()
        assert not (await follower.lead()).is_new
        changes = await follower.refresh()
        assert [(one.before, one.after) for one in changes] == [(made, running), (None, new)]
        for file in tmp_path.glob("sessions.db*"):
            file.unlink()
        await follower.save_facts(replace(running, status_info="mended"))
        assert (tmp_path / "sessions.db").stat().st_size
