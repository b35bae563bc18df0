"""A wheel of this tree, and a clean environment that has it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(command, *, env=None, cwd=None, timeout=300):
    """Run a program; fail with what it said when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{text[-4000:]}"
    return text


@dataclass(frozen=True)
class Installation:
    """A clean virtual environment into which the wheel was installed."""

    folder: Path
    environ: dict[str, str]

    def run(self, *command, timeout=120):
        program, *words = command
        return run(
            [self.folder / "bin" / program, *words],
            env=self.environ,
            cwd=self.folder,
            timeout=timeout,
        )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Build the wheel as `pip install .` would, the browser's part included."""
    node = run([ROOT / "scripts" / "node.sh"], cwd=ROOT).strip().splitlines()[-1]
    folder = tmp_path_factory.mktemp("wheel")
    environ = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
    environ.pop("SKIP_JUPYTER_BUILDER", None)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT]
    run(command, env=environ)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installation(wheel, tmp_path_factory):
    """Install the wheel and JupyterLab into a virtual environment, with a home of its own."""
    folder = tmp_path_factory.mktemp("installation")
    venv = folder / "venv"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "PYTHON", "VIRTUAL_ENV", "XDG_"))
    }
    run([sys.executable, "-m", "venv", venv])
    run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", f"{wheel}[lab]"], env=kept)
    (folder / "home").mkdir()
    environ = {
        **kept,
        "HOME": str(folder / "home"),
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    return Installation(venv, environ)
