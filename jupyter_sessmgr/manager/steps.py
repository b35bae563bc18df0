"""Does the steps that `decide` chose. The only writer of facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from jupyter_sessmgr.manager import decide
from jupyter_sessmgr.manager.bootconfig import kernel_config
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.starting import Starter
from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    EngineError,
    EngineUnavailable,
    NotRunning,
    SessmgrError,
    StoreError,
)
from jupyter_sessmgr.model.events import KernelDied, StatusChanged
from jupyter_sessmgr.model.ports import AGENT
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import STARTING, TRANSITIONS, SessionStatus

#: Bytes of log kept of a session that ended.
LOG_TAIL = 64 * 1024
#: Seconds to reach an agent before the engine is asked about it, and to ask a last time what a
#: session used.
CONNECT_TIMEOUT = 2.0
FAREWELL_TIMEOUT = 2.0

_S = SessionStatus
_Doer = Callable[[Any, ComputeSession, Place | None], Awaitable[None]]


class Steps:
    """One method a step. Called by the reconciler, for one session at a time."""

    def __init__(self, parts: Parts, *, stop_grace: float) -> None:
        self._parts = parts
        self._stop_grace = stop_grace
        self._starter = Starter(parts, self.save)
        self._doers: dict[type, _Doer] = {
            decide.MakePlace: self._make_place,
            decide.Connect: self._connect,
            decide.StartKernel: self._start_kernel,
            decide.Mark: self._mark,
            decide.NoteExit: self._note_exit,
            decide.Autorestart: self._autorestart,
            decide.Fail: self._fail,
            decide.RemovePlace: self._remove_place,
            decide.Finish: self._finish,
        }

    async def do(self, step: decide.Step, session: ComputeSession, place: Place | None) -> None:
        """Do one step. Errors of engine, agent and store mean: not done, try again."""
        await self._doers[type(step)](step, session, place)

    def interrupt(self, session_id: str) -> None:
        """Break off the start of a session."""
        self._starter.interrupt(session_id)

    async def save(self, session: ComputeSession) -> ComputeSession:
        """Write facts; when the status is another, say so to all."""
        before = self._parts.store.get(session.id)
        saved = await self._parts.store.save_facts(session)
        self._tell(before, saved)
        return saved

    async def save_end(self, ended: ComputeSession) -> None:
        """Write the end of a session that could not be written when it came."""
        await self._parts.store.save_facts(ended)
        self._parts.memory.unsaved_ends.pop(ended.id, None)
        self._parts.memory.forget(ended.id)

    def _tell(self, before: ComputeSession | None, session: ComputeSession) -> None:
        if before is not None and before.status is session.status:
            return
        was = before.status if before is not None else None
        if was is not None and session.status not in TRANSITIONS[was]:
            self._parts.log.error("Session %s went from %s to %s", session.id, was, session.status)
        why = session.failure or session.status_info
        self._parts.log.info(
            "Session %s (%s): %s%s",
            session.name,
            session.id,
            session.status,
            f": {why}" * bool(why),
        )
        self._parts.bus.publish(StatusChanged(session, was))

    async def _make_place(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        memory = self._parts.memory
        try:
            await self._starter.start(session, place)
        except EngineUnavailable as error:
            memory.start_attempts[session.id] += 1
            if memory.start_attempts[session.id] < self._starter.most_attempts:
                raise
            await self._give_up(session, f"The engine gave no answer to the start: {error.message}")
        except SessmgrError as error:
            if isinstance(error, StoreError):
                raise
            await self._give_up(session, error.message)
        else:
            memory.start_attempts.pop(session.id, None)

    async def _give_up(self, session: ComputeSession, failure: str) -> None:
        current = self._parts.store.get(session.id) or session
        await self.save(replace(current, failure=failure, status_info=failure))

    async def _connect(self, _step: object, session: ComputeSession, place: Place | None) -> None:
        endpoint = session.endpoint(AGENT)
        if place is None or endpoint is None:
            await self._give_up(session, "The engine never said where the session is reached.")
            return
        try:
            await self._parts.links.connect(place.id, endpoint, CONNECT_TIMEOUT)
        except AgentUnavailable:
            await self._look_again(session, place)
            if session.status not in STARTING:
                raise

    async def _look_again(self, session: ComputeSession, place: Place) -> None:
        """Ask the engine why an agent cannot be reached: it ended, or lives elsewhere now."""
        seen = (await self._parts.engine.look([place])).get(place.id)
        lost = decide.lost(seen)
        if lost:
            await self._give_up(session, lost)
        elif seen is not None and seen.endpoints and seen.endpoints != session.endpoints:
            await self.save(replace(session, endpoints=seen.endpoints))

    async def _start_kernel(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        if place is None:
            return
        layout = self._parts.engine.layout(place, session.spec)
        config = kernel_config(session, place, layout, self._parts.secrets)
        link = self._parts.links.get(place.id)
        self._parts.memory.booted_at[place.id] = time.monotonic()
        await link.start_kernel(config, grace=self._stop_grace)

    async def _mark(self, step: decide.Mark, session: ComputeSession, place: Place | None) -> None:
        changed = replace(session, status=step.status, status_info=step.info)
        if step.status is _S.RUNNING:
            changed = self._running(changed, place)
        try:
            await self.save(changed)
        except StoreError:
            # Ending comes first and writing it down later, or a full disk would keep
            # containers alive (FAULTS S3).
            if step.status is not _S.TERMINATING:
                raise
            await self._end_unsaved(changed, place)

    def _running(self, session: ComputeSession, place: Place | None) -> ComputeSession:
        kernel = self._parts.links.kernel(place.id) if place is not None else None
        if kernel is None:
            return session
        return replace(
            session,
            status_info=session.status_info or kernel.warning,
            observed_generation=max(kernel.generation, session.observed_generation),
            encrypted=kernel.encrypted,
            language=kernel.language or session.language,
            started_at=session.started_at or time.time(),
        )

    async def _note_exit(
        self, step: decide.NoteExit, session: ComputeSession, _place: Place | None
    ) -> None:
        memory = self._parts.memory
        if session.id in memory.expected_exits:
            memory.expected_exits.discard(session.id)
            await self.save(replace(session, kernel_exit=step.exit))
            return
        memory.note_death(session.id)
        saved = await self.save(
            replace(session, kernel_exit=step.exit, status_info=step.exit.reason)
        )
        self._parts.log.warning("Session %s: %s", session.name, step.exit.reason)
        self._parts.bus.publish(KernelDied(saved, step.exit))

    async def _autorestart(
        self, _step: object, session: ComputeSession, _place: Place | None
    ) -> None:
        await self._parts.autorestart(session)

    async def _fail(self, step: decide.Fail, session: ComputeSession, _place: Place | None) -> None:
        await self.save(replace(session, failure=step.failure, status_info=step.failure))

    async def _remove_place(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        if place is None:
            return
        changed = await self._farewell(session, place)
        await self._stop(session, place)
        try:
            await self.save(replace(changed, place_id="", endpoints=()))
            await self._parts.store.save_place(
                replace(place, state=PlaceState.DOOMED, session_id=None)
            )
        except StoreError:
            self._end_in_memory(changed)
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
        self._parts.memory.booted_at.pop(place.id, None)

    async def _farewell(self, session: ComputeSession, place: Place) -> ComputeSession:
        """Keep what is worth keeping of a session that ends: its use and its last lines."""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                link = self._parts.links.get(place.id)
                usage = await link.usage()
                tail = await link.logs(LOG_TAIL)
        except (NotRunning, AgentError, TimeoutError):
            return replace(session, log_tail=await self._engine_log(place) or session.log_tail)
        return replace(session, cpu_ms=max(session.cpu_ms, usage.cpu_ms), log_tail=tail)

    async def _engine_log(self, place: Place) -> str:
        if place.engine_id != self._parts.engine.engine_id:
            return ""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                log = await self._parts.engine.logs(place, LOG_TAIL)
        except (EngineError, TimeoutError):
            return ""
        return log.decode(errors="replace").replace("\0", "")

    async def _end_unsaved(self, session: ComputeSession, place: Place | None) -> None:
        if place is not None:
            await self._stop(session, place)
        self._end_in_memory(session)
        raise StoreError("The session ended; that could not be written down yet.")

    def _end_in_memory(self, session: ComputeSession) -> None:
        status = _S.ERROR if session.failure else _S.TERMINATED
        ended = replace(session, status=status, place_id="", endpoints=(), ended_at=time.time())
        if session.id not in self._parts.memory.unsaved_ends:
            self._parts.memory.unsaved_ends[session.id] = ended
            self._parts.bus.publish(StatusChanged(ended, session.status))

    async def _finish(self, step: decide.Finish, session: ComputeSession, _place: object) -> None:
        await self.save(replace(session, status=step.status, ended_at=time.time()))
        self._parts.memory.forget(session.id)
