"""What a service of a session costs to use, beside jupyter-server-proxy, nginx and no proxy at all.

Everything is asked of every way in turn, again and again; medians are told. Bars, as multiples of
jupyter-server-proxy's: 1 KiB GETs 1.5, downloads 2.5, uploads 1.1, websocket messages of 1 MiB 8.0 both
ways, websocket round trips 1.0. A download's first byte comes at most 10 ms after the upstream's own,
four transfers of 100 MiB at once take at most 16 MiB of the server, and Jupyter answers within 60 ms
meanwhile.

    python bench/service_ports.py [ROUNDS] [process,docker]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import service_clients as clients
from bench.service_peers import ways

SIZE = 100
PEER = "jupyter-server-proxy"
#: What is measured of every way: its unit, and how.
MEASURES = {
    "1 KiB GET, 1 connection": ("/s", lambda way: clients.requests_per_second(way, 1, 2)),
    "1 KiB GET, 32 connections": ("/s", lambda way: clients.requests_per_second(way, 32, 2)),
    "download of 100 MiB": ("MB/s", lambda way: rate(clients.download(way, SIZE)[1])),
    "its first byte": ("ms", lambda way: clients.download(way, SIZE)[0] * 1000),
    "upload of 100 MiB": ("MB/s", lambda way: rate(clients.upload(way, SIZE))),
    "messages of 1 MiB from an app": (
        "MB/s",
        lambda way: rate(clients.messages_down(way, "socket", 30), 30),
    ),
    "messages of 1 MiB to an app": (
        "MB/s",
        lambda way: rate(clients.messages_up(way, "socket", 30), 30),
    ),
    "the same, from an app that never compresses": (
        "MB/s",
        lambda way: rate(clients.messages_down(way, "plain", 100)),
    ),
    "the same, to an app that never compresses": (
        "MB/s",
        lambda way: rate(clients.messages_up(way, "plain", 100)),
    ),
    "websocket round trips of 1 KiB": ("/s", lambda way: clients.round_trips(way, 1)),
}
#: What is measured of servers alone.
STRAINS = {
    "server memory, four downloads": ("MiB", lambda way: strain(way, clients.download)),
    "server memory, four uploads": ("MiB", lambda way: strain(way, clients.upload)),
    "GET /api/status during a download": ("ms", lambda way: status(way, clients.download)),
    "GET /api/status during an upload": ("ms", lambda way: status(way, clients.upload)),
    "event loop away during a download": ("ms", lambda way: away(way, clients.download)),
}
#: Least multiple of the peer's.
RATIOS = {
    "1 KiB GET, 1 connection": 1.5,
    "1 KiB GET, 32 connections": 1.5,
    "download of 100 MiB": 2.5,
    "upload of 100 MiB": 1.1,
    "messages of 1 MiB from an app": 8.0,
    "messages of 1 MiB to an app": 8.0,
    "websocket round trips of 1 KiB": 1.0,
}
#: The most that is allowed.
MOST = {
    "server memory, four downloads": 16,
    "server memory, four uploads": 16,
    "GET /api/status during a download": 60,
    "GET /api/status during an upload": 60,
}
#: The most after the upstream's own.
LATER = {"its first byte": 10}


def rate(seconds, mebibytes=SIZE):
    """Return MB/s."""
    return mebibytes * clients.MIB / seconds / 1e6


def strain(way, transfer):
    """Return by how much a server grows during four transfers at once."""
    return clients.growth(way.server, lambda: clients.at_once(lambda: transfer(way, SIZE), 4))


def status(way, transfer):
    """Return the longest that Jupyter took to answer meanwhile, in milliseconds."""
    return clients.worst_status(way, lambda: transfer(way, SIZE)) * 1000


def away(way, transfer):
    """Return for how long the event loop was away at most, in milliseconds."""
    way.server.ask("GET", "lag")
    transfer(way, SIZE)
    return way.server.ask("GET", "lag").json()["away"] * 1000


def measure(found, rounds):
    """Ask everything of every way in turn; return values by measure and way."""
    values = defaultdict(lambda: defaultdict(list))
    if not clients.has_wrk():
        print("wrk is not installed: no figures of small requests")
    # Strains come last: from the first question on, the meter of the event loop costs time itself.
    for measures in (MEASURES, STRAINS):
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for what, (_, work) in measures.items():
                if what.startswith("1 KiB GET") and not clients.has_wrk():
                    continue
                for way in found.values():
                    one = attempt(work, way)
                    if one is not None:
                        values[what][way.name].append(one)
    return values


def attempt(work, way):
    """Measure once; None where there is nothing to measure, or, with words, when the way failed."""
    if way.server is None and work in [strain for _, strain in STRAINS.values()]:
        return None
    try:
        return work(way)
    except (clients.Refused, OSError) as problem:
        print(f"{way.name} failed: {str(problem)[:300]}", flush=True)
        return None


def judge(what, medians):
    """Say whether our ways keep the bar, in words by way; nothing where there is none."""
    words = {}
    for name in (name for name in medians if name.startswith("ours")):
        mine = medians[name]
        if what in RATIOS and PEER in medians:
            ratio = mine / medians[PEER]
            words[name] = ratio >= RATIOS[what], f"{ratio:.2f} x {PEER} (bar >= {RATIOS[what]})"
        elif what in MOST:
            words[name] = mine <= MOST[what], f"bar <= {MOST[what]}"
        elif what in LATER:
            later = mine - medians["direct"]
            words[name] = later <= LATER[what], f"{later:+.1f} after direct (bar <= {LATER[what]})"
    return words


def report(values):
    """Print all; return what the process engine's sessions missed."""
    missed = []
    for what, (unit, _) in (MEASURES | STRAINS).items():
        medians = {name: statistics.median(several) for name, several in values[what].items()}
        told = ", ".join(f"{name} {one:,.1f}" for name, one in medians.items())
        print(f"{what} [{unit}]: {told}")
        for name, (kept, words) in judge(what, medians).items():
            print(f"    {name}: {words}{'' if kept else '  MISSED'}")
            if not kept:
                missed.append((name, what))
    return missed


def main(rounds=5, engines="process"):
    """Measure, print, and fail when a bar is missed."""
    with tempfile.TemporaryDirectory() as folder, ways(Path(folder), engines.split(",")) as found:
        missed = report(measure(found, int(rounds)))
    for name, what in missed:
        print(f"missed: {name}: {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
