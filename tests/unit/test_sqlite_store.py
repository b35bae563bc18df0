"""What only the store that lasts promises: disk and memory say the same, whatever callers do."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.dbfile import connect, prepare
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.stores import (
    PLENTY,
    ReversingCipher,
    a_full_session,
    a_place,
    a_session,
    open_store,
)
from tests.plugins.waiting import eventually


def ids_on_disk(folder):
    with closing(sqlite3.connect(folder / "sessions.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM sessions ORDER BY number")]


def is_committing(store):
    """Tell whether the store's thread is at work, so that cancelling cannot prevent it."""
    writer = store._writer
    return writer._order.locked() and writer._thread._work_queue.empty()


def threads():
    return [one for one in threading.enumerate() if one.name.startswith("sessmgr-store")]


async def test_what_was_stored_is_there_after_a_restart(state_dir):
    async with open_store(state_dir) as store:
        session = await store.add(a_full_session(status=SessionStatus.RUNNING), PLENTY)
        session = await store.save_wish(replace(session, generation=3))
        place = a_place(session_id=session.id)
        await store.save_place(place)
    async with open_store(state_dir) as store:
        assert not store.opened.is_new
        assert list(store.sessions()) == [session]
        assert list(store.places()) == [place]
        assert store.find("ada", session.name) == session


def test_commits_are_durable_and_readers_are_not_in_the_way(state_dir):
    path = state_dir / "sessions.db"
    with closing(connect(path, 1.0)) as connection:
        assert prepare(connection, path)
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (1000,)


async def test_a_caller_cancelled_in_mid_commit_changes_disk_and_memory_alike(state_dir):
    async with open_store(state_dir) as store:
        before = await store.add(a_session(), PLENTY)
        with closing(sqlite3.connect(state_dir / "sessions.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            session, place = a_session(), a_place()
            calls = [
                asyncio.ensure_future(call)
                for call in (
                    store.add(session, PLENTY),
                    store.save_place(place),
                    store.save_wish(replace(before, tag="wished")),
                    store.save_facts(replace(before, queries=9)),
                )
            ]
            await eventually(lambda: is_committing(store))
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert all(call.cancelled() for call in calls)
            assert list(store.sessions()) == [before], "nothing is on disk yet"
            other.execute("ROLLBACK")
        after = await store.add(a_session(), PLENTY)
        listed = list(store.sessions())
        assert [one.id for one in listed] == [after.id, session.id, before.id]
        assert (listed[2].tag, listed[2].queries, listed[2].revision) == ("wished", 9, 3)
        assert list(store.places()) == [place]
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == listed
        assert list(store.places()) == [place]


async def test_a_cancelled_callers_error_is_nobodys(state_dir, caplog):
    async with open_store(state_dir) as store:
        await store.add(a_session(name="analysis"), PLENTY)
        call = asyncio.ensure_future(store.add(a_session(name="analysis"), PLENTY))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await store.add(a_session(), PLENTY)
    assert "never retrieved" not in caplog.text


async def test_closing_finishes_what_was_begun(state_dir):
    async with open_store(state_dir) as store:
        adding = [asyncio.ensure_future(store.add(a_session(), PLENTY)) for _ in range(10)]
        await asyncio.sleep(0)
        await store.close()
        added = await asyncio.gather(*adding)
        assert ids_on_disk(state_dir) == [one.id for one in added]
        assert not (state_dir / "sessions.db-wal").exists()
        with pytest.raises(StoreError, match="starting or shutting down"):
            await store.add(a_session(), PLENTY)
        await store.close()
        assert store.get(added[0].id) == added[0], "reads never fail"
    await eventually(lambda: not threads())


async def test_a_store_that_was_not_opened_says_so(state_dir):
    store = SqliteStore()
    with pytest.raises(StoreError, match="starting or shutting down"):
        await store.add(a_session(), PLENTY)
    assert list(store.sessions()) == []
    await store.close()


async def test_opening_that_fails_or_is_cancelled_leaves_no_thread_and_no_lock(state_dir):
    store = SqliteStore()
    with pytest.raises(StoreError):
        await store.open(state_dir / "missing", ReversingCipher())
    opening = asyncio.ensure_future(store.open(state_dir, ReversingCipher()))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    await eventually(lambda: not threads())
    with closing(sqlite3.connect(state_dir / "sessions.db", timeout=0)) as other:
        other.execute("BEGIN EXCLUSIVE")
    async with open_store(state_dir) as store:
        assert (await store.add(a_session(), PLENTY)).number == 1


async def test_sessions_that_ended_long_ago_leave_the_disk_too(state_dir):
    async with open_store(state_dir, keep_ended_most=2) as store:
        added = [await store.add(a_session(), PLENTY) for _ in range(5)]
        for n, one in enumerate(added):
            done = replace(one, status=SessionStatus.TERMINATED, ended_at=time.time() + n)
            await store.save_facts(done)
        assert ids_on_disk(state_dir) == [one.id for one in added[2:]]
    async with open_store(state_dir, keep_ended_most=1) as store:
        assert ids_on_disk(state_dir) == [added[4].id]
        assert [one.id for one in store.sessions(live=False)] == [added[4].id]


async def test_wishes_of_another_process_survive_our_facts(state_dir):
    async with open_store(state_dir) as store:
        session = await store.add(a_session(), PLENTY)
        with closing(sqlite3.connect(state_dir / "sessions.db")) as other:
            other.execute("UPDATE sessions SET goal = 'STOP', revision = revision + 1")
            other.commit()
        known = await store.save_facts(replace(session, status=SessionStatus.RUNNING))
        assert (known.goal, known.status, known.revision) == ("STOP", SessionStatus.RUNNING, 3)
        assert store.get(session.id) == known


async def test_the_installations_own_secrets_seal_the_rows(state_dir):
    secrets = InstallationSecrets(bytes(32), "here")
    async with open_store(state_dir, cipher=secrets) as store:
        session = await store.add(a_full_session(), PLENTY)
        assert not any("héllo".encode() in path.read_bytes() for path in state_dir.iterdir())
    async with open_store(state_dir, cipher=secrets) as store:
        assert store.get(session.id) == session
    with pytest.raises(StoreRefused, match="another installation"):
        async with open_store(state_dir, cipher=InstallationSecrets(bytes(31) + b"1", "here")):
            pass


async def test_secrets_and_sql_are_not_logged(state_dir, caplog):
    caplog.set_level(logging.DEBUG)
    async with open_store(state_dir) as store:
        await store.add(a_full_session(), PLENTY)
    assert "héllo" not in caplog.text
    assert "INSERT" not in caplog.text


def test_every_lookup_by_key_uses_an_index(state_dir):
    from jupyter_sessmgr.store.queries import load_queries

    path = state_dir / "sessions.db"
    with closing(connect(path, 1.0)) as connection:
        prepare(connection, path)
        for name in (
            "session",
            "live_name",
            "save_wish",
            "save_facts",
            "forget_session",
            "forget_place",
        ):
            sql = "EXPLAIN QUERY PLAN " + load_queries()[name]
            values = dict.fromkeys(a_full_session().__dataclass_fields__, "")
            plan = " ".join(row[3] for row in connection.execute(sql, values))
            assert "SEARCH" in plan, name
            assert "SCAN" not in plan, name
