"""The stock clients of the Backend.AI API: as their packages are, each in an environment of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.plugins.server import ROOT

HERE = Path(__file__).resolve().parents[1] / "clients"
CLIENTS = sorted(path.stem for path in HERE.glob("*.txt"))
#: The newest runs on no other.
PYTHON = "3.11"
#: Seconds to install one, from a slow mirror.
INSTALL = 600


def cache_folder():
    """Give the folder that keeps environments between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jupyter-sessmgr" / "clients"


def python():
    """Find the Python that the clients run on; None when it is not here."""
    if sys.version_info[:2] == tuple(int(part) for part in PYTHON.split(".")):
        return sys.executable
    return shutil.which(f"python{PYTHON}")


@contextmanager
def locked(path):
    """Be the only test run that works on `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def installed(version):
    """Install a client, unless it is; give its environment's folder."""
    return environment(HERE / f"{version}.txt")


def environment(pins):
    """Make an environment of what a file pins, unless it is there; give its folder."""
    inputs = pins.read_bytes() + PYTHON.encode()
    folder = cache_folder() / f"{pins.stem}-{hashlib.sha256(inputs).hexdigest()[:12]}"
    done = folder / "installed"
    with locked(folder):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([python(), "-m", "venv", folder], check=True, timeout=INSTALL)
            command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*command, "-r", pins], check=True, timeout=INSTALL)
            done.touch()
    return folder


@dataclass
class StockClient:
    """One client, as one person uses it against one server."""

    version: str
    folder: Path
    work: Path
    environ: dict = field(default_factory=dict)

    def run(self, *command, **kwargs):
        """Run a program of the client's environment in the person's work folder."""
        program, *words = command
        return subprocess.run(
            [self.folder / "bin" / program, *words],
            cwd=self.work,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=kwargs.pop("timeout", 120),
            stdin=subprocess.DEVNULL,
            **kwargs,
        )

    def drive(self, *words):
        """Run the driver; return what each of its steps gave."""
        done = self.run("python", HERE / "drive.py", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def add_pair(server):
    """Add a key pair to a running server, as a person does; return what was printed."""
    state_dir = f"--ComputeSessionManager.state_dir={server.state_dir}"
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_sessmgr.cli", "keypair", "add", "--json", state_dir],
        cwd=ROOT,
        env={**os.environ, "JUPYTER_NO_CONFIG": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def stock_client(tmp_path_factory):
    """Give a stock client by version, for a server and a key pair."""
    if python() is None:
        pytest.skip(f"the stock clients run on Python {PYTHON} only")

    def make(version, endpoint, pair):
        home = tmp_path_factory.mktemp(f"client-{version}")
        work = home / "work"
        work.mkdir()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONWARNINGS": "ignore",
            "BACKEND_ENDPOINT": endpoint,
            "BACKEND_ACCESS_KEY": pair["access_key"],
            "BACKEND_SECRET_KEY": pair["secret_key"],
        }
        return StockClient(version, installed(version), work, environ)

    return make
