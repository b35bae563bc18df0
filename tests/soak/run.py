"""Kill a server at random 200 times, and make 2,000 sessions come and go: ``make soak``.

    python -m tests.soak.run [--engine process] [--rounds 200] [--cycles 2000] [--at-once 4]

The first part is the loop of `tests.faults.test_P2_random_kills`, for longer. In the second, one
Jupyter server creates a session, executes in its kernel over a websocket, and destroys it, again and
again. What it holds must not grow: descriptors, threads, memory, and what sessions leave behind
(containers, networks, volumes; work folders, processes). Jupyter keeps some memory for each kernel
that ever was, local ones included: how much is measured, and not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil

from jupyter_sessmgr.engines.docker.container import INSTALL
from tests.plugins.server import Servers
from tests.plugins.storm import kill_at_random

MIB = 2**20
#: Of how many cycles a look is taken after each.
LOOKS = 20
#: What may be more at the end than early on: some descriptors and threads are made on first use.
SLACK = {"descriptors": 8, "threads": 4, "memory": 16.0}
#: Ended sessions are remembered, by design; few here, so that their memory is not taken for a leak.
CONFIG = {"SqliteStore": {"keep_ended_most": 20}}


@dataclass
class Held:
    """What a server holds at one moment."""

    descriptors: int
    threads: int
    #: MiB.
    memory: float
    #: What its sessions have left, or have while they live.
    places: int
    processes: int
    containers: int = 0
    networks: int = 0
    volumes: int = 0


def look(server, engine):
    """Count what a server holds when no session is under way."""
    process = psutil.Process(server.pid)
    counted = {}
    if engine == "docker":
        counted = {
            "containers": _docker(server, "ps", "--all"),
            "networks": _docker(server, "network", "ls"),
            "volumes": _docker(server, "volume", "ls"),
        }
    folder = server.state_dir / "places"
    return Held(
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        memory=round(process.memory_info().rss / MIB, 1),
        places=len(list(folder.iterdir())) if folder.is_dir() else 0,
        processes=sum(str(server.state_dir) in " ".join(_command(one)) for one in psutil.pids()),
        **counted,
    )


def _command(pid):
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return ()


def _docker(server, *command):
    install = (server.state_dir / "install-id").read_text(encoding="ascii").strip()
    ran = subprocess.run(
        ["docker", *command, "--quiet", "--filter", f"label={INSTALL}={install}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return len(ran.stdout.split())


def cycle(server, number):
    """Create a session, use it, destroy it."""
    made = server.create(clientSessionToken=f"soak-{number}", durable=bool(number % 2))
    session = made["sessionId"]
    text = server.execute(session, f"x = {number}; x + 1")
    assert str(number + 1) in text, text
    reply = server.ask("DELETE", f"sessmgr/session/{session}")
    assert reply.status_code in {200, 204}, reply.text


def soak(engine, cycles, at_once, tell):
    """Run the second part; returns what grew."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(engine, config=CONFIG)
            looks, step = [], max(cycles // LOOKS, 1)
            with ThreadPoolExecutor(at_once) as pool:
                for start in range(0, cycles, step):
                    list(pool.map(lambda one: cycle(server, one), range(start, start + step)))
                    looks.append(look(server, engine))
                    tell(json.dumps({"cycles": start + step, **asdict(looks[-1])}))
            own = local_growth(server, max(cycles // LOOKS, 20))
            tell(f"Jupyter itself keeps {own * 1024:.0f} KiB for each local kernel that ended")
            if "Traceback" in server.log():
                tell(server.log()[server.log().index("Traceback") :][:4000])
                return ["there are errors in the log"]
        finally:
            servers.clean()
    return grown(looks, own * step)


def local_growth(server, count):
    """Have local kernels come and go; return the MiB that Jupyter keeps for each."""
    process = psutil.Process(server.pid)
    before = 0
    for number in range(-5, count):
        kernel = server.ask("POST", "api/kernels", json={"name": "python3"}).json()["id"]
        server.execute(kernel, "1 + 1")
        server.ask("DELETE", f"api/kernels/{kernel}")
        if number == -1:
            before = process.memory_info().rss
    return max(process.memory_info().rss - before, 0) / count / MIB


def grown(looks, own):
    """Say what is more in the last quarter of the looks than in the second.

    `own` is what Jupyter's memory grows by itself from one look to the next, in MiB.
    """
    quarter = max(len(looks) // 4, 1)
    early, late = looks[quarter : 2 * quarter] or looks[:1], looks[-quarter:]
    found = []
    for name in asdict(looks[0]):
        before, after = (median(getattr(one, name) for one in part) for part in (early, late))
        expected = own * (len(looks) - 2 * quarter) if name == "memory" else 0
        if after > before + expected + SLACK.get(name, 2):
            found.append(f"{name} grew from {before} to {after}")
    return found


def main(arguments=None):
    """Run both parts, and fail when something was lost or grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="process", choices=["process", "docker"])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args(arguments)

    def tell(words):
        print(words, flush=True)

    if options.rounds:
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            made, ended = kill_at_random(state, options.engine, options.rounds, tell=tell)
        tell(
            f"{options.rounds} kills, {made} sessions made, {ended} destroyed: nothing lost or left"
        )
    found = soak(options.engine, options.cycles, options.at_once, tell) if options.cycles else []
    tell("\n".join(found) or "nothing grew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
