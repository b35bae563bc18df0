"""What flat means: nothing that a server holds may grow with the sessions that ever were. Pure.

Figures: a look is taken after each of some cycles, when all sessions have ended. Those from the
beginning do not count, since on first use there are threads and connections to make, modules to
import and caches to fill. What Jupyter keeps of a websocket for a minute after it was opened is as
much at each look, too, once a minute is over.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from statistics import median

#: Part of the cycles that do not count, and seconds that must be over at least.
WARM_UP, WARM_UP_SECONDS = 0.25, 90.0
#: So many looks are needed to tell anything.
FEWEST_LOOKS = 8
#: What a cycle may cost for good, in KiB. What the allocator does from look to look is less by the
#: end of 2,000 cycles; a websocket's buffers or a kernel manager would be 60 and more.
MOST_KIB = 2.0
#: By how much these may be more at a look than at the first that counts: connections come and go.
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
    each = slope([(cycles, held["memory"]) for cycles, held in warm]) * 1024
    if each > MOST_KIB:
        found.append(f"memory grows by {each:.1f} KiB a cycle")
    for name in warm[0][1].keys() - {"at", "memory", "spares"}:
        before, after = (_usual(part, name) for part in (warm[: len(warm) // 2], warm[-3:]))
        if after > before + SLACK.get(name, 0):
            found.append(f"{name} grew from {before:g} to {after:g}")
    return found


def slope(points):
    """Give the median of the slopes between each two points: a few odd ones change nothing."""
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))


def _usual(looks, name):
    return median(held[name] for _, held in looks)
