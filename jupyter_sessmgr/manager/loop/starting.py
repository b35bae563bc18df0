"""Starts a place: intent first, the engine after, every checkpoint saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from jupyter_sessmgr.engines.base import Checkpoint
from jupyter_sessmgr.manager.agents.bootconfig import boot_bytes
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.events import StartProgressed
from jupyter_sessmgr.model.naming import new_place_id
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import SessionStatus

_S = SessionStatus
#: Seconds between two notes of progress in the store; events are not held back.
NOTE_INTERVAL = 1.0


class Starter:
    """Makes the place of a session, or goes on where an earlier start stopped."""

    #: Seconds for which a start may find no engine before the session is given up: more than an
    #: engine takes to be started again.
    patience = 60.0

    def __init__(
        self, parts: Parts, save: Callable[[ComputeSession], Awaitable[ComputeSession]]
    ) -> None:
        self._parts = parts
        self._save = save
        self._starts: dict[str, asyncio.Task[None]] = {}
        self._noted_at: dict[str, float] = {}

    def interrupt(self, session_id: str) -> None:
        """Break off a session's start; what exists by then is removed by the next steps."""
        task = self._starts.get(session_id)
        if task is not None:
            task.cancel()

    async def start(self, session: ComputeSession, place: Place | None) -> None:
        """Have the engine make the place, and write down what it says.

        Raises
        ------
        EngineError
            when the engine refused; EngineUnavailable when it gave no answer.
        """
        session, place = await self._intend(session, place)
        task = asyncio.create_task(self._run(session, place), name=f"sessmgr-start-{session.id}")
        self._starts[session.id] = task
        try:
            await asyncio.wait([task])
        finally:
            # Ours was cancelled, or the start was: either way nothing may go on behind our back.
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            del self._starts[session.id]
            self._noted_at.pop(session.id, None)
        if isinstance(ended, Exception):
            raise ended

    async def _intend(
        self, session: ComputeSession, place: Place | None
    ) -> tuple[ComputeSession, Place]:
        """Write down which place there will be, before there is one (FAULTS, rule 1)."""
        engine = self._parts.engine
        if not engine.engine_id:
            raise EngineUnavailable(f"The engine {engine.name} does not answer yet.")
        if place is not None:
            if place.engine_id != engine.engine_id:
                raise EngineUnavailable(
                    "The session was being started on another engine than the one that answers "
                    "now.",
                    session=session.name,
                )
            return session, place
        place = Place(
            id=new_place_id(),
            engine_id=engine.engine_id,
            session_id=session.id,
            created_at=time.time(),
        )
        # The session's row first: a place without a session is an orphan to the sweep.
        session = await self._save(replace(session, place_id=place.id))
        await self._parts.store.save_place(place)
        return session, place

    async def _run(self, session: ComputeSession, place: Place) -> None:
        boot = boot_bytes(session, place, self._parts)
        started_at = time.monotonic()
        endpoints = None
        steps = self._parts.engine.start(place, session.spec, boot)
        try:
            async for checkpoint in steps:
                if checkpoint.key and checkpoint.key != place.key:
                    place = replace(place, key=checkpoint.key, image_digest=checkpoint.image_digest)
                endpoints = checkpoint.endpoints or None
                if endpoints is None:
                    await self._note(session.id, checkpoint)
        finally:
            close = getattr(steps, "aclose", None)
            if close is not None:
                await close()
        if endpoints is None:
            raise EngineError("The engine did not say where the session is reached.")
        self._parts.memory.booted_at[place.id] = started_at
        await self._made(session.id, place, checkpoint)

    async def _made(self, session_id: str, place: Place, checkpoint: Checkpoint) -> None:
        session = self._parts.store.get(session_id)
        if session is not None:
            session = await self._save(
                replace(
                    session,
                    status=_S.CREATING,
                    status_info="booting",
                    endpoints=checkpoint.endpoints,
                )
            )
            self._parts.bus.publish(StartProgressed(session, "booting", "booting", None))
        # Last, since a place that is made is not started again and must be reachable.
        await self._parts.store.save_place(replace(place, state=PlaceState.MADE))

    async def _note(self, session_id: str, checkpoint: Checkpoint) -> None:
        session = self._parts.store.get(session_id)
        if session is None:
            return
        status = session.status
        if checkpoint.phase != "pulling":
            status = _S.CREATING
        elif status is _S.PENDING:
            status = _S.PULLING
        info = checkpoint.info or checkpoint.phase
        noted = replace(session, status=status, status_info=info)
        now = time.monotonic()
        if status is not session.status or now - self._noted_at.get(session_id, 0) > NOTE_INTERVAL:
            self._noted_at[session_id] = now
            noted = await self._save(noted)
        self._parts.bus.publish(StartProgressed(noted, checkpoint.phase, info, checkpoint.progress))
