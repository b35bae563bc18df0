"""How much memory a Jupyter server needs for each live session, at 200 of them. Bar: 1.5 MiB.

Sessions of the process engine with real kernels, listed in Jupyter: some 14 GiB of memory in all.

    python bench/session_memory.py [SESSIONS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from tests.plugins.server import Servers

BAR = 1.5
#: So many are there before the first look, and start at once.
FIRST, AT_ONCE = 10, 4
CONFIG = {
    "AdmissionControl": {
        "default_mem": "64m",
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
        if time.monotonic() > deadline:
            raise AssertionError(server.log()[-2000:])
        time.sleep(0.5)


def weigh(server):
    """Return a server's memory in MiB."""
    return psutil.Process(server.pid).memory_info().rss / 2**20


def main(sessions="200"):
    """Measure, print, and fail when the bar is missed."""
    count = int(sessions)
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(config=CONFIG)
            fill(server, FIRST, 0)
            before = weigh(server)
            fill(server, count, FIRST)
            time.sleep(5)
            after = weigh(server)
        finally:
            servers.clean()
    each = (after - before) / (count - FIRST)
    print(f"server at {FIRST} sessions {before:.0f} MiB, at {count} {after:.0f} MiB")
    print(f"  each {each:.2f} MiB (bar <= {BAR})")
    return int(each > BAR)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
