"""The unit of examples/: what it says is valid, and what it promises holds."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import subprocess

import psutil
import pytest

from tests.plugins.notebooks import Notebook
from tests.plugins.processes import processes_of
from tests.plugins.server import ROOT

UNIT = ROOT / "examples" / "jupyter-sessmgr.service"
#: What systemd sends with each kind of ``KillMode``: to the main process, then to all others.
KILLS = {"process": (signal.SIGTERM, None), "mixed": (signal.SIGTERM, signal.SIGKILL)}


@pytest.fixture
def unit():
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser


def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    """But for the example's user and program, which are not here."""
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "CI must have systemd-analyze: scripts/test-needs.sh"
        pytest.skip("no systemd-analyze here: scripts/test-needs.sh")
    text = UNIT.read_text(encoding="utf-8")
    changed = text.replace("/opt/jupyter/bin/jupyter", "/bin/true").replace("docker.service", "")
    (tmp_path / UNIT.name).write_text(changed, encoding="utf-8")
    checking = ["systemd-analyze", "verify", "--man=no", f"./{UNIT.name}"]
    done = subprocess.run(checking, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (
        0,
        [],
    )
    (tmp_path / UNIT.name).write_text(changed.replace("KillMode=", "KilMode="), encoding="utf-8")
    done = subprocess.run(checking, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KilMode" in done.stderr  # it reads the file


def test_the_server_is_stopped_and_nothing_else(unit):
    service = unit["Service"]
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert not {"PrivateTmp", "RuntimeDirectory", "DynamicUser"} & set(service)
    program, command, *_ = shlex.split(service["ExecStart"])
    assert program.startswith("/")  # the main process is the server, not a shell before it
    assert command == "lab"


def family_of(server, session):
    """Everything that systemd would find in the unit: the server's processes and its sessions'."""
    place = next((server.state_dir / "places").iterdir()).name
    inside = {psutil.Process(pid) for pid in processes_of(place)}
    assert inside, session
    return inside


@pytest.mark.parametrize("mode", KILLS)
def test_sessions_of_the_process_engine_outlive_a_restart_by_the_unit(servers, unit, mode):
    """As systemd does it: by the kill mode that is there, and by one that would not do."""
    server = servers.start()
    session = server.create(name="long-work")["sessionId"]
    server.until(session, "RUNNING")
    with Notebook(server, session) as notebook:
        notebook.run("x = 41")
    inside = family_of(server, session)
    first, others = KILLS[mode]
    server.process.send_signal(first)
    server.process.wait(30)
    for process in inside if others else ():
        process.send_signal(others)
    psutil.wait_procs(inside if others else [], timeout=10)
    servers.again(server)
    if mode == unit["Service"]["KillMode"]:
        assert server.execute(session, "print(x + 1)") == "42\n"
        assert all(process.is_running() for process in inside)
    else:
        assert server.until(session, "TERMINATED", "ERROR")
