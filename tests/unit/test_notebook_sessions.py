"""The file of a server's notebook sessions: its own, private, whole; and who chose it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets.config import Config

from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.provisioning.notebooks import keep_notebook_sessions
from jupyter_sessmgr.store import notebooks
from jupyter_sessmgr.store.notebooks import NotebookFile

LOG = logging.getLogger("tests.notebooks")
ROW = "INSERT INTO session VALUES ('id', 'a.ipynb', '', 'notebook', 'kernel')"


def write(path, *statements):
    """Write as Jupyter does."""
    manager = SessionManager(database_filepath=str(path))
    for statement in statements:
        manager.cursor.execute(statement)
    rows = [tuple(row) for row in manager.cursor.execute("SELECT * FROM session")]
    manager.connection.close()
    return rows


def test_a_server_finds_its_rows_again(state_dir):
    first = NotebookFile.take(state_dir, "/notes", LOG)
    (row,) = write(first.path, ROW)
    first.close()
    again = NotebookFile.take(state_dir, "/notes", LOG)
    assert write(again.path) == [row]
    again.close()
    assert again.path.stat().st_mode & 0o777 == 0o600
    assert again.path.parent.stat().st_mode & 0o777 == 0o700


def test_servers_that_run_at_once_have_files_of_their_own(state_dir):
    held = [NotebookFile.take(state_dir, root, LOG) for root in ("/a", "/a", "/b")]
    assert len({one.path for one in held}) == 3
    held[0].close()
    assert NotebookFile.take(state_dir, "/a", LOG).path == held[0].path


def test_there_may_be_too_many_servers(state_dir, monkeypatch):
    monkeypatch.setattr(notebooks, "MOST_SERVERS", 2)
    held = [NotebookFile.take(state_dir, "/a", LOG) for _ in range(2)]
    with pytest.raises(StoreError, match="More than 2 servers"):
        NotebookFile.take(state_dir, "/a", LOG)
    assert len(held) == 2


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:4096] + bytes(255 - byte for byte in data[4096:])


@pytest.mark.parametrize(
    "damage",
    [half, flipped, lambda _: b"notes", lambda data: data[:16] + b"x" * 9000],
    ids=["half", "flipped", "text", "header"],
)
def test_a_damaged_file_is_moved_aside(state_dir, damage, caplog):
    held = NotebookFile.take(state_dir, "/a", LOG)
    write(held.path, *[ROW] * 500)
    held.close()
    damaged = damage(held.path.read_bytes())
    held.path.write_bytes(damaged)
    held = NotebookFile.take(state_dir, "/a", LOG)
    assert write(held.path) == []
    (copy,) = held.path.parent.glob("*.corrupt-*")
    assert copy.read_bytes() == damaged
    assert str(copy) in caplog.text


def test_a_file_of_another_kind_is_moved_aside(state_dir):
    held = NotebookFile.take(state_dir, "/a", LOG)
    held.close()
    with closing(sqlite3.connect(held.path)) as connection:
        connection.execute("CREATE TABLE session (mine)")
    held = NotebookFile.take(state_dir, "/a", LOG)
    assert len(write(held.path, ROW)) == 1


def test_an_emptied_file_is_a_new_one(state_dir):
    held = NotebookFile.take(state_dir, "/a", LOG)
    held.close()
    held.path.write_bytes(b"")
    assert write(NotebookFile.take(state_dir, "/a", LOG).path) == []
    assert not list(held.path.parent.glob("*.corrupt-*"))


def test_one_that_cannot_be_written_is_told(state_dir):
    (state_dir / notebooks.FOLDER).write_text("in the way")
    with pytest.raises(StoreError):
        NotebookFile.take(state_dir, "/a", LOG)


def a_server(tmp_path, **config):
    return ServerApp(config=Config(config), root_dir=str(tmp_path))


def test_a_server_keeps_its_notebook_sessions_where_nobody_chose(tmp_path, state_dir):
    server = a_server(tmp_path)
    held = keep_notebook_sessions(server, str(state_dir))
    manager = SessionManager(parent=server)
    assert manager.database_filepath == str(held.path)
    assert held.path.parent == state_dir / "notebooks"


@pytest.mark.parametrize("section", ["SessionManager", "GatewaySessionManager"])
def test_who_chose_a_place_keeps_it(tmp_path, state_dir, section):
    server = a_server(tmp_path, **{section: {"database_filepath": ":memory:"}})
    assert keep_notebook_sessions(server, str(state_dir)) is None
    assert not (state_dir / "notebooks").exists()


def test_without_a_folder_that_may_be_used_they_end_with_the_server(tmp_path, caplog):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    server = a_server(tmp_path)
    server.log.propagate = True
    assert keep_notebook_sessions(server, str(tmp_path / "open")) is None
    assert "end with this server" in caplog.text
    assert SessionManager(parent=server).database_filepath == ":memory:"
