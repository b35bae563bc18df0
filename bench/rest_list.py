"""What a page of 10,000 finished sessions costs, as a multiple of a page of 100.

Both stores have a server of their own, asked in turn: for the first page, one in the middle and the
last. The bar is 2.

    python bench/rest_list.py
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.rest_info import fill
from tests.plugins.server import Servers

FEW, MANY, PAGE, ROUNDS = 100, 10_000, 100, 60
BAR = 2.0
CONFIG = {
    "SessMgrApp": {"owner": "bench"},
    "SqliteStore": {"keep_ended_most": MANY},
}


def ask(connection, server, before):
    """Return the seconds of one page."""
    path = f"{urlsplit(server.url).path}sessmgr/session?all=true&limit={PAGE}&before={before}"
    began = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"token {server.token}"})
    reply = connection.getresponse()
    body = reply.read()
    took = time.perf_counter() - began
    assert reply.status == 200, body
    assert len(json.loads(body)["items"]) == PAGE
    return took


def measure(servers):
    """Return median seconds by page."""
    few, many = servers
    pages = {
        "of 100": (few, FEW + 1),
        "first": (many, MANY + 1),
        "middle": (many, MANY // 2 + 1),
        "last": (many, PAGE + 1),
    }
    connections = {
        server.url: http.client.HTTPConnection(
            urlsplit(server.url).hostname, urlsplit(server.url).port
        )
        for server in servers
    }
    seconds = {name: [] for name in pages}
    for _ in range(ROUNDS):
        for name, (server, before) in pages.items():
            seconds[name].append(ask(connections[server.url], server, before))
    return {name: statistics.median(values[10:]) for name, values in seconds.items()}


def main():
    """Measure, print, and fail when the bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            started = []
            for count in (FEW, MANY):
                state = Path(folder) / f"state-of-{count}"
                asyncio.run(fill(state, "bench", count))
                started.append(servers.start(state_dir=state, config=CONFIG))
            medians = measure(started)
        finally:
            servers.clean()
    worst = max(medians.values()) / medians["of 100"]
    print(json.dumps({"ms": {k: round(v * 1000, 2) for k, v in medians.items()}, "ratio": worst}))
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
