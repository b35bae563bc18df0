"""Lets a place's clock stand, and go on."""

from __future__ import annotations

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.session import ComputeSession, Place


class Freezer:
    """The steps of suspending and resuming; see `Steps`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def suspend(self, _step: object, session: ComputeSession, place: Place | None) -> None:
        """Have the engine suspend a place. When it refuses, the session goes on."""
        if place is None:
            return
        await self._parts.links.drop(place.id)  # its heartbeats would go unanswered
        try:
            await self._parts.engine.suspend(place)
        except EngineUnavailable:
            raise
        except EngineError as error:
            self._parts.memory.unsuspendable[session.id] = error.message
            self._parts.log.warning("Session %s goes on: %s", session.name, error)

    async def resume(self, _step: object, _session: object, place: Place | None) -> None:
        """Have the engine resume a place; its agent is reached by the next step."""
        if place is not None:
            await self._parts.engine.resume(place)
