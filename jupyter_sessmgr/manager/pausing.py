"""What the doors may ask about a session's clock: let it stand, let it go on, give it more time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from traitlets import Float

from jupyter_sessmgr.manager.kernelverbs import KernelVerbs
from jupyter_sessmgr.model.errors import (
    EngineUnavailable,
    LimitExceeded,
    NotRunning,
    Unsupported,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal, SessionStatus

_S = SessionStatus


class PauseVerbs(KernelVerbs):
    """The part of the manager that suspends and resumes."""

    resume_timeout = Float(
        30.0,
        config=True,
        help="""Seconds that a request to suspend or resume a session waits for it. The session
        is suspended or resumed all the same when it takes longer.""",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inside.wake = self.resume  # whose use it is, and whether it counts, doors know

    async def suspend(self, session_id: str) -> ComputeSession:
        """Let a running session's clock stand; its memory stays. Harmless when it does.

        Raises
        ------
        Unsupported
            when the engine cannot; NotRunning unless it runs; EngineUnavailable when it takes
            longer than `resume_timeout`.
        """
        session, parts = self._session(session_id), self._open_parts()
        if not parts.engine.capabilities.suspend:
            raise Unsupported(
                f"The {parts.engine.name} engine cannot suspend sessions; a session that nobody "
                "uses can only go on, or be destroyed.",
                session=session.name,
            )
        if session.status not in {_S.RUNNING, _S.RESTARTING, _S.SUSPENDED}:
            raise NotRunning(
                f"Session {session.name} is {session.status}, so it cannot be suspended.",
                session=session.name,
            )
        parts.memory.unsuspendable.pop(session_id, None)
        return await self._aim(session, Goal.SUSPEND, _S.SUSPENDED)

    async def resume(self, session_id: str) -> ComputeSession:
        """Let a suspended session go on; returns when its kernel can be used. Harmless when it can.

        Raises
        ------
        NotRunning
            when it has ended; EngineUnavailable when it takes longer than `resume_timeout`.
        """
        session = self._session(session_id)
        if not session.is_live:
            raise NotRunning(f"Session {session.name} has ended.", session=session.name)
        if session.goal is Goal.RUN and session.status is not _S.SUSPENDED:
            return session
        return await self._aim(session, Goal.RUN, _S.RUNNING)

    async def resume_for_use(self, session_id: str) -> ComputeSession:
        """Note that somebody is about to use a session, and resume it if it is suspended.

        Called by every door before it hands a session over: attach, websockets of kernels,
        executions, services. Costs nothing when it is not suspended; raises as `resume`.
        """
        session = await self.resume(session_id)
        self.activity.touch(session_id)
        return session

    async def extend(self, session_id: str, seconds: float) -> ComputeSession:
        """Keep a session for some time from now, though nobody uses it; a longer time stays.

        Its lifetime is not extended, and a suspended one is not resumed.

        Raises
        ------
        LimitExceeded
            when that is longer than `IdleCuller.max_extension`; NotRunning when it has ended.
        """
        session, most = self._session(session_id), self.idle.max_extension
        _refuse_ending(session)
        if seconds > most:
            raise LimitExceeded(
                f"A session can be kept for {most:.0f} seconds at a time; ask for less."
                if most
                else "This server lets nobody extend the time of a session; use it instead.",
                session=session.name,
                limit=most,
                asked=seconds,
            )
        kept = await self._open_wishes().keep(session, time.time() + seconds)
        _refuse_ending(kept)  # its end may have been wished for meanwhile
        return kept

    async def _aim(
        self, session: ComputeSession, goal: Goal, status: SessionStatus
    ) -> ComputeSession:
        """Wish for a goal, and wait for the status that comes of it."""
        wish = await self._open_wishes().aim(session, goal)

        def is_there() -> bool:
            now = self._session(session.id)
            return now.status is status or now.goal is not goal or not now.is_live

        if wish.goal is goal:
            try:
                async with asyncio.timeout(self.resume_timeout):
                    await self._open_parts().bus.until(is_there)
            except TimeoutError:
                why = self._open_parts().memory.unknown.get(session.id, "it takes long.")
                raise EngineUnavailable(
                    f"Session {session.name} is {self._session(session.id).status} still: {why}",
                    session=session.name,
                ) from None
        now = self._session(session.id)
        if now.status is not status:
            raise NotRunning(f"Session {now.name} is {now.status}.", session=now.name)
        return now


def _refuse_ending(session: ComputeSession) -> None:
    if not session.is_live or session.goal is Goal.STOP:
        raise NotRunning(f"Session {session.name} has ended.", session=session.name)
