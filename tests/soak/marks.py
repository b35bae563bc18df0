"""What flat means: nothing that a server holds may grow with the sessions that ever were. Pure.

A look is taken after each of some cycles, when all sessions have ended. Those from the first half do
not count: until then threads and connections are made on first use. Memory
is what is left when the C library has given back what is free: of that it keeps 30 MiB after a thousand
sessions.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from statistics import median

#: Part of the cycles that do not count, and seconds that must be over at least.
WARM_UP, WARM_UP_SECONDS = 0.5, 90.0
#: So many looks are needed to tell anything.
FEWEST_LOOKS = 8
#: What a cycle may cost, for noise: what a websocket and its kernel manager are made of is a thousand
#: objects, and 60 KiB.
MOST = {"objects": 30.0, "memory": 2 / 1024}
#: By how much these may be more in the end than when the first looks counted.
SLACK = {"descriptors": 3, "threads": 2}


def grown(looks):
    """Say what grew; nothing when all is flat.

    Parameters
    ----------
    looks : list of (int, tests.soak.held.Held)
        How many cycles were over, and what the server held.
    """
    last = looks[-1][0]
    warm = [
        (cycles, asdict(held))
        for cycles, held in looks
        if cycles > last * WARM_UP and held.at > WARM_UP_SECONDS
    ]
    if len(warm) < FEWEST_LOOKS:
        return [f"too few looks to tell: {len(warm)} of at least {FEWEST_LOOKS}"]
    found = []
    for name, most in MOST.items():
        each = slope([(cycles, held[name]) for cycles, held in warm])
        if each > most:
            found.append(f"{name} grew by {each:.3g} a cycle")
    for name in warm[0][1].keys() - {"at", "spares", *MOST}:
        before, after = (_usual(part, name) for part in (warm[: len(warm) // 2], warm[-3:]))
        if after > before + SLACK.get(name, 0):
            found.append(f"{name} grew from {before:g} to {after:g}")
    return found


def slope(points):
    """Give the median of the slopes between each two points: a few odd ones change nothing."""
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))


def _usual(looks, name):
    return median(held[name] for _, held in looks)
