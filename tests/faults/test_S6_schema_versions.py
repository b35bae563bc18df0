"""S6: another release's schema."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.store import dbfile
from jupyter_sessmgr.store.queries import Migration, load_migrations
from tests.plugins.stores import PLENTY, a_session, open_store

NEWEST = load_migrations()[-1].number
NEXT = NEWEST + 1
ADD_COLUMN = Migration(
    NEXT,
    f"""BEGIN IMMEDIATE;
    ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'green';
    PRAGMA user_version = {NEXT};
    COMMIT;""",
)


def ask(file, *statements):
    with closing(sqlite3.connect(file)) as connection:
        answers = [connection.execute(one).fetchall() for one in statements]
        connection.commit()
    return answers[-1]


async def test_S6_a_newer_schema_is_refused_and_left_as_it_is(state_dir):
    async with open_store(state_dir) as store:
        session = await store.add(a_session(), PLENTY)
    file = state_dir / "sessions.db"
    ask(file, f"PRAGMA user_version = {NEXT}")
    before = file.read_bytes()
    with pytest.raises(StoreRefused, match="newer release") as caught:
        async with open_store(state_dir):
            pass
    assert "Install that release again" in caught.value.message
    assert not caught.value.retryable
    assert file.read_bytes() == before
    assert [path.name for path in state_dir.iterdir()] == ["sessions.db"]
    ask(file, f"PRAGMA user_version = {NEWEST}")
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == [session]


async def test_S6_a_migration_runs_after_a_backup(state_dir, monkeypatch):
    async with open_store(state_dir) as store:
        session = await store.add(a_session(), PLENTY)
    monkeypatch.setattr(dbfile, "load_migrations", lambda: (*load_migrations(), ADD_COLUMN))
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == [session], "a column that rows do not know is ignored"
        assert not store.opened.is_new
    assert ask(state_dir / "sessions.db", "SELECT colour FROM sessions") == [("green",)]
    assert ask(state_dir / "sessions.db", "PRAGMA user_version") == [(NEXT,)]
    backup = state_dir / f"sessions.db.v{NEWEST}-backup"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert ask(backup, "PRAGMA user_version") == [(NEWEST,)]
    assert ask(backup, "SELECT id FROM sessions") == [(session.id,)]


async def test_S6_a_migration_that_fails_changes_nothing(state_dir, monkeypatch):
    async with open_store(state_dir) as store:
        session = await store.add(a_session(), PLENTY)
    broken = Migration(NEXT + 1, f"{ADD_COLUMN.script.split('COMMIT')[0]} SELECT nonsense; COMMIT;")
    monkeypatch.setattr(dbfile, "load_migrations", lambda: (*load_migrations(), ADD_COLUMN, broken))
    with pytest.raises(StoreError, match="could not be read or written"):
        async with open_store(state_dir):
            pass
    assert ask(state_dir / "sessions.db", "PRAGMA user_version") == [(NEXT,)], "each step is whole"
    monkeypatch.setattr(dbfile, "load_migrations", lambda: (*load_migrations(), ADD_COLUMN))
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == [session]


async def test_S6_the_backup_can_be_put_back(state_dir, monkeypatch):
    async with open_store(state_dir) as store:
        session = await store.add(a_session(), PLENTY)
    with monkeypatch.context() as newer:
        newer.setattr(dbfile, "load_migrations", lambda: (*load_migrations(), ADD_COLUMN))
        async with open_store(state_dir) as store:
            await store.add(a_session(), PLENTY)
    (state_dir / f"sessions.db.v{NEWEST}-backup").replace(state_dir / "sessions.db")
    async with open_store(state_dir) as store:
        assert list(store.sessions()) == [session]


@pytest.mark.parametrize("version", [0, NEWEST, NEXT])
async def test_S6_another_programs_database_is_refused_and_left_as_it_is(state_dir, version):
    file = state_dir / "sessions.db"
    ask(file, "CREATE TABLE sessions (mine TEXT)", f"PRAGMA user_version = {version}")
    before = file.read_bytes()
    with pytest.raises(StoreRefused, match="another program's database"):
        async with open_store(state_dir):
            pass
    assert file.read_bytes() == before


async def test_S6_the_schema_keeps_names_unique_by_itself(state_dir):
    async with open_store(state_dir) as store:
        await store.add(a_session(name="analysis"), PLENTY)
    path = state_dir / "sessions.db"
    names = [f'"{row[1]}"' for row in ask(path, "PRAGMA table_info(sessions)")]
    other = {'"number"': "NULL", '"id"': "'another id'", '"status"': "{status}"}
    values = ", ".join(other.get(name, name) for name in names)
    double = f"INSERT INTO sessions ({', '.join(names)}) SELECT {values} FROM sessions"
    with pytest.raises(sqlite3.IntegrityError, match=r"sessions\.owner, sessions\.name"):
        ask(path, double.format(status="'RUNNING'"))
    ask(path, double.format(status="'TERMINATED'"))
