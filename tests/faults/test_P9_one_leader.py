"""P9, the lock's part: of two servers on one state folder, one leads; its end frees the folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import Standby

#: Leads until its input ends; a child of it outlives it, as agents do.
LEADER = """
import subprocess, sys
from pathlib import Path
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import Standby
folder = StateFolder(Path(sys.argv[1]))
try:
    folder.open(note="http://127.0.0.1:8888/")
except Standby as error:
    print("standby", error.message, flush=True)
    sys.exit(0)
child = subprocess.Popen(["sleep", "60"], stdin=-1, stdout=-1, start_new_session=True)
print("leads", child.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def a_server(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    words = process.stdout.readline().split(maxsplit=1)
    try:
        yield process, *words
    finally:
        process.kill()
        process.communicate()
        if words[0] == "leads":
            os.kill(int(words[1]), signal.SIGKILL)


def test_P9_the_second_server_is_told_who_leads(state_dir):
    with a_server(state_dir) as (first, first_role, _):
        assert first_role == "leads"
        with a_server(state_dir) as (_, role, words):
            assert role == "standby"
            assert f"in use by process {first.pid}, http://127.0.0.1:8888/" in words
            assert "state_dir" in words


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_P9_a_leader_that_ends_frees_the_folder_though_its_children_live(state_dir, signum):
    with a_server(state_dir) as (first, _, child):
        with pytest.raises(Standby):
            StateFolder(state_dir).open()
        first.send_signal(signum)
        first.wait(timeout=10)
        os.kill(int(child), 0)
        folder = StateFolder(state_dir)
        folder.open()
        assert folder.holder().pid == os.getpid()
        folder.close()


def test_P9_of_many_at_once_one_leads(state_dir):
    folders = [StateFolder(state_dir) for _ in range(32)]

    def lead(folder):
        try:
            folder.open()
        except Standby:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        led = list(pool.map(lead, folders))
    assert sum(led) == 1
    names = {folder.secrets().install_id for folder in folders}
    assert len(names) == 1
    for folder in folders:
        folder.close()


def test_P9_a_new_secret_is_made_once_though_many_ask(state_dir):
    with ThreadPoolExecutor(16) as pool:
        names = set(pool.map(lambda _: StateFolder(state_dir).secrets().install_id, range(32)))
    assert len(names) == 1
