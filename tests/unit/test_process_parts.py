"""Environments, records and processes, each by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from traitlets import TraitError

from jupyter_sessmgr.engines.process import ProcessEngine, processes, records, spawn
from jupyter_sessmgr.engines.process.environments import Environments, with_user_packages
from jupyter_sessmgr.engines.process.processes import Process
from jupyter_sessmgr.engines.process.records import socket_folder
from jupyter_sessmgr.model.errors import EngineError, ImageNotFound
from jupyter_sessmgr.model.images import REFERENCE_IMAGE


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory):
    """Make an environment that has no ipykernel."""
    folder = tmp_path_factory.mktemp("venv") / "v"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def test_the_servers_own_environment_is_the_reference_image():
    environments = Environments({REFERENCE_IMAGE: sys.executable})
    image = environments.get(f"{REFERENCE_IMAGE}:latest").image()
    assert image == environments.get(REFERENCE_IMAGE).image()
    assert image.reference == f"{REFERENCE_IMAGE}:latest"
    assert image.runtime_path == sys.executable
    assert image.features == {"kernel"}
    assert image.digest.startswith("sha256:")
    assert [port.name for port in image.service_ports] == ["jupyter", "jupyterlab", "tensorboard"]


def test_an_environment_without_a_kernel_is_an_image_all_the_same(empty_venv):
    environments = Environments({"team/empty": str(empty_venv / "bin" / "python")})
    image = environments.get("team/empty").image()
    assert (image.features, image.service_ports) == (frozenset(), ())


def test_the_digest_changes_with_what_is_installed(empty_venv):
    environments = Environments({"team/empty": str(empty_venv / "bin" / "python")})
    before = environments.get("team/empty").image().digest
    assert environments.get("team/empty").image().digest == before
    (packages,) = empty_venv.glob("lib/python*/site-packages")
    (packages / "new-1.dist-info").mkdir()
    after = environments.get("team/empty").image().digest
    assert after != before


@pytest.mark.parametrize(
    ("python", "words"), [("/nowhere/python", "it is not there"), ("/bin/false", "it failed")]
)
def test_an_environment_that_does_not_work_says_why_within_a_second(python, words):
    before = time.monotonic()
    with pytest.raises(ImageNotFound, match=f"team/x.*{words}"):
        Environments({"team/x": python}).get("team/x")
    assert time.monotonic() - before < 1


def test_one_that_nobody_named_is_not_found():
    with pytest.raises(ImageNotFound, match="known: none"):
        Environments({}).get("team/x")


@pytest.mark.parametrize("environments", [{"Upper": "/bin/python"}, {"team/x": "python3"}])
def test_nonsense_is_refused_when_it_is_configured(environments):
    with pytest.raises(TraitError, match="environments"):
        ProcessEngine(environments=environments)


def test_what_an_environment_lies_in_is_not_shown(empty_venv):
    environment = Environments({"team/x": str(empty_venv / "bin" / "python")}).get("team/x")
    shown = environment.folders(())
    assert str(empty_venv) in shown
    assert sys.base_prefix in shown
    shown = environment.folders((str(empty_venv / "Documents"),))
    assert str(empty_venv) not in shown
    assert str(empty_venv / "bin") in shown
    assert str(empty_venv / "pyvenv.cfg") in shown


def test_a_virtual_environment_is_told_to_look_at_home():
    config = "home = /usr/bin\nInclude-System-Site-Packages = false\nversion = 3.11\n"
    assert with_user_packages(config).splitlines() == [
        "home = /usr/bin",
        "version = 3.11",
        "include-system-site-packages = true",
    ]


def test_socket_paths_fit_every_system(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    short = socket_folder(Path("/home/me/s/places"), "a" * 10, "b" * 20)
    assert short == Path("/home/me/s/places") / ("b" * 20) / "run"
    deep = Path("/home/" + "m" * 60) / "places"
    assert str(socket_folder(deep, "a" * 10, "b" * 20)).startswith("/tmp/sessmgr-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    moved = socket_folder(deep, "a" * 10, "b" * 20)
    assert moved == Path("/run/user/1000/sessmgr-aaaaaaaaaa") / ("b" * 20)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/" + "u" * 80)
    assert len(str(socket_folder(deep, "a" * 10, "b" * 20) / "agent.sock")) <= 103


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path, mode):
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(mode)
    with pytest.raises(EngineError, match="user alone"):
        records.make_socket_folder(tmp_path / "x" / "y")


@pytest.fixture(params=["proc", "ps"])
def way(request, monkeypatch):
    """Ask the system both ways: as on Linux, and as on systems without /proc."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "_has_proc", lambda: False)
    elif not Path("/proc/self/stat").exists():
        pytest.skip("no /proc here")
    return request.param


def test_a_process_is_known_by_number_and_start(way):
    child = subprocess.Popen(["sleep", "60"])
    try:
        seen = processes.sight(child.pid)
        assert (seen.parent, seen.paused, seen.ended) == (os.getpid(), False, False)
        assert processes.is_alive(seen.process)
        assert not processes.is_alive(Process(child.pid, "another time"))
        assert not processes.send(Process(child.pid, "another time"), 9)
        assert child.poll() is None
        assert processes.send(seen.process, 9)
        child.wait()
        assert processes.sight(child.pid) is None
        assert not processes.send(seen.process, 9)
    finally:
        child.kill()
        child.wait()


def test_a_process_that_ended_is_not_alive_though_it_has_a_number(way):
    child = subprocess.Popen(["true"])
    try:
        deadline = time.monotonic() + 5
        while not processes.sight(child.pid).ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not processes.is_alive(processes.sight(child.pid).process)
    finally:
        child.wait()


def test_descendants_are_found(way):
    child = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 61 & wait"], start_new_session=True)
    try:
        root = processes.sight(child.pid).process
        deadline = time.monotonic() + 5
        while len(processes.family([root])) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        family = processes.family([root])
        assert len(family) == 3
        assert root in family
        assert processes.family([Process(child.pid, "another time")]) == set()
        assert processes.myself() not in processes.family([processes.myself()])
    finally:
        os.killpg(child.pid, 9)
        child.wait()


def test_a_system_that_does_not_answer_says_nothing_of_processes(monkeypatch):
    monkeypatch.setattr(processes, "_has_proc", lambda: False)
    monkeypatch.setattr(processes, "_COMMAND_TIMEOUT", 0.0)
    with pytest.raises(OSError, match="no answer"):
        processes.sight(os.getpid())


@pytest.mark.parametrize(
    ("code", "signum"), [(-9, 9), (137, 9), (143, 15), (1, 0), (0, 0), (75, 0), (255, 0)]
)
def test_a_sandbox_tells_signals_as_shells_do(code, signum):
    assert spawn.signal_of(code) == signum
