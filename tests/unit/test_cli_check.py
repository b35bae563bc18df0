"""What `check` says of each thing that can be wrong."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_sessmgr import __version__
from jupyter_sessmgr.cli import output
from jupyter_sessmgr.cli.check import containers, environment, folder, run
from jupyter_sessmgr.cli.check.findings import Finding, worst
from jupyter_sessmgr.cli.check.servers import is_reachable_from_outside
from jupyter_sessmgr.cli.main import main


@pytest.fixture
def jupyter(jp_environ, jp_config_dir, jp_data_dir, monkeypatch):
    """Jupyter's folders of this test, and none of the environment's."""
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "")
    only = lambda *parts: [str(Path(jp_data_dir, *parts))]  # noqa: E731
    monkeypatch.setattr(environment, "jupyter_config_path", lambda: [str(jp_config_dir)])
    monkeypatch.setattr(environment, "jupyter_path", only)
    return jp_config_dir, jp_data_dir


def enable(config_dir, **extensions):
    path = config_dir / "jupyter_server_config.d" / "x.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"ServerApp": {"jpserver_extensions": extensions}}))


def install_lab_part(data_dir, version=__version__):
    path = data_dir / "labextensions" / "jupyter-sessmgr" / "package.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": version}))


def test_the_server_extension_must_be_enabled(jupyter):
    assert environment.server_extension().level == "fail"
    enable(jupyter[0], jupyter_sessmgr=False)
    assert environment.server_extension().level == "fail"
    enable(jupyter[0], jupyter_sessmgr=True)
    assert environment.server_extension().level == "ok"


def test_the_lab_extension_must_be_there_in_this_version_and_on(jupyter):
    config, data = jupyter
    assert "not installed" in environment.lab_extension().text
    install_lab_part(data, "9.9.9")
    assert "9.9.9" in environment.lab_extension().text
    install_lab_part(data)
    assert environment.lab_extension().level == "ok"
    page = config / "labconfig" / "page_config.json"
    page.parent.mkdir()
    page.write_text('{"disabledExtensions": {"jupyter-sessmgr": true}}')
    assert "switched off" in environment.lab_extension().text
    page.write_text('{"disabledExtensions": {"jupyter-sessmgr": false}}')
    assert environment.lab_extension().level == "ok"
    page.write_text("no json")
    assert environment.lab_extension().level == "ok"


def script(path, interpreter):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{interpreter}\n")
    path.chmod(0o755)
    return path


def test_jupyterlab_of_another_environment_is_noticed(tmp_path):
    ours, other = tmp_path / "ours", tmp_path / "other"
    assert environment.same_environment(None, ours).level == "warn"
    theirs = script(other / "bin" / "jupyter-lab", other / "bin" / "python")
    found = environment.same_environment(str(theirs), ours)
    assert found.level == "fail"
    assert f"{ours}/bin/jupyter-lab" in found.remedy
    mine = script(ours / "bin" / "jupyter-lab", ours / "bin" / "python")
    assert environment.same_environment(str(mine), ours).level == "ok"
    assert environment.same_environment(str(theirs), ours).level == "warn", "ours is there too"
    linked = script(tmp_path / "local" / "jupyter-lab", ours / "bin" / "python3")
    assert environment.same_environment(str(linked), ours).level == "ok"


def test_an_extension_that_takes_the_same_hooks_is_named(jupyter, monkeypatch):
    enable(jupyter[0], jupyter_server_documents=True)
    assert list(environment.clashes()) == [], "enabled, but not installed"
    monkeypatch.setattr(environment, "find_spec", lambda name: object())
    (found,) = environment.clashes()
    assert found.level == "warn"
    assert "jupyter_server_documents" in found.text


@pytest.mark.parametrize(
    ("host", "outside"),
    [
        ("localhost", False), ("127.0.0.1", False), ("127.8.8.8", False), ("::1", False),
        ("lab.localhost", False), ("/run/user/jupyter.sock", False),
        ("", True), ("*", True), ("0.0.0.0", True), ("::", True), ("192.168.1.7", True),
        ("lab.example", True),
    ],
)  # fmt: skip
def test_which_addresses_sessions_can_reach(host, outside):
    assert is_reachable_from_outside(host) is outside


def config_of(path, **engine):
    return Config({"ComputeSessionManager": {"state_dir": str(path), **engine}})


def test_the_state_folder_is_looked_at_and_not_touched(tmp_path):
    path = tmp_path / "state"
    (found,) = folder.look_at_folder(config_of(path))
    assert found.level == "ok"
    assert not path.exists()
    path.mkdir(mode=0o755)
    (found,) = folder.look_at_folder(config_of(path))
    assert found.level == "fail"
    assert f"chmod 700 {path}" in found.text
    path.chmod(0o700)
    (found,) = folder.look_at_folder(config_of(path))
    assert found.level == "ok"
    assert found.text.endswith("free")
    assert list(path.iterdir()) == []


def test_who_holds_the_state_folder_is_told(tmp_path):
    from jupyter_sessmgr.manager.installation.statefolder import StateFolder

    held = StateFolder(tmp_path / "state")
    held.open(note="http://localhost:8888/")
    try:
        (found,) = folder.look_at_folder(config_of(held.path))
        assert f"held by process {os.getpid()}" in found.text
    finally:
        held.close()
    (found,) = folder.look_at_folder(config_of(held.path))
    assert found.text.endswith("free")


def test_a_missing_secret_is_told(tmp_path):
    from jupyter_sessmgr.manager.installation.statefolder import MASTER_FILE, StateFolder

    state = StateFolder(tmp_path / "state")
    state.open()
    state.secrets()
    state.close()
    (state.path / MASTER_FILE).unlink()
    (found,) = folder.look_at_folder(config_of(state.path))
    assert found.level == "fail"
    assert MASTER_FILE in found.text


def docker_at(path, engine="auto"):
    config = config_of("unused", engine=engine)
    config.DockerEngine.docker_host = f"unix://{path}"
    return list(containers.look_at_containers(config))


def test_no_engine_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = docker_at(tmp_path / "no.sock")
    assert (found.level, found.text) == ("warn", "none is installed")
    (found,) = docker_at(tmp_path / "no.sock", "docker")
    assert found.level == "fail", "it was asked for"
    assert docker_at(tmp_path / "no.sock", "process") == []


@pytest.mark.parametrize(
    ("program", "remedy"), [("dockerd", "docker"), ("podman", "podman.socket")]
)
def test_an_engine_is_installed_but_not_started(program, remedy, tmp_path, monkeypatch):
    script(tmp_path / program, "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = docker_at(tmp_path / "no.sock")
    assert "is not there" in found.text
    assert remedy in found.remedy


def test_an_engine_that_died_refuses(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "dead.sock"))
    (found,) = docker_at(tmp_path / "dead.sock")
    assert "refused" in found.text.lower()
    assert "systemctl start docker" in found.remedy


def test_an_engine_that_listens(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "live.sock"))
        listener.listen()
        (found,) = docker_at(tmp_path / "live.sock")
    assert found.level == "ok"


def test_an_engine_one_may_not_use(tmp_path, monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    # Root may use every socket file, and tests often run as root.
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("USER", "me")
    (found,) = docker_at(tmp_path / "x.sock")
    assert "usermod -aG docker me" in found.remedy


@pytest.mark.parametrize(
    ("levels", "level"),
    [([], "ok"), (["ok"], "ok"), (["ok", "warn"], "warn"), (["fail", "warn"], "fail")],
)
def test_the_worst_decides(levels, level):
    assert worst(Finding(one, "t", "x") for one in levels) == level


@pytest.fixture
def found(monkeypatch):
    findings = [Finding("ok", "a", "good"), Finding("warn", "b", "hm"), Finding("ok", "c", "x")]
    monkeypatch.setattr(run, "_look", lambda _options: iter(findings))
    return findings


def test_the_report(found, capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "! b: hm"
    found.append(Finding("fail", "d", "bad", "Do this."))
    assert main(["check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:5] == ["✗ d: bad", "      Do this."]


def test_the_report_as_json(found, capsys):
    found.append(Finding("fail", "d", "bad", "Do this."))
    assert main(["check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["level"] == "fail"
    assert report["findings"][3] == {
        "level": "fail", "topic": "d", "text": "bad", "remedy": "Do this.",
    }  # fmt: skip


def test_the_report_where_there_is_only_ascii(found, capsys, monkeypatch):
    import io

    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", narrow)
    found.append(Finding("fail", "d", "näh"))
    assert main(["check"]) == 1
    text = narrow.buffer.getvalue().decode("ascii")
    assert "FAIL d: n?h" in text
    assert output.MARKS["fail"][0] not in text
