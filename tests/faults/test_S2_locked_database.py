"""S2: another program holds the database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from tests.plugins.stores import PLENTY, a_session, open_store

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE" if sys.argv[2] == "write" else "BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder, how="write"):
    """Hold the database from another process; calling the result lets go of it."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder / "sessions.db", how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout.readline() == b"held\n"
        yield program.stdin.close
    finally:
        program.stdin.close()
        assert program.wait(timeout=30) == 0
        program.stdout.close()


async def test_S2_a_write_waits_twice_then_says_so_and_changes_nothing(state_dir):
    async with open_store(state_dir, lock_wait=0.15) as store:
        first = await store.add(a_session(), PLENTY)
        with held(state_dir):
            began = time.monotonic()
            with pytest.raises(StoreError, match="held by another program") as caught:
                await store.add(a_session(), PLENTY)
            assert 0.3 <= time.monotonic() - began < 5
            assert caught.value.retryable
            assert caught.value.data["reason"] == "locked"
            assert "sessions.db" in caught.value.message
            assert list(store.sessions()) == [first], "reads go on, and show what is on disk"
        second = await store.add(a_session(), PLENTY)
        assert list(store.sessions()) == [second, first]


async def test_S2_a_write_goes_through_when_the_other_lets_go_in_time(state_dir):
    async with open_store(state_dir, lock_wait=10.0) as store:
        with held(state_dir) as let_go:
            adding = asyncio.ensure_future(store.add(a_session(), PLENTY))
            done, _ = await asyncio.wait([adding], timeout=0.2)
            assert not done
            let_go()
            assert (await adding).number == 1


async def test_S2_the_loop_goes_on_while_a_write_waits(state_dir):
    async with open_store(state_dir, lock_wait=0.3) as store:
        with held(state_dir):
            adding = asyncio.ensure_future(store.add(a_session(), PLENTY))
            ticks = 0
            while not adding.done():
                await asyncio.sleep(0.01)
                ticks += 1
            assert ticks > 10
            assert isinstance(adding.exception(), StoreError)


async def test_S2_opening_a_held_file_is_no_damage(state_dir):
    async with open_store(state_dir) as store:
        first = await store.add(a_session(), PLENTY)
    with held(state_dir, "exclusive"):
        with pytest.raises(StoreError, match="held by another program") as caught:
            async with open_store(state_dir, lock_wait=0.1):
                pass
        assert not isinstance(caught.value, StoreRefused)
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == [first]
        assert not list(state_dir.glob("*corrupt*"))
