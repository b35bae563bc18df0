"""What a kernel's start depended on, and what is done ahead of its first cell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_sessmgr.agent.needs import Needs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a folder, the only one that Python searches."""
    (tmp_path / "known.py").write_text("x = 1")
    (tmp_path / "some.pth").write_text("# nothing")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


@pytest.fixture
def needs(folder):
    """Give what a start depended on that imported `known`, and looked for `missing`."""
    made = Needs()
    made._modules = str(folder / "known.py")
    made._related = "known\0missing"
    made.look()
    assert are_met(made)
    return made


def are_met(needs):
    return needs.are_met(dict(needs.before))


def install(folder, name, text="y = 2"):
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "met"),
    [
        ("unrelated.py", True),
        ("missing.py", False),
        ("known.so", False),
        ("known.py", False),
        ("some.pth", False),
        ("other.pth", False),
    ],
)
def test_what_is_installed_matters_where_a_start_would_find_it(needs, folder, name, met):
    install(folder, name)
    assert are_met(needs) is met
    assert are_met(needs) is met, "the second look says what the first said"


def test_what_came_and_went_again_does_not_matter(needs, folder):
    install(folder, "missing.py")
    (folder / "missing.py").unlink()
    assert are_met(needs)


def test_a_line_that_is_changed_in_place_matters(needs, folder):
    before = folder.stat().st_mtime_ns
    with (folder / "some.pth").open("a") as stream:
        stream.write("import os")
    assert folder.stat().st_mtime_ns == before, "or the folder's time says it"
    assert not are_met(needs)


def test_folders_are_listed_only_when_a_name_came_or_went(needs, folder, monkeypatch):
    listed = []
    plain = os.listdir

    def listdir(path):
        listed.append(path)
        return plain(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert are_met(needs)
    assert listed == []
    install(folder, "unrelated.py")
    assert are_met(needs)
    assert str(folder) + os.sep in listed


def test_a_folder_that_is_gone_matters(needs, folder):
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
    assert not are_met(needs)


#: Says what there is of a shell, threads and files after the rehearsals.
AFTER = """
import os, sys, tempfile, threading
from jupyter_sessmgr.agent.needs import _NEEDED
from jupyter_sessmgr.agent.rehearsal import REHEARSALS
for name in _NEEDED: __import__(name)
from IPython import get_ipython
from IPython.core import inputtransformer2
from IPython.core.interactiveshell import InteractiveShell
modules, environ = set(sys.modules), dict(os.environ)
for rehearse in REHEARSALS: rehearse()
assert not InteractiveShell.initialized() and get_ipython() is None
assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1
assert not set(sys.modules) - modules, set(sys.modules) - modules
assert dict(os.environ) == environ
assert not os.listdir(".") and not os.listdir(os.environ["TMPDIR"])
assert tempfile.tempdir == os.environ["TMPDIR"]
"""


def test_a_rehearsal_leaves_no_shell_thread_file_or_word(tmp_path):
    for name in ("here", "tmp"):
        (tmp_path / name).mkdir()
    environ = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "HOME": str(tmp_path)}
    environ["TMPDIR"] = str(tmp_path / "tmp")
    environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # as the template has it
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-c", AFTER],
        cwd=tmp_path / "here",
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "tmp"]
