"""Kill a server at random 200 times, and make 2,000 sessions come and go: ``make soak``.

    python -m tests.soak.run [--engine process] [--rounds 200] [--cycles 2000] [--at-once 4]

The first part is the loop of `tests.faults.test_P2_random_kills`, for longer, on several state
folders at once. In the second, one Jupyter server creates a session, executes in its kernel over a
websocket, and destroys it, again and again, some with a spare and some without. What it holds must be
flat (`marks`): objects, memory, descriptors, threads, and what sessions and spares leave behind
(containers, networks, volumes; folders, processes).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.plugins.server import OTHERS, Servers
from tests.plugins.storm import kill_at_random
from tests.soak.held import at_rest, left
from tests.soak.marks import grown

#: How often a look is taken.
LOOKS = 20
SPARES = 2
#: Seconds that Jupyter holds on to a websocket after it was opened, however soon it is closed.
HOLD = 10
CONFIG = {
    "ServerApp": {
        "jpserver_extensions": {
            "jupyter_sessmgr": True,
            "tests.soak.inside": True,
            **dict.fromkeys(OTHERS, False),
        }
    },
    "MappingKernelManager": {"kernel_info_timeout": HOLD},
    # Ended sessions are remembered, by design; few here, so that they are all there early.
    "SqliteStore": {"keep_ended_most": 20},
    "WarmPool": {
        "default_size": SPARES,
        "refill_at_once": SPARES,
        "refill_delay": 0.0,
        "min_free_memory": 0.0,
    },
}
#: The end of each arena, up to 2 MiB, is what the C library never gives back; each of the server's
#: threads has one, and takes so much sooner or later.
ENVIRON = {"MALLOC_ARENA_MAX": "1"}


def kills(engine, rounds, at_once, tell):
    """Run the first part, on some state folders at once; raises when something was lost or left."""
    shares = [len(range(one, rounds, at_once)) for one in range(at_once)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        ran = [
            pool.submit(kill_at_random, Path(folder) / f"state{one}", engine, share, tell=tell)
            for one, share in enumerate(shares)
            if share
        ]
        made, ended = (sum(counts) for counts in zip(*(one.result() for one in ran), strict=True))
    tell(f"{rounds} kills, {made} sessions made, {ended} destroyed: nothing lost or left")


def cycle(server, number):
    """Create a session, use it, destroy it."""
    made = server.create(clientSessionToken=f"soak-{number}", durable=bool(number % 2))
    session = made["sessionId"]
    text = server.execute(session, f"x = {number}; x + 1")
    assert str(number + 1) in text, text
    reply = server.ask("DELETE", f"sessmgr/session/{session}")
    assert reply.status_code in {200, 204}, reply.text


def soak(engine, cycles, at_once, tell):
    """Run the second part; returns what is not as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(engine, config=CONFIG, environ=ENVIRON)
            looks = [(0, at_rest(server, engine, 0))]
            for start, stop in steps(cycles):
                with ThreadPoolExecutor(at_once) as pool:
                    list(pool.map(lambda one: cycle(server, one), range(start, stop)))
                time.sleep(HOLD + 1)
                looks.append((stop, at_rest(server, engine, SPARES)))
                tell(json.dumps({"cycles": stop, **asdict(looks[-1][1])}))
            found = [*unseen(looks), *grown(looks[1:]), *errors(server)]
            server.stop()
            kept = {name: count for name, count in left(server, engine).items() if count}
        finally:
            servers.clean()
    return [*found, *(f"the stopped server has left {name}: {kept[name]}" for name in kept)]


def steps(cycles):
    """Divide the cycles by looks."""
    step = max(cycles // LOOKS, 1)
    return [(start, min(start + step, cycles)) for start in range(0, cycles, step)]


def unseen(looks):
    """Say which counters did not see the spares, so that they would see no session either."""
    (_, before), (_, after) = looks[0], looks[-1]
    counters = ("places", "processes") if not after.containers else ("containers",)
    return [
        f"{name}: {getattr(before, name)} without spares, {getattr(after, name)} with {SPARES}"
        for name in counters
        if getattr(after, name) < getattr(before, name) + SPARES
    ]


def errors(server):
    """Say what the server logged as unexpected."""
    log = server.log()
    start = log.find("Traceback")
    return [] if start < 0 else [f"there are errors in the log: {log[start : start + 4000]}"]


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
        kills(options.engine, options.rounds, options.at_once, tell)
    found = soak(options.engine, options.cycles, options.at_once, tell) if options.cycles else []
    tell("\n".join(found) or "nothing grew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
