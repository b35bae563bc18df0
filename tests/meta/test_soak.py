"""The soak can fail: its marks tell what grows from what is flat, and its counters see spares."""

from __future__ import annotations

import math
import random

import pytest

from tests.plugins.waiting import eventually
from tests.soak.held import Held, at_rest, left
from tests.soak.marks import grown, slope
from tests.soak.run import unseen

FLAT = {
    "objects": 700_000,
    "descriptors": 30,
    "threads": 14,
    "memory": 120.0,
    "spares": 2,
    "places": 2,
    "processes": 10,
}
POOL = {"WarmPool": {"default_size": 1, "refill_delay": 0.0, "min_free_memory": 0.0}}


def looks(**changes):
    """Make the looks of 2,000 cycles; each change says how much more there is after so many."""
    made = []
    for cycles in range(50, 2001, 50):
        held = FLAT | {name: FLAT.get(name, 0) + more(cycles) for name, more in changes.items()}
        made.append((cycles, Held(at=cycles / 2, **held)))
    return made


def noisy(cycles):
    """Fill a cold allocator, and go up and down between one full collection and the next."""
    chance = random.Random(cycles)
    return 30 * (1 - math.exp(-cycles / 150)) + cycles % 350 / 100 + chance.uniform(-0.5, 0.5)


def test_what_is_flat_passes_noise_and_first_use_included():
    connections = random.Random(7)
    assert grown(looks(memory=noisy, descriptors=lambda _: connections.randint(0, 3))) == []


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("memory", lambda cycles: noisy(cycles) + cycles * 10 / 1024),
        ("objects", lambda cycles: cycles * 40 + cycles % 150 * 20),
        ("descriptors", lambda cycles: cycles // 150),
        ("threads", lambda cycles: cycles // 200),
        ("places", lambda cycles: cycles // 400),
        ("processes", lambda cycles: cycles // 400),
        ("containers", lambda cycles: cycles // 400),
        ("networks", lambda cycles: cycles // 400),
        ("volumes", lambda cycles: cycles // 400),
    ],
)
def test_what_grows_is_named(name, more):
    (found,) = grown(looks(**{name: more}))
    assert found.startswith(f"{name} grew")


def test_too_few_looks_are_no_proof():
    assert grown(looks()[:9]) == ["too few looks to tell: 5 of at least 8"]


def test_odd_points_do_not_bend_a_line():
    assert slope([(1, 2.0), (2, 4.0), (3, 90.0), (4, 8.0), (5, 10.0)]) == pytest.approx(2.0)


def test_counters_that_do_not_see_spares_are_named():
    before, after = (Held(at=0, **FLAT | {"places": 0, "processes": 0}), Held(at=9, **FLAT))
    assert unseen([(0, before), (9, after)]) == []
    blind = Held(at=9, **FLAT | {"processes": 0})
    assert unseen([(0, before), (9, blind)]) == ["processes: 0 without spares, 0 with 2"]


async def test_the_counters_see_a_spare_of_a_real_server(servers, engine_name):
    server = servers.start(engine_name, config=POOL)
    nothing = left(server, engine_name)
    assert not any(nothing.values())
    session = server.create()["sessionId"]
    await eventually(lambda: at_rest(server, engine_name, 0, patience=0).spares == 1, 60)
    both = left(server, engine_name)
    server.ask("DELETE", f"sessmgr/session/{session}")
    spare = at_rest(server, engine_name, 1)
    counter = "containers" if engine_name == "docker" else "places"
    assert (both[counter], getattr(spare, counter)) == (2, 1)
    if engine_name == "process":  # agent, template, kernel and recorder at least
        assert both["processes"] == 2 * spare.processes >= 8
    server.stop()
    assert not any(left(server, engine_name).values())
