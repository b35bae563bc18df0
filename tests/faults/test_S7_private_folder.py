"""S7, the state folder's part: it is private, ours and writable, or it is refused with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import StoreRefused

OPEN = """
import os, sys
from pathlib import Path
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import StoreRefused
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
try:
    StateFolder(Path(sys.argv[1])).open()
except StoreRefused as error:
    print(error.message)
    sys.exit(3)
"""
#: Root may do everything, so an ordinary person tries.
PERSON = os.geteuid() or 65534


def open_as(folder):
    """Open a folder as an ordinary person."""
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(folder), str(PERSON)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def public():
    """Give a folder that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="sm-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o750, 0o705, 0o701])
def test_S7_a_folder_that_others_may_enter(state_dir, mode):
    state_dir.chmod(mode)
    with pytest.raises(StoreRefused) as caught:
        StateFolder(state_dir).open()
    assert f"chmod 700 {state_dir}" in caught.value.message
    assert list(state_dir.iterdir()) == []


def test_S7_a_folder_of_another_user():
    """The root folder is the superuser's; the superuser gets one of a person."""
    folder = Path(tempfile.mkdtemp(prefix="sm-"))
    os.chown(folder, PERSON, PERSON)
    try:
        tried = Path("/") if os.geteuid() else folder
        with pytest.raises(StoreRefused, match="belongs to user") as caught:
            StateFolder(tried).open()
    finally:
        folder.rmdir()
    assert "state_dir to a folder of your own" in caught.value.message


def test_S7_a_folder_that_may_not_be_written(public):
    folder = public / "state"
    folder.mkdir(0o500)
    os.chown(folder, PERSON, PERSON)
    result = open_as(folder)
    assert (result.returncode, result.stderr) == (3, "")
    assert f"cannot be written. Make it writable: chmod 700 {folder}" in result.stdout


def test_S7_a_folder_that_may_not_be_made(public):
    public.chmod(0o511)
    result = open_as(public / "not" / "mine")
    assert (result.returncode, result.stderr) == (3, "")
    assert "cannot be made (Permission denied)" in result.stdout
    assert "state_dir to a folder that you may write" in result.stdout


def test_S7_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreRefused, match="cannot be made"):
        StateFolder(tmp_path / "state").open()


def test_S7_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        folder = StateFolder(tmp_path / "state")
        folder.open()
        folder.secrets()
        modes = {path.stat().st_mode & 0o777 for path in folder.path.iterdir()}
        assert (folder.path.stat().st_mode & 0o777, modes) == (0o700, {0o600})
    finally:
        os.umask(before)
        folder.close()
