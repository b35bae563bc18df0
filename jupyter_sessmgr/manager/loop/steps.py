"""Does the steps that `decide` chose."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from jupyter_sessmgr.manager.agents.bootconfig import kernel_config
from jupyter_sessmgr.manager.agents.words import KernelState
from jupyter_sessmgr.manager.loop import decide
from jupyter_sessmgr.manager.loop.ending import Ending
from jupyter_sessmgr.manager.loop.facts import Facts
from jupyter_sessmgr.manager.loop.freezing import Freezer
from jupyter_sessmgr.manager.loop.starting import Starter
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool.claiming import Claims
from jupyter_sessmgr.manager.pool.warm import WarmPool
from jupyter_sessmgr.model.errors import (
    AgentUnavailable,
    EngineUnavailable,
    SessmgrError,
    StoreError,
)
from jupyter_sessmgr.model.events import KernelDied, SessionMoved
from jupyter_sessmgr.model.ports import AGENT
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.model.status import STARTING, SessionStatus

#: Seconds to reach an agent before the engine is asked about it.
CONNECT_TIMEOUT = 2.0

_S = SessionStatus
_Doer = Callable[[Any, ComputeSession, Place | None], Awaitable[None]]


class Steps:
    """One method a step. Called by the reconciler, for one session at a time."""

    def __init__(self, parts: Parts, pool: WarmPool | None, *, stop_grace: float) -> None:
        self._parts = parts
        self._stop_grace = stop_grace
        self.facts = Facts(parts)
        self._starter = Starter(parts, self.facts.save)
        self._ending = Ending(parts, self.facts, stop_grace=stop_grace)
        self._claims = Claims(parts, self.facts, pool)
        freezer = Freezer(parts)
        self._doers: dict[type, _Doer] = {
            decide.MakePlace: self._make_place,
            decide.Move: self._move,
            decide.Connect: self._connect,
            decide.Settle: self._claims.settle,
            decide.LeavePlace: self._claims.leave,
            decide.StartKernel: self._start_kernel,
            decide.Mark: self._mark,
            decide.Suspend: freezer.suspend,
            decide.Resume: freezer.resume,
            decide.NoteExit: self._note_exit,
            decide.EndBatch: self._end_batch,
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

    async def _make_place(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        if place is None and await self._claims.claim(session):
            return
        memory = self._parts.memory
        try:
            await self._starter.start(session, place)
        except EngineUnavailable as error:
            now = time.monotonic()
            if now - memory.no_engine_since.setdefault(session.id, now) < self._starter.patience:
                raise
            await self.facts.give_up(
                session, f"The engine gave no answer to the start: {error.message}"
            )
        except SessmgrError as error:
            if isinstance(error, StoreError):
                raise
            await self.facts.give_up(session, error.message)
        else:
            memory.no_engine_since.pop(session.id, None)

    async def _connect(self, _step: object, session: ComputeSession, place: Place | None) -> None:
        endpoint = session.endpoint(AGENT)
        if place is None or endpoint is None:
            await self.facts.give_up(session, "The engine never said where the session is reached.")
            return
        try:
            await self._parts.links.connect(place.id, endpoint, CONNECT_TIMEOUT)
        except AgentUnavailable:
            if self._claims.is_unsettled(session, place):
                await self._claims.leave(_step, session, place)
                return
            await self._look_again(session, place)
            if session.status not in STARTING:
                raise
        self._claims.recognise(session, place)

    async def _look_again(self, session: ComputeSession, place: Place) -> None:
        """Ask the engine why an agent cannot be reached: it ended, or lives elsewhere now."""
        seen = (await self._parts.engine.look([place])).get(place.id)
        lost, elsewhere = decide.lost(seen), decide.moved(session, seen)
        if lost:
            await self.facts.give_up(session, lost)
        elif elsewhere:
            await self._move(decide.Move(elsewhere), session, place)

    async def _move(self, step: decide.Move, session: ComputeSession, place: Place | None) -> None:
        """Write the addresses first, so that nobody goes back to those of before (FAULTS C8)."""
        saved = await self.facts.save(replace(session, endpoints=step.endpoints))
        if place is not None:
            await self._parts.links.cut(place.id)
        if session.status not in STARTING:
            self._parts.log.info("Session %s is reached at other addresses now.", session.name)
            self._parts.bus.publish(SessionMoved(saved))

    async def _start_kernel(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        if place is None:
            return
        layout = self._parts.engine.layout(place, session.spec)
        parts = self._parts
        config = kernel_config(session, place, layout, parts.secrets, parts.memory.base_url)
        link = self._parts.links.get(place.id)
        self._parts.memory.booted_at[place.id] = time.monotonic()
        await link.start_kernel(config, grace=self._stop_grace)

    async def _mark(self, step: decide.Mark, session: ComputeSession, place: Place | None) -> None:
        changed = replace(session, status=step.status, status_info=step.info)
        if step.status is _S.RUNNING:
            kernel = self._parts.links.kernel(place.id) if place is not None else None
            changed = _as_running(changed, kernel)
        try:
            await self.facts.save(changed)
        except StoreError:
            # Ending comes first and writing it down later, or a full disk would keep
            # containers alive (FAULTS S3).
            if step.status is not _S.TERMINATING:
                raise
            await self._ending.end_unsaved(changed, place)

    async def _note_exit(
        self, step: decide.NoteExit, session: ComputeSession, _place: Place | None
    ) -> None:
        memory = self._parts.memory
        await self._parts.others.look()  # it may have been asked to end elsewhere
        session = self._parts.store.get(session.id) or session
        if session.id in memory.expected_exits or session.exit_wished >= step.exit.generation:
            memory.expected_exits.discard(session.id)
            await self.facts.save(replace(session, kernel_exit=replace(step.exit, expected=True)))
            return
        memory.note_death(session.id)
        saved = await self.facts.save(
            replace(session, kernel_exit=step.exit, status_info=step.exit.reason)
        )
        self._parts.log.warning("Session %s: %s", session.name, step.exit.reason)
        self._parts.bus.publish(KernelDied(saved, step.exit))

    async def _end_batch(
        self, step: decide.EndBatch, session: ComputeSession, _place: Place | None
    ) -> None:
        failure = "" if step.exit.code == 0 else decide.with_tail(step.exit)
        await self.facts.save(
            replace(
                session,
                status=_S.TERMINATING,
                kernel_exit=step.exit,
                status_info=step.exit.reason,
                failure=failure,
            )
        )

    async def _autorestart(
        self, _step: object, session: ComputeSession, _place: Place | None
    ) -> None:
        await self._parts.autorestart(session)

    async def _fail(self, step: decide.Fail, session: ComputeSession, _place: Place | None) -> None:
        await self.facts.save(replace(session, failure=step.failure, status_info=step.failure))

    async def _remove_place(
        self, _step: object, session: ComputeSession, place: Place | None
    ) -> None:
        if place is not None:
            await self._ending.remove(session, place)

    async def _finish(self, step: decide.Finish, session: ComputeSession, _place: object) -> None:
        await self._ending.finish(session, step.status)


def _as_running(session: ComputeSession, kernel: KernelState | None) -> ComputeSession:
    """Add to a session what is known of its kernel once it runs."""
    if kernel is None:
        return session
    # Where no kernel is wished for, a wish for another one is fulfilled at once.
    reached = kernel.generation if decide.runs_something(session) else session.generation
    return replace(
        session,
        status_info=session.status_info or kernel.warning,
        observed_generation=max(reached, session.observed_generation),
        encrypted=kernel.encrypted,
        language=kernel.language or session.language,
        started_at=session.started_at or time.time(),
    )
