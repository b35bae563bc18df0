"""`jupyter sessmgr purge`, with engines of the test: what it refuses, keeps, and leaves alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.cli import purge as command
from jupyter_sessmgr.cli.main import main
from jupyter_sessmgr.engines.docker.build import INPUTS_LABEL, NAME_LABEL, _is_own
from jupyter_sessmgr.engines.process.records import remove_tree
from jupyter_sessmgr.manager.installation import purging
from jupyter_sessmgr.manager.installation.belongings import recognise, sort_out
from jupyter_sessmgr.manager.installation.marks import Mark
from jupyter_sessmgr.manager.installation.statefolder import INSTALL_FILE, MASTER_FILE, StateFolder
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, StoreRefused
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.server import ROOT

ENGINE = "an.Engine"
#: What runs as another user, in a folder of theirs.
_LOCKED_UP = """
import os, shutil, sys
from pathlib import Path
from jupyter_sessmgr.engines.process.records import remove_tree
os.setuid(int(sys.argv[1]))
home, other = Path("home"), Path("other")
(home / "a" / "b").mkdir(parents=True)
other.mkdir()
(other / "file").touch()
(home / "a" / "b" / "link").symlink_to(other.resolve())
(home / "a" / "b").chmod(0)
(home / "a").chmod(0)
assert remove_tree(home) == []
assert not home.exists() and (other / "file").exists()
"""
INPUTS = {INPUTS_LABEL: "x"}


class Engine:
    """Has places; `stuck` ones cannot be ended, `slow` ones never are."""

    engine_id = "engine-1"

    def __init__(self, install_id, names, away=False):
        self.places = {
            name: SimpleNamespace(
                name=name, place_id=name, key=name, signed=True, install_id=install_id
            )
            for name in names
        }
        self.away = away

    async def survey(self):
        if self.away:
            raise EngineUnavailable("It is switched off.")
        return list(self.places.values())

    async def stop(self, place, grace):
        if place.id == "stuck":
            raise EngineError("It is stuck.")
        if place.id == "slow":
            await asyncio.sleep(3600)
        del self.places[place.id]

    async def close(self):
        pass


@pytest.fixture
def state(tmp_path):
    """A state folder as a server leaves it, with a home in it."""
    folder = tmp_path / "state"
    StateFolder(folder).open(lock=False)
    asyncio.run(_make_database(folder, StateFolder(folder).secrets()))
    (folder / "homes" / "one").mkdir(parents=True)
    (folder / "homes" / "one" / "notes").write_text("x")
    return folder


async def _make_database(folder, secrets):
    store = SqliteStore()
    await store.open(folder, secrets)
    await store.close()


@pytest.fixture
def run(state, monkeypatch, jp_environ, capsys):
    """Run the command on a folder; nothing but `engine` answers."""

    def run(*words, folder=state, engine=None):
        async def choose(name, *_args, **_options):
            if engine is None or name != ENGINE:
                raise EngineUnavailable("No such engine answers.")
            return engine

        monkeypatch.setattr(command, "choose_engine", choose)
        options = [
            f"--ComputeSessionManager.state_dir={folder}",
            f"--ComputeSessionManager.engine={ENGINE}",
        ]
        code = main(["purge", *words, *options])
        return code, capsys.readouterr()

    return run


def install_id(folder):
    return (folder / INSTALL_FILE).read_text().strip()


@pytest.mark.parametrize("words", [["--yes"], ["--yes", "--forced"]])
@pytest.mark.parametrize("spoil", ["no secret", "no id", "another id", "damaged", "shared"])
def test_what_is_no_state_folder_of_ours_is_left_alone(state, run, words, spoil):
    if spoil == "no secret":
        (state / MASTER_FILE).unlink()
    elif spoil == "no id":
        (state / INSTALL_FILE).unlink()
    elif spoil == "another id":
        (state / INSTALL_FILE).write_text("x/../..\n")
    elif spoil == "damaged":
        (state / MASTER_FILE).write_text("x\n")
    else:
        state.chmod(0o755)
    before = sorted(state.rglob("*"))
    code, said = run(*words)
    assert code == 1
    assert "Nothing was removed." in said.err
    assert sorted(state.rglob("*")) == before


def test_a_persons_folder_is_left_alone_and_not_written_to(tmp_path, run):
    folder = tmp_path / "ann"
    folder.mkdir(mode=0o700)
    (folder / "thesis.tex").write_text("x")
    assert run("--yes", "--forced", folder=folder)[0] == 1
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_with_an_empty_or_absent_folder_there_is_nothing_to_do(tmp_path, run):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        code, said = run("--yes", folder=tmp_path / name)
        assert (code, "nothing to remove" in said.err) == (0, True)


def test_only_what_we_made_is_removed(state, run):
    ours = ["sessions.db", "sessions.db-wal", "sessions.db.v1-backup", "key-pairs.json"]
    ours += [
        "sessions.db.corrupt-20260102T030405Z-2-shm",
        "leader.lock",
        f".{MASTER_FILE}.ab_1cd23",
    ]
    for name in ours[1:]:
        (state / name).touch()
    foreign = ["notes.txt", "sessions.db.mine", "homes.old"]
    for name in foreign:
        (state / name).touch()
    code, said = run("--yes", "--json")
    assert code == 0
    told = json.loads(said.out)
    assert told["removed"]
    assert {Path(one).name for one in told["foreign"]} == set(foreign)
    assert {path.name for path in state.iterdir()} == set(foreign)


def test_secrets_go_last(state):
    for name in ("leader.lock", "sessions.db", "sessions.db-wal", "aaa"):
        (state / name).touch()
    found = sort_out(state)
    names = [path.name for path in found.identity]
    assert names == ["sessions.db", "sessions.db-wal", INSTALL_FILE, MASTER_FILE, "leader.lock"]
    assert [path.name for path in found.contents] == ["homes"]


def test_the_folder_stays_when_a_session_could_not_be_ended(state, run, monkeypatch):
    monkeypatch.setattr(purging, "PLACE_DEADLINE", 0.05)
    engine = Engine(install_id(state), ["slow", "a", "stuck", "b"])
    code, said = run("--yes", "--json", engine=engine)
    assert code == 1
    assert set(engine.places) == {"slow", "stuck"}
    assert (state / MASTER_FILE).exists()
    told = json.loads(said.out)
    assert told["removed"] is False
    assert {"slow", "stuck"} <= set(" ".join(told["troubles"]).split())
    assert "The state folder stays." in said.err

    assert run("--yes", "--forced", engine=engine)[0] == 0
    assert not state.exists()


def test_the_mark_of_a_killed_tool_stays_until_its_engine_answers(state, run):
    Mark.make(state / "private", "0123456789", ENGINE).release()
    Mark.make(state / "private", "came-to-none").release()
    mark = state / "private" / "0123456789"
    for _ in range(2):
        code, said = run("--yes", engine=Engine("0123456789", ["left"], away=True))
        assert code == 1
        assert mark.name in said.err
        assert ENGINE in said.err
        assert mark.exists()
    engine = Engine("0123456789", ["left"])
    assert run("--yes", engine=engine)[0] == 0
    assert not engine.places
    assert not state.exists()


def test_a_cleared_mark_goes_although_another_session_stays(state, run):
    Mark.make(state / "private", "0123456789", ENGINE).release()
    engine = Engine("0123456789", ["left"])
    mine = Engine(install_id(state), ["stuck"])
    engine.places |= mine.places
    assert run("--yes", engine=engine)[0] == 1
    assert set(engine.places) == {"stuck"}
    assert not list((state / "private").iterdir())


def test_what_a_session_locked_up_is_removed_and_links_are_not_followed():
    with tempfile.TemporaryDirectory() as folder:
        user = 65534 if os.geteuid() == 0 else os.geteuid()  # somebody whom rights hold back
        os.chown(folder, user, -1)
        done = subprocess.run(
            [sys.executable, "-c", _LOCKED_UP, str(user)],
            cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path, monkeypatch):
    real = os.rmdir

    def rmdir(path, *, dir_fd=None):
        if os.fspath(path).endswith("held"):
            raise PermissionError(1, "Operation not permitted", path)
        real(path, dir_fd=dir_fd)

    for name in ("a", "held", "z"):
        (tmp_path / "home" / name / "x").mkdir(parents=True)
    monkeypatch.setattr(os, "rmdir", rmdir)
    assert remove_tree(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["held"]


def test_an_unfinished_folder_is_refused_by_name(state):
    (state / INSTALL_FILE).unlink()
    with pytest.raises(StoreRefused, match=f"no {INSTALL_FILE}"):
        recognise(StateFolder(state))


@pytest.mark.parametrize(
    ("name", "labels", "own"),
    [
        ("lab/x:1", {**INPUTS, NAME_LABEL: "lab/x:1"}, True),
        ("lab/x:1", {**INPUTS, NAME_LABEL: "localhost/lab/x:1"}, True),
        ("lab/y:1", {**INPUTS, NAME_LABEL: "lab/x:1"}, False),
        ("lab/x:1", INPUTS, False),
        ("jupyter-sessmgr/base:bookworm-0123abcd", {}, True),
        ("jupyter-sessmgr/base:mine", {}, False),
        ("jupyter-sessmgr/base:bookworm-0123abcd", INPUTS, False),
    ],
)
def test_an_image_is_ours_by_its_own_name(name, labels, own):
    assert _is_own(name, labels) is own
