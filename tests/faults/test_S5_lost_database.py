"""S4 and S5, the store's part: the file is damaged, empty or gone."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.stores import PLENTY, a_full_session, a_place, a_session, open_store


async def filled(folder, sessions=30):
    """Make a store of some pages; return its sessions, newest first."""
    async with open_store(folder) as store:
        added = [await store.add(a_session(tag="x" * 500), PLENTY) for _ in range(sessions)]
        await store.save_place(a_place())
    return added[::-1]


async def test_S5_a_store_that_was_ever_written_is_not_new(state_dir):
    async with open_store(state_dir) as store:
        assert store.opened.is_new
    async with open_store(state_dir) as store:
        assert store.opened.is_new, "opening alone writes no row"
        session = await store.add(a_session(), PLENTY)
        await store.save_facts(replace(session, status=SessionStatus.CANCELLED))
        await store.forget(session.id)
    async with open_store(state_dir) as store:
        assert not store.opened.is_new, "the rows are gone, but there were some"


async def test_S5_a_store_that_had_only_places_is_not_new(state_dir):
    async with open_store(state_dir) as store:
        place = a_place()
        await store.save_place(place)
        await store.forget_place(place.id)
    async with open_store(state_dir) as store:
        assert not store.opened.is_new


@pytest.mark.parametrize("how", ["deleted", "emptied"])
async def test_S5_an_empty_or_deleted_file_is_new_and_nothing_else(state_dir, how):
    await filled(state_dir)
    file = state_dir / "sessions.db"
    file.unlink() if how == "deleted" else file.write_bytes(b"")
    async with open_store(state_dir) as store:
        assert store.opened.is_new
        assert store.opened.corrupt_copy == ""
        assert list(store.sessions(live=False)) == []


def unlink(file, folder):
    file.unlink()


def truncate(file, folder):
    file.write_bytes(b"")


def truncate_with_journal(file, folder):
    file.write_bytes(b"")
    (folder / "sessions.db-wal").write_bytes(b"")


def replace_by_an_old_copy(file, folder):
    shutil.copy(folder / "old-copy", folder / "old-copy-2")
    (folder / "old-copy-2").replace(file)


@pytest.mark.parametrize(
    "lose",
    [unlink, truncate, truncate_with_journal, replace_by_an_old_copy],
    ids=lambda one: one.__name__,
)
async def test_S5_a_file_lost_under_a_running_store_is_written_anew(state_dir, lose, caplog):
    file = state_dir / "sessions.db"
    async with open_store(state_dir) as store:
        session = await store.add(a_full_session(status=SessionStatus.RUNNING), PLENTY)
        ended = await store.add(a_session(), PLENTY)
        await store.save_facts(replace(ended, status=SessionStatus.TERMINATED, ended_at=2e9))
        forgotten = await store.add(a_session(), PLENTY)
        await store.forget(forgotten.id)
        place = a_place()
        await store.save_place(place)
        shutil.copy(file, state_dir / "old-copy")
        lose(file, state_dir)
        session = await store.save_facts(replace(session, queries=77))
        assert "written anew from memory" in caplog.text
        known = list(store.sessions(live=False))
        assert len(known) == 2
    async with open_store(state_dir) as store:
        assert not store.opened.is_new
        assert store.opened.corrupt_copy == ""
        assert list(store.sessions(live=False)) == known
        assert store.get(session.id).queries == 77
        assert list(store.places()) == [place]
        assert (await store.add(a_session(), PLENTY)).number == forgotten.number + 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (state_dir / "sessions.db.new").exists()


#: Loses the file and is killed before the nth rename of the repair.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.plugins.stores import PLENTY, a_place, a_session, open_store

async def main(folder, lose, survived):
    async with open_store(folder) as store:
        for _ in range(3):
            await store.add(a_session(), PLENTY)
        file = folder / "sessions.db"
        file.unlink() if lose == "unlink" else file.write_bytes(b"")
        rename, done = Path.replace, []
        def replace(self, target):
            if len(done) == survived:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(target)
            return rename(self, target)
        Path.replace = replace
        await store.save_place(a_place())

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("lose", ["unlink", "truncate"])
async def test_S5_a_kill_while_the_file_is_written_anew_loses_nothing(tmp_path, lose):
    ended, survived = -signal.SIGKILL, 0
    while ended == -signal.SIGKILL:
        survived += 1
        folder = tmp_path / str(survived)
        folder.mkdir(mode=0o700)
        ended = run(sys.executable, "-c", KILLED, folder, lose, survived)
        async with open_store(folder) as store:
            assert [one.number for one in store.sessions()] == [3, 2, 1]
            assert len(store.places()) == (ended == 0)
            assert not (folder / "sessions.db.new").exists()
            assert (await store.add(a_session(), PLENTY)).number == 4
    assert ended == 0
    assert survived >= 3, "it was killed at least twice"


def run(*command):
    return subprocess.run([str(word) for word in command], check=False).returncode


async def test_S5_a_file_damaged_under_a_running_store_is_written_anew(state_dir, caplog):
    await filled(state_dir)
    file = state_dir / "sessions.db"
    async with open_store(state_dir) as store:
        known = list(store.sessions())
        with closing(sqlite3.connect(file)) as other:  # makes the store read the pages again
            other.execute("UPDATE sessions SET queries = 1 WHERE number = 1")
            other.commit()
        with file.open("r+b") as writing:
            writing.seek(4096)
            writing.write(b"\xff" * (file.stat().st_size - 4096))
        for session in known:
            await store.save_facts(replace(session, status_info="changed"))
        assert "written anew from memory" in caplog.text
        (copy,) = state_dir.glob("sessions.db.corrupt-*[0-9Z]")
        assert b"\xff" * 4096 in copy.read_bytes()
    async with open_store(state_dir) as store:
        assert [one.id for one in store.sessions()] == [one.id for one in known]
        assert {one.status_info for one in store.sessions()} == {"changed"}


def half(data):
    return data[: len(data) // 2 // 4096 * 4096]


def zeroed_header(data):
    return bytes(100) + data[100:]


def flipped_page(data):
    middle = len(data) // 2 // 4096 * 4096
    return (
        data[:middle]
        + bytes(255 - byte for byte in data[middle : middle + 4096])
        + data[middle + 4096 :]
    )


def text(data):
    return b"# my notes, written into the wrong file\n" * 200


def short_text(data):
    return b"notes"


@pytest.mark.parametrize(
    "damage", [half, zeroed_header, flipped_page, text, short_text], ids=lambda one: one.__name__
)
async def test_S4_a_damaged_file_is_moved_aside_and_reported(state_dir, damage, caplog):
    await filled(state_dir)
    file = state_dir / "sessions.db"
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    async with open_store(state_dir) as store:
        assert store.opened.is_new
        (copy,) = state_dir.glob("sessions.db.corrupt-*")
        assert store.opened.corrupt_copy == str(copy)
        assert copy.read_bytes() == damaged
        assert copy.stat().st_mode & 0o777 == 0o600
        assert str(copy) in caplog.text
        assert list(store.sessions(live=False)) == []
        session = await store.add(a_session(), PLENTY)
    async with open_store(state_dir) as store:
        assert store.opened.corrupt_copy == ""
        assert list(store.sessions()) == [session]


async def test_S4_a_second_damage_does_not_overwrite_the_first_copy(state_dir):
    for content in (b"first, not a database", b"second, not a database"):
        (state_dir / "sessions.db").write_bytes(content)
        async with open_store(state_dir):
            pass
    copies = {copy.read_bytes() for copy in state_dir.glob("sessions.db.corrupt-*")}
    assert copies == {b"first, not a database", b"second, not a database"}


async def test_S4_a_row_that_makes_no_sense_costs_only_itself(state_dir, caplog):
    known = await filled(state_dir, sessions=3)
    connection = sqlite3.connect(state_dir / "sessions.db")
    with connection:
        connection.execute("UPDATE sessions SET spec = '{' WHERE number = 2")
        connection.execute("UPDATE places SET state = 'LOST'")
    connection.close()
    async with open_store(state_dir) as store:
        assert not store.opened.is_new
        (copy,) = state_dir.glob("sessions.db.corrupt-*")
        assert store.opened.corrupt_copy == str(copy)
        assert copy.stat().st_mode & 0o777 == 0o600
        assert list(store.sessions()) == [known[0], known[2]]
        assert list(store.places()) == []
        assert known[1].id in caplog.text
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (3,)
    connection.close()
    async with open_store(state_dir) as store:
        assert store.opened.corrupt_copy == ""
        assert list(store.sessions()) == [known[0], known[2]]
