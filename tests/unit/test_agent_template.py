"""Which kernels can be forked, and what is believed of a template."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from jupyter_sessmgr.agent import programs, template
from jupyter_sessmgr.agent.bootstrap import Finder
from jupyter_sessmgr.agent.template import Birth, Template, _launcher
from jupyter_sessmgr.manager.agents.boot import agent_sources

LAUNCH = ["-m", "ipykernel_launcher", "-f", "file"]
COMMANDS = [
    (["/usr/bin/python", *LAUNCH], 1),
    (["python3.11", *LAUNCH, "--log-level=10"], 1),
    (["python3", "-Xfrozen_modules=off", "-W", "ignore", "-sP", *LAUNCH], 5),
    (["/bin/env", "python", *LAUNCH], None),
    (["pythonw.sh", *LAUNCH], None),
    (["python", "-m", "bash_kernel", "-f", "file"], None),
    (["python", "script.py", *LAUNCH], None),
    (["python", "-c", "pass", *LAUNCH], None),
    (["python", "--check-hash-based-pycs", "never", *LAUNCH], None),
    (["python", "-W"], None),
    (["python", "-m"], None),
    (["python"], None),
]


@pytest.mark.parametrize(("argv", "at"), COMMANDS)
def test_only_ipykernel_started_by_python_itself_is_forked(argv, at):
    assert _launcher(argv) == at


@pytest.mark.parametrize("name", ["ending", "amends", "rehearsal", "needs", "stem", "spare"])
def test_what_runs_in_the_kernels_python_is_ascii(name):
    path = Path(template.__file__).with_name(f"{name}.py")
    assert path.read_bytes().isascii()


@pytest.fixture
def planted(monkeypatch):
    """Give a template and the other end of what it hears."""
    monkeypatch.setattr(programs, "_finder", lambda: Finder(zlib.compress(agent_sources()), {}))
    made = Template()
    _, handed = made.seed(["python", *LAUNCH])
    os.close(handed[0])
    with socket.socket(fileno=handed[1]) as end:
        yield made, end
    made.drop()


@pytest.mark.parametrize("words", [b"x", b"-1", b"0", b"1", b"1.5", b""])
def test_a_template_that_names_no_process_is_none(planted, words):
    made, end = planted
    assert made.processes == set()
    end.send(words) if words else end.close()
    assert made.processes == set()
    assert made.ask(["python", *LAUNCH], {}, "/", 1) is None


def test_a_template_is_asked_only_for_what_it_is_of(planted):
    made, end = planted
    with subprocess.Popen(["sleep", "60"]) as process:
        end.send(b"%d" % process.pid)
        assert made.processes == {process.pid}
        assert made.ask(["python", "-s", *LAUNCH], {}, "/", 1) is None
        assert made.ask(["python", "-m", "other"], {}, "/", 1) is None
        assert made.ask(["python", *LAUNCH], {"A": "ä\udcff"}, "/", 1).look() is None
        made.drop()
        assert process.wait(timeout=10) == -9


def test_a_kernel_that_comes_too_late_hears_that_nobody_waits(monkeypatch):
    monkeypatch.setattr(template, "DEADLINE", 0)
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setblocking(False)
    with its:
        assert Birth(mine).look() == 0
        with pytest.raises(BrokenPipeError):
            its.send(b"123")


def test_a_kernel_that_came_in_the_last_moment_is_taken(monkeypatch):
    monkeypatch.setattr(template, "DEADLINE", 0)
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setblocking(False)
    with its:
        its.send(b"123")
        assert Birth(mine).look() == 123


ADOPTED = """
import os, time
from jupyter_sessmgr.agent.reaper import Reaper

def child(code):
    return os.fork() or os._exit(code)

reaper, told = Reaper(), []
stranger = child(1)
while reaper.reap():
    time.sleep(0.01)
since = time.monotonic()
early, late = child(2), child(3)
os.waitid(os.P_PID, early, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, late, os.WEXITED | os.WNOWAIT)
reaper.reap()
reaper.adopt(stranger, told.append, since)
reaper.adopt(early, told.append, since)
reaper.adopt(late, told.append, since)
print(told)
"""


def test_a_child_of_somebody_else_may_end_before_it_is_adopted():
    """In a process of its own: a reaper collects every child, the suite's too."""
    run = [sys.executable, "-c", ADOPTED]
    assert subprocess.check_output(run, text=True, timeout=20) == "[2, 3]\n"
