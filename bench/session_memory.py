"""What a Jupyter server needs for each live session, at 200 of them. Bar: 1.5 MiB of memory.

Sessions of the process engine with real kernels, listed in Jupyter: some 16 GiB of memory in all.
Descriptors, and for how long the event loop is away while they start and while all of them rest, are
printed, too.

    python bench/session_memory.py [SESSIONS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import psutil

from tests.plugins.server import OTHERS, Servers

BAR = 1.5
#: So many are there before the first look, and start at once.
FIRST, AT_ONCE = 10, 4
#: Seconds that they are looked at when all have started.
REST = 15
CONFIG = {
    "ServerApp": {
        "jpserver_extensions": {
            "jupyter_sessmgr": True,
            "bench.lagmeter": True,
            **dict.fromkeys(OTHERS, False),
        }
    },
    "AdmissionControl": {
        "default_mem": "256m",
        "max_running": None,
        "max_running_per_owner": None,
        "max_sessions": None,
        "max_sessions_per_owner": None,
    },
    "StartQueue": {"memory_overcommit": 100.0, "cpu_overcommit": 1000.0},
}


def fill(server, count, had):
    """Start sessions until there are `count` of them, and all are listed as kernels."""
    for number in range(had, count):
        server.create(clientSessionToken=f"bench-{number:04d}", enqueueOnly=number % AT_ONCE != 0)
    deadline = time.monotonic() + 600
    while len(server.ask("GET", "api/kernels").json()) < count:
        failed = any(one["status"] == "ERROR" for one in server.sessions(ended=True))
        if failed or time.monotonic() > deadline:
            raise AssertionError(server.log()[-2000:])
        time.sleep(0.5)


def weigh(server):
    """Return a server's memory in MiB, and how many descriptors it has."""
    process = psutil.Process(server.pid)
    return process.memory_info().rss / 2**20, process.num_fds()


def away(server):
    """Say for how long the event loop was away at most since the last question, in ms."""
    return server.ask("GET", "lag").json()["away"] * 1000


def main(sessions="200"):
    """Measure, print, and fail when the bar is missed."""
    count = int(sessions)
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(config=CONFIG, environ={"PYTHONPATH": str(ROOT)})
            fill(server, FIRST, 0)
            before, few = weigh(server)
            away(server)
            fill(server, count, FIRST)
            starting = away(server)
            time.sleep(REST)
            after, many = weigh(server)
            resting = away(server)
        finally:
            servers.clean()
    each = (after - before) / (count - FIRST)
    print(f"server at {FIRST} sessions {before:.0f} MiB, at {count} {after:.0f} MiB")
    print(f"  each {each:.2f} MiB (bar <= {BAR}), {(many - few) / (count - FIRST):.1f} descriptors")
    print(f"event loop away at most {starting:.0f} ms while they start, {resting:.0f} ms at rest")
    return int(each > BAR)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
