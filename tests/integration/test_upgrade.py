"""An upgrade with live sessions, from every schema that was released; and the way back."""

from __future__ import annotations

import asyncio
import re

import pytest

from jupyter_sessmgr.manager.keypairs import KeyPairs
from jupyter_sessmgr.model.errors import StoreRefused
from jupyter_sessmgr.store import dbfile
from jupyter_sessmgr.store.queries import load_migrations
from tests.faults.test_S6_schema_versions import ADD_COLUMN, NEWEST, NEXT, ask
from tests.fixtures.make_state import ENDED, FULL, HERE, restore
from tests.plugins.managers import managed, run_code, running, sweep_until

RELEASED = sorted(int(path.name.removeprefix("state-")) for path in HERE.glob("state-*"))
REMAKE = "the unreleased schema has changed: run python -m tests.fixtures.make_state"


def database(state):
    return {file: file.read_bytes() for file in state.glob("sessions.db*")}


def put_back(state, files):
    for file in state.glob("sessions.db*"):
        file.unlink()
    for file, content in files.items():
        file.write_bytes(content)
        file.chmod(0o600)


def test_the_newest_schema_has_its_state_folder():
    assert NEWEST in RELEASED
    (script,) = [one.script for one in load_migrations() if one.number == NEWEST]
    kept = (HERE / f"state-{NEWEST}" / "sessions.sql").read_text(encoding="utf-8")
    for table in re.findall(r"CREATE TABLE (\w+) \(.*?\n\);", script, re.DOTALL):
        assert table in kept
    columns = re.findall(r"^    \"?(\w+)\"?\s+(?:INTEGER|TEXT|REAL)\b", script, re.MULTILINE)
    assert [name for name in columns if name not in kept] == [], REMAKE


@pytest.mark.parametrize("schema", RELEASED)
async def test_a_state_folder_of_each_release_is_opened_with_live_sessions(tmp_path, schema):
    state = tmp_path / "s"
    restore(schema, state)
    before = database(state)
    async with managed(state, keep=True) as manager:
        live = await running(manager, name="through-the-upgrade")
        await run_code(manager.connection_info(live.id), "kept = 41")
    put_back(state, before)  # as the release before left it; the session goes on
    async with managed(state) as manager:
        old = {one.id: one for one in manager.list("ada", live=False)}
        assert old.keys() == {ENDED, FULL}, REMAKE
        assert old[FULL].spec.environ["GREETING"] == "héllo\n", "sealed values can be read"
        await sweep_until(manager, lambda: live.id in {one.id for one in manager.list("me")})
        _, said = await run_code(manager.connection_info(live.id), "print(kept + 1)")
        assert said == "42\n"
        (pair,) = await asyncio.to_thread(KeyPairs(state, manager.log).read)
        assert pair.owner == "ada"


async def test_an_upgrade_migrates_under_live_sessions_and_can_be_undone(tmp_path, monkeypatch):
    state = tmp_path / "s"
    async with managed(state, keep=True) as manager:
        live = await running(manager, name="through-both")
        await run_code(manager.connection_info(live.id), "kept = 41")
    with monkeypatch.context() as newer:
        newer.setattr(dbfile, "load_migrations", lambda: (*load_migrations(), ADD_COLUMN))
        async with managed(state, keep=True) as manager:
            assert [one.id for one in manager.list("me")] == [live.id]
            _, said = await run_code(manager.connection_info(live.id), "kept += 1; print(kept)")
            assert said == "42\n"
        assert ask(state / "sessions.db", "PRAGMA user_version") == [(NEXT,)]
    with pytest.raises(StoreRefused, match="newer release"):
        async with managed(state):
            pass
    backup = state / f"sessions.db.v{NEWEST}-backup"
    put_back(state, {state / "sessions.db": backup.read_bytes()})  # docs/how-to/upgrade.md
    async with managed(state) as manager:
        await sweep_until(manager, lambda: live.id in {one.id for one in manager.list("me")})
        _, said = await run_code(manager.connection_info(live.id), "print(kept)")
        assert said == "42\n"
