"""48 clients attach to one session at once: all are answered equally, and nothing else happens.

Prints how long that takes, beside as many who only ask what the session is. The bar is equality:
one answer for all, one kernel in Jupyter's list, and nothing of the session changed but its use.

    python bench/attach.py
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.plugins.server import Client, Servers

CLIENTS, ROUNDS = 48, 20
#: What may change of a session that is used.
USE = ("age", "lastActiveAt", "idleTimeoutAt", "usage", "stats", "cpuCreditUsed")


def at_once(server, path, together):
    """Ask once, when all are ready; return the answer and the seconds that it took."""
    client = Client(server.url, server.token)
    client.ask("GET", "api/status")  # connected, from here on
    seconds, bodies = [], set()
    for _ in range(ROUNDS):
        together.wait()
        begin = time.perf_counter()
        reply = client.ask("GET", path)
        seconds.append(time.perf_counter() - begin)
        bodies.add((reply.status_code, reply.headers.get("Link"), reply.content))
    return seconds, bodies


def measure(server, path):
    """Have all clients ask at once, again and again; return sorted seconds and all answers."""
    together = threading.Barrier(CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(at_once, server, path, together) for _ in range(CLIENTS)]
        results = [one.result() for one in asked]
    seconds = sorted(second for found, _ in results for second in found)
    return seconds, set().union(*(bodies for _, bodies in results))


def state(server, one):
    """Return what attaching must not change."""
    info = {key: value for key, value in server.info(one).items() if key not in USE}
    kernels = [kernel["id"] for kernel in server.ask("GET", "api/kernels").json()]
    return info, kernels, len(server.sessions(ended=True))


def figures(seconds):
    return {
        "median ms": round(statistics.median(seconds) * 1000, 1),
        "p99 ms": round(seconds[int(len(seconds) * 0.99)] * 1000, 1),
    }


def main():
    """Measure, print, and fail when the answers differ or something changed."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start()
            one = server.create(name="wanted")["sessionId"]
            query = "durable=true&api-version=2012-11-01"
            before = state(server, one)
            seconds, answers = measure(server, f"WindowsHpc/Session/{one}/Attach?{query}")
            after = state(server, one)
            plain, _ = measure(server, f"sessmgr/session/{one}")
        finally:
            servers.clean()
    good = len(answers) == 1 and next(iter(answers))[0] == 200 and before == after
    told = {"clients": CLIENTS, "attach": figures(seconds), "info": figures(plain), "equal": good}
    print(json.dumps(told))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
