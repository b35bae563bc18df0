"""Beside jupyter-server-documents, which brings kernel websockets and notebook sessions of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.clients import environment
from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook
from tests.plugins.server import ROOT

PINS = Path(__file__).with_name("documents.txt")
EXTENSIONS = {"jupyter_server_documents": True, "jupyter_server_fileid": True}


@pytest.fixture(scope="module")
def documents():
    """Give the folder of modules that the other extension is in."""
    (folder,) = (environment(PINS) / "lib").glob("python*/site-packages")
    return folder


@pytest.fixture
def start(servers, documents):
    """Start servers that have both extensions."""

    def begin(before=None):
        extensions = {"jupyter_sessmgr": True, **EXTENSIONS}
        config = {"ServerApp": {"jpserver_extensions": extensions}}
        if before is not None:
            config["ServerApp"]["root_dir"] = str(before.folder / "root")
        environ = {"PYTHONPATH": f"{ROOT}{os.pathsep}{documents}"}
        state_dir = before.state_dir if before is not None else None
        return servers.start(config=config, environ=environ, state_dir=state_dir)

    return begin


def test_kernels_start_and_survive_and_what_is_lost_is_told(start):
    server = start()
    assert "jupyter_server_documents.websocket_connection" in server.log()
    assert "output that they missed" in server.log()
    (server.folder / "root" / "n.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    body = {"path": "n.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": KERNEL}}
    made = server.ask("POST", "api/sessions", json=body)
    assert made.status_code == 201, made.text
    kernel_id = made.json()["kernel"]["id"]
    with Notebook(server, kernel_id, v1=True) as notebook:
        assert notebook.run("x = 6 * 7; print(x)") == "42\n"
    server.kill()
    again = start(server)
    with Notebook(again, kernel_id, v1=True) as notebook:
        assert notebook.run("print(x)") == "42\n"
    # notebook sessions are the other's: one of before, which it does not know, it could not end
    assert again.ask("GET", "api/sessions").json() == []
    body["kernel"] = {"id": kernel_id}
    made = again.ask("POST", "api/sessions", json=body)
    assert made.json()["kernel"]["id"] == kernel_id
    # what the notebook missed is had by hand
    kept = again.ask("GET", f"sessmgr/session/{kernel_id}/output").json()["items"]
    assert "42\n" in [one["message"]["content"].get("text") for one in kept]
    assert again.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    assert again.ask("DELETE", f"api/sessions/{made.json()['id']}").status_code == 204
    assert again.info(kernel_id)["status"] == "TERMINATED"


def test_check_names_what_is_lost(documents, tmp_path):
    configured = tmp_path / "etc"
    (configured / "jupyter_server_config.d").mkdir(parents=True)
    (configured / "jupyter_server_config.d" / "jupyter_server_documents.json").write_text(
        '{"ServerApp": {"jpserver_extensions": {"jupyter_server_documents": true}}}'
    )
    command = [sys.executable, "-m", "jupyter_sessmgr.cli", "check", "--no-server", "--no-smoke"]
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{documents}",
        "JUPYTER_CONFIG_DIR": str(configured),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
    }
    told = subprocess.run(
        command, check=False, env=environ, capture_output=True, text=True, timeout=120
    )
    assert "jupyter_server_documents is enabled" in told.stdout
    assert "output" in told.stdout
