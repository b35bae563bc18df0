"""Remote kernels for tools without a Jupyter server: a private manager, ended after the test."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import Future
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_sessmgr.model.presets import Offer, Preset
from jupyter_sessmgr.provisioning import private
from jupyter_sessmgr.provisioning.kernelspecs import install_kernelspecs

#: Kernelspec that every test of this kind uses.
KERNEL = "sessmgr-python"
OFFER = Offer(
    kernel_name=KERNEL,
    display_name="Python (remote)",
    language="python",
    preset=Preset(name="python", title="Python (remote)", description="For tests."),
)

#: Both engines; a test that takes `engine` as a parameter runs on each.
ENGINES = ["process", pytest.param("docker", marks=pytest.mark.docker)]


class Outside:
    """What a tool without a server finds on this machine."""

    def __init__(self, engine, folder, runtime):
        self.engine = engine
        self.folder = folder
        self.state = Path(os.environ["JUPYTER_DATA_DIR"]) / "sessmgr" / socket.gethostname()
        self.config = Config({"ComputeSessionManager": {"engine": engine}})
        self.config_path = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "jupyter_sessmgr_config.json"
        self.config_path.write_text(json.dumps(self.config), encoding="utf-8")
        self.runtime = runtime
        install_kernelspecs([OFFER], user=True)

    @property
    def home(self):
        """The private manager's home; None before its first use."""
        ready = private._private.get(os.getpid())
        return ready.result(5) if isinstance(ready, Future) else None

    def live(self):
        """List the sessions that live."""
        return [] if self.home is None else list(self.home.sessions.list(self.home.owner))

    def end(self):
        """End the private manager as the end of the program does."""
        private.end_private_home()

    def places(self):
        """List what the process engine has on disk."""
        folder = self.state / "places"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def engine():
    """Name the engine; tests parametrize it."""
    return "process"


@pytest.fixture
def outside(engine, jp_environ, tmp_path, jp_runtime_dir, monkeypatch):
    """Give a machine with a remote kernelspec and no server; nothing of it is left after."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Outside(engine, folder, jp_runtime_dir)
    yield made
    made.end()
    assert made.places() == []
