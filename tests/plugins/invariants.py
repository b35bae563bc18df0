"""What holds of a real manager after any fault, once it has come to rest (FAULTS I1-I4, I7, I9)."""

from __future__ import annotations

from jupyter_sessmgr.model.errors import EngineUnavailable, StoreError
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.managers import places
from tests.plugins.waiting import eventually


async def at_rest(manager, acknowledged=(), timeout=60):
    """Sweep until nothing is left to do, then check that rows and places agree.

    `acknowledged` are the ids of sessions that somebody was told of.
    """
    for _ in range(2):  # what comes late is noticed by the second
        await eventually(lambda: _swept(manager), timeout, 0.1, "the engine answers")
        await eventually(lambda: not _restless(manager), timeout, what=lambda: _restless(manager))
    await eventually(lambda: manager.health().available, timeout, what="health")
    live = manager._parts.store.sessions()
    rows = {one: manager._session(one) for one in acknowledged}  # I1: raises where one is lost
    await eventually(lambda: _agree(manager), timeout, 0.1, "I2, I3: rows and places agree")
    assert len({(one.owner, one.name) for one in live}) == len(live), "I6"
    return rows


async def _agree(manager):
    """Tell whether rows and places agree; a spare may come or go while the engine is asked."""
    before, there = _wanted(manager), await places(manager)
    return before == there == _wanted(manager)


def _wanted(manager):
    store = manager._parts.store
    sessions = {one.place_id: True for one in store.sessions()}
    spares = {
        one.id: True
        for one in store.places()
        if one.session_id is None and one.state is not PlaceState.DOOMED
    }
    return sessions | spares


async def _swept(manager):
    try:
        await manager._reconciler.sweep()
    except (EngineUnavailable, StoreError):
        return False
    return True


def _restless(manager):
    """Name what is in between (I4), or waits for an answer (I7)."""
    between = [one for one in manager._parts.store.sessions() if not _settled(one)]
    unknown = manager._parts.memory.unknown
    return [*between, *unknown.items(), *([] if manager._reconciler.is_idle else ["work"])]


def _settled(session):
    running = session.status is SessionStatus.RUNNING
    return (running or session.status is SessionStatus.SUSPENDED) and (
        session.observed_generation >= session.generation
    )
