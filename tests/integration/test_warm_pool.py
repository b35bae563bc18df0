"""Spares on both engines, with real kernels."""

from __future__ import annotations

import contextlib

from traitlets.config import Config

from jupyter_sessmgr.model.session import PlaceState
from tests.plugins.managers import engine_name, managed, places, run_code, running
from tests.plugins.waiting import eventually

__all__ = ["engine_name"]

ONE = {"default_size": 1, "refill_delay": 0.0, "min_free_memory": 0.0}


def pool(**traits):
    return Config({"WarmPool": {**ONE, **traits}})


async def ready(manager, count=1):
    """Wait for spares, and return their places."""
    await eventually(
        lambda: manager.pool.counts() == {"ready": count, "booting": 0}, 60, what=f"{count} spares"
    )
    return [
        one
        for one in manager._parts.store.places()
        if one.pool_key and not one.session_id and one.state is PlaceState.MADE
    ]


async def test_a_start_takes_the_spare_and_another_is_made(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name, config=pool()) as manager:
        assert manager.pool.counts() == {"ready": 0, "booting": 0}
        first = await running(manager)
        (spare,) = await ready(manager)
        second = await running(manager)
        assert second.place_id == spare.id != first.place_id
        assert (manager.pool.hits, dict(manager.pool.misses)) == (1, {"none": 1})
        reply, written = await run_code(manager.connection_info(second.id), "print(6 * 7)")
        assert (reply["status"], written) == ("ok", "42\n")
        assert [one.status for one in second.history] == ["PENDING", "CREATING", "RUNNING"]
        (other,) = await ready(manager)
        assert other.id != spare.id
