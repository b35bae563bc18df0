"""Ends a session: what is worth keeping is kept, the place goes, the rows follow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from jupyter_sessmgr.manager.loop.facts import Facts
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import (
    EngineError,
    EngineUnavailable,
    SessmgrError,
    StoreError,
)
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import SessionStatus

#: Bytes of log kept of a session that ended.
LOG_TAIL = 64 * 1024
#: Seconds to ask a last time what a session used and wrote.
FAREWELL_TIMEOUT = 2.0


class Ending:
    """The last steps of a session. `stop_grace` is in seconds."""

    def __init__(self, parts: Parts, facts: Facts, *, stop_grace: float) -> None:
        self._parts = parts
        self._facts = facts
        self._stop_grace = stop_grace

    async def remove(self, session: ComputeSession, place: Place) -> None:
        """Remove a session's place, and write its row off after it."""
        changed = await self._farewell(session, place)
        await self._stop(session, place)
        try:
            await self._facts.save(replace(changed, place_id="", endpoints=()))
            await self._parts.store.save_place(
                replace(place, state=PlaceState.DOOMED, session_id=None)
            )
        except StoreError:
            self._facts.end_in_memory(changed)
            raise

    async def _stop(self, session: ComputeSession, place: Place) -> None:
        engine = self._parts.engine
        if place.engine_id != engine.engine_id:
            raise EngineUnavailable(
                "The session runs on another engine than the one that answers now; it is "
                "ended there as soon as that one answers again.",
                session=session.name,
            )
        await self._parts.links.drop(place.id)
        await engine.stop(place, 0.0 if session.forced else self._stop_grace)
        self._parts.memory.forget_place(place.id)

    async def _farewell(self, session: ComputeSession, place: Place) -> ComputeSession:
        """Keep what is worth keeping of a session that ends: its use and its last lines."""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                link = self._parts.links.get(place.id)
                usage = await link.usage()
                tail = await link.logs(LOG_TAIL)
        except (SessmgrError, TimeoutError):  # whatever it refuses with, it is ended
            return replace(session, log_tail=await self._engine_log(place) or session.log_tail)
        cpu_ms = max(session.cpu_ms, usage.cpu_ms)
        usage = replace(usage, cpu_ms=cpu_ms)
        self._parts.activity.note_usage(session.id, usage)
        return replace(session, cpu_ms=cpu_ms, usage=usage, log_tail=tail)

    async def _engine_log(self, place: Place) -> str:
        if place.engine_id != self._parts.engine.engine_id:
            return ""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                log = await self._parts.engine.logs(place, LOG_TAIL)
        except (EngineError, TimeoutError):
            return ""
        return log.decode(errors="replace").replace("\0", "")

    async def end_unsaved(self, session: ComputeSession, place: Place | None) -> None:
        """End a session whose ending cannot be written down: that comes later (FAULTS S3).

        Raises
        ------
        StoreError
            always, so that the writing is tried again.
        """
        if place is not None:
            await self._stop(session, place)
        self._facts.end_in_memory(session)
        raise StoreError("The session ended; that could not be written down yet.")

    async def finish(self, session: ComputeSession, status: SessionStatus) -> None:
        """Write a session's final status, when nothing of it is left."""
        await self._facts.save(replace(session, status=status, ended_at=time.time()))
        self._parts.memory.forget(session.id)
