"""What the extension adds to the start of `jupyter server`, with and without a Docker engine.

Servers are started in turn, each until it answers: without the extension, with it on local processes,
and with it looking for a Docker engine that is not there. And in processes of their own, in turn with
these, what importing the extension alone takes after Jupyter's server. The bars: 150 ms for the import,
and no wait for Docker's absence (50 ms, the noise of this).

    python bench/server_start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.plugins.server import OTHERS, ROOT, Servers

ROUNDS = 9
IMPORT_BAR, ABSENCE_BAR = 150.0, 50.0
IMPORT = """
import time, jupyter_server.serverapp, jupyter_server.extension.application
began = time.perf_counter()
import jupyter_sessmgr.app
print((time.perf_counter() - began) * 1e3)
"""
OFF = {"ServerApp": {"jpserver_extensions": dict.fromkeys(("jupyter_sessmgr", *OTHERS), False)}}


def start(servers, environ, engine="process", config=None):
    """Return the milliseconds until a fresh server answers."""
    began = time.perf_counter()
    server = servers.start(engine, config=config, environ=environ)
    took = (time.perf_counter() - began) * 1e3
    server.stop()
    return took


def import_alone(environ):
    """Return the milliseconds of the import in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return float(done.stdout)


def measure(folder):
    """Return the medians in milliseconds, by name."""
    # As an installation has it: compiled once.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    away = {**compiled, "DOCKER_HOST": f"unix://{folder}/none.sock"}
    servers = Servers(folder)
    kinds = {
        "without": lambda: start(servers, compiled, config=OFF),
        "local processes": lambda: start(servers, compiled),
        "no Docker engine": lambda: start(servers, away, "auto"),
        "import alone": lambda: import_alone({**compiled, "PATH": "/usr/bin:/bin"}),
    }
    took = {name: [] for name in kinds}
    try:
        for _ in range(ROUNDS + 1):
            for name, run in kinds.items():
                took[name].append(run())
    finally:
        servers.clean()
    return {name: statistics.median(values[1:]) for name, values in took.items()}


def main():
    """Measure, print, and fail when a bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(Path(folder))
    for name, value in medians.items():
        print(f"{name:18} {value:7.0f} ms")
    added = medians["local processes"] - medians["without"]
    waits = medians["no Docker engine"] - medians["local processes"]
    print(f"added to a start   {added:7.0f} ms, of which by looking for Docker {waits:.0f} ms more")
    missed = medians["import alone"] > IMPORT_BAR or waits > ABSENCE_BAR
    print(
        f"bars: import {IMPORT_BAR:.0f} ms, absence {ABSENCE_BAR:.0f} ms: {'MISSED' if missed else 'kept'}"
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
