"""A manager that kills itself at a named point; run as a program by tests/faults/test_P1.

Usage: python -m tests.plugins.killpoints STATE_DIR ENGINE POINT SCENARIO
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from jupyter_sessmgr.engines.choose import ENGINES
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.managers import without_spares
from tests.plugins.waiting import eventually

#: Point -> what has to have happened before it counts.
CREATE = [
    "add.after",
    "place INTENDED.before",
    "place INTENDED.after",
    "engine.start.before",
    "engine.start.creating",
    "engine.start.booting",
    "place MADE.after",
    "facts CREATING endpoints.after",
    "facts RUNNING.before",
    "facts RUNNING.after",
]
RESTART = [
    "wish generation.after",
    "facts RESTARTING.after",
    "kernel.start.before",
    "kernel.start.after",
    "facts RESTARTED.before",
    "facts RESTARTED.after",
]
DESTROY = [
    "wish STOP.after",
    "facts TERMINATING.after",
    "engine.stop.before",
    "engine.stop.after",
    "place DOOMED.before",
    "facts TERMINATED.before",
]
#: Of a spare that is made, and of a second session that takes it.
SPARE = [
    "spare INTENDED.after",
    "spare start.booting",
    "spare MADE.before",
    "spare MADE.after",
    "claim.before",
    "claim.after",
    "set_claim.before",
    "set_claim.after",
]
POINT = ""


def at(point):
    """Die here, as by `kill -9`, when this is the point."""
    if point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(SqliteStore):
    """Dies before or after a write."""

    async def add(self, session, quota):
        added = await super().add(session, quota)
        at("add.after")
        return added

    async def save_place(self, place):
        what = "spare" if place.pool_key and not place.session_id else "place"
        at(f"{what} {place.state}.before")
        await super().save_place(place)
        at(f"{what} {place.state}.after")

    async def claim(self, session, place):
        at("claim.before")
        claimed = await super().claim(session, place)
        at("claim.after")
        return claimed

    async def save_wish(self, session):
        name = "STOP" if session.goal == "STOP" else "generation"
        saved = await super().save_wish(session)
        at(f"wish {name}.after")
        return saved

    async def save_facts(self, session):
        name = str(session.status)
        if name == "RUNNING" and session.observed_generation > 1:
            name = "RESTARTED"
        elif name == "CREATING" and session.endpoints:
            name = "CREATING endpoints"
        at(f"facts {name}.before")
        saved = await super().save_facts(session)
        at(f"facts {name}.after")
        return saved


def killing(engine_class):
    """Make an engine class that dies around its calls."""

    class KillingEngine(engine_class):
        async def start(self, place, spec, boot):
            at("engine.start.before")
            async for checkpoint in super().start(place, spec, boot):
                yield checkpoint
                what = "spare " if place.pool_key else "engine."
                at(f"{what}start.{checkpoint.phase}")

        async def stop(self, place, grace):
            at("engine.stop.before")
            await super().stop(place, grace)
            at("engine.stop.after")

    return KillingEngine


async def start_kernel(self, *args, **kwargs):
    """Stand in for `AgentLink.start_kernel`."""
    at("kernel.start.before")
    answer = await _start_kernel(self, *args, **kwargs)
    at("kernel.start.after")
    return answer


async def set_claim(self, *args, **kwargs):
    """Stand in for `AgentLink.set_claim`."""
    at("set_claim.before")
    await _set_claim(self, *args, **kwargs)
    at("set_claim.after")


_start_kernel = AgentLink.start_kernel
AgentLink.start_kernel = start_kernel
_set_claim = AgentLink.set_claim
AgentLink.set_claim = set_claim


def _engine(name):
    from traitlets.utils.importstring import import_item

    return killing(import_item(ENGINES[name]))


def __getattr__(name):
    """Give ``Killing_docker`` and ``Killing_process`` to the manager's import path."""
    if name.startswith("Killing_"):
        return _engine(name.removeprefix("Killing_"))
    raise AttributeError(name)


async def main(state_dir, engine, scenario):
    """Run one session through the scenario, telling on stdout what was acknowledged."""
    with_spares = {"WarmPool": {"default_size": 1, "refill_delay": 0.0, "min_free_memory": 0.0}}
    manager = ComputeSessionManager(
        state_dir=state_dir,
        engine=f"tests.plugins.killpoints.Killing_{engine}",
        store_class=KillingStore,
        config=without_spares(with_spares if scenario == "spare" else {}),
    )
    await manager.open()
    session, _ = await manager.create(CreateRequest(name="kill-point"), "me")
    print("created", session.id, flush=True)
    await manager.settled(session.id, 60)
    print("running", flush=True)
    if scenario == "restart":
        await manager.restart(session.id, 60)
        print("restarted", flush=True)
    if scenario == "spare":
        await eventually(lambda: manager.pool.counts()["ready"], 60)
        print("spare", flush=True)
        second, _ = await manager.create(CreateRequest(name="second"), "me")
        await manager.settled(second.id, 60)
        print("second", flush=True)
    if scenario == "destroy":
        await manager.destroy(session.id)
        print("destroyed", flush=True)


if __name__ == "__main__":
    # The manager imports this module by name; both copies must know the point.
    import tests.plugins.killpoints as itself

    itself.POINT = sys.argv[3]
    asyncio.run(itself.main(sys.argv[1], sys.argv[2], sys.argv[4]))
