"""What a server holds at one moment: of its own, and by the sessions and spares that it has."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from jupyter_sessmgr.engines.docker.container import INSTALL

MIB = 2**20
#: Seconds that sessions which were destroyed may take to be gone, and spares to be ready.
REST = 60.0


@dataclass
class Held:
    """What is held. Nothing in it may grow with the number of sessions that ever were."""

    #: Seconds since the server was started.
    at: float
    #: Python's, when all garbage is collected.
    objects: int
    descriptors: int
    threads: int
    #: MiB.
    memory: float
    #: Spares that are ready; all that there is besides must be theirs.
    spares: int
    #: Folders of places, and processes that have the state folder in their words or environment.
    places: int
    processes: int
    containers: int = 0
    networks: int = 0
    volumes: int = 0


def at_rest(server, engine, spares, patience=REST):
    """Wait until there are as many places as spares, and count; what does not end, is counted."""
    deadline = time.monotonic() + patience
    while True:
        held = look(server, engine)
        there = held.containers if engine == "docker" else held.places
        if (held.spares == spares == there) or time.monotonic() > deadline:
            return held
        time.sleep(0.2)


def look(server, engine):
    """Count what a server holds now."""
    process = psutil.Process(server.pid)
    return Held(
        at=round(time.time() - process.create_time(), 1),
        objects=objects(server),
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        memory=round(process.memory_info().rss / MIB, 2),
        spares=ready_spares(server),
        **left(server, engine),
    )


def left(server, engine):
    """Count what sessions and spares have, whether a server runs or not."""
    folder = server.state_dir / "places"
    counted = {
        "places": len(list(folder.iterdir())) if folder.is_dir() else 0,
        "processes": sum(_is_of(one, str(server.state_dir).encode()) for one in psutil.pids()),
    }
    if engine == "docker":
        counted |= {
            "containers": _docker(server, "ps", "--all"),
            "networks": _docker(server, "network", "ls"),
            "volumes": _docker(server, "volume", "ls"),
        }
    return counted


def objects(server):
    """Ask a server how many objects it has; 0 where it does not count them."""
    reply = server.ask("GET", "objects")
    return reply.json() if reply.status_code == 200 else 0


def ready_spares(server):
    """Ask a server how many spares are ready."""
    text = server.ask("GET", "metrics").text
    rows = [row for row in text.splitlines() if row.startswith('sessmgr_spares{state="ready"}')]
    return int(float(rows[0].split()[-1]))


def _is_of(pid, folder):
    """Tell whether a process belongs to a place: sandboxes name it, what is inside inherits it."""
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        environ = (Path("/proc") / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return folder in words + environ


def _docker(server, *command):
    install = (server.state_dir / "install-id").read_text(encoding="ascii").strip()
    ran = subprocess.run(
        ["docker", *command, "--quiet", "--filter", f"label={INSTALL}={install}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return len(ran.stdout.split())
