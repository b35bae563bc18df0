"""A page costs the same, however many sessions are not on it."""

from __future__ import annotations

import time
from dataclasses import replace

from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.mirror import Mirror
from tests.plugins.stores import a_session


def mirror_of(count):
    session = a_session(status=SessionStatus.TERMINATED)
    return Mirror(replace(session, id=str(n), number=n) for n in range(1, count + 1))


def cost(mirror, **where):
    """Return the least seconds of many pages, which other programs disturb least."""
    least = float("inf")
    for _ in range(200):
        began = time.perf_counter()
        mirror.page("ada", SessionStatus, limit=50, **{"before": None, "offset": 0, **where})
        least = min(least, time.perf_counter() - began)
    return least


def test_a_page_of_10000_costs_at_most_twice_a_page_of_100():
    small, large = mirror_of(100), mirror_of(10_000)
    usual = cost(small)
    assert cost(large) <= 2 * usual
    assert cost(large, before=5_000) <= 2 * usual
    assert cost(large, before=51) <= 2 * usual


def test_a_page_by_offset_is_found_by_halving():
    small, large = mirror_of(100), mirror_of(10_000)
    assert cost(large, offset=9_900) <= 2 * cost(small, offset=50)
