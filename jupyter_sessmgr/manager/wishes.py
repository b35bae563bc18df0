"""Writes wishes down, and has them looked at. Nothing else writes a session's wishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.reconciler import SessionReconciler
from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal

#: Why sessions end that somebody asked to end, and those that end with their server.
USER_REQUESTED, SERVER_STOPPED = "user-requested", "server-stopped"


class Wishes:
    """The pen of the manager."""

    def __init__(self, parts: Parts, reconciler: SessionReconciler) -> None:
        self._parts = parts
        self._reconciler = reconciler

    def made(self, session: ComputeSession) -> None:
        """Have a session that was just added looked at."""
        self._reconciler.poke(session.id)

    async def stop(
        self, session: ComputeSession, *, forced: bool = False, reason: str = USER_REQUESTED
    ) -> None:
        """Wish for a session's end. A wish that cannot be stored travels in memory.

        Of several reasons the first is kept: it is the one that the session ends for.
        """
        current = self._parts.store.get(session.id) or session
        wish = replace(
            current,
            goal=Goal.STOP,
            forced=forced or current.forced,
            stop_reason=current.stop_reason or reason,
        )
        try:
            await self._parts.store.save_wish(wish)
        except StoreError as error:
            self._parts.log.warning(
                "The end of session %s is not written down yet: %s", session.name, error
            )
            self._parts.memory.unsaved_stops[session.id] = wish.forced
        self._reconciler.interrupt_start(session.id)
        self._reconciler.poke(session.id)

    async def stop_all(
        self, sessions: Sequence[ComputeSession], *, reason: str = SERVER_STOPPED
    ) -> None:
        """Wish for the end of these, and wait until nothing of them is left."""
        for session in sessions:
            await self.stop(session, reason=reason)
        ids = [session.id for session in sessions]
        await self._parts.bus.until(lambda: not any(map(self._is_live, ids)))

    async def restart(self, session: ComputeSession) -> None:
        """Wish for another kernel: a number, so a wish that is repeated does no harm."""
        current = self._parts.store.get(session.id) or session
        await self._parts.store.save_wish(replace(current, generation=current.generation + 1))
        self._reconciler.poke(session.id)

    def _is_live(self, session_id: str) -> bool:
        ended = session_id in self._parts.memory.unsaved_ends
        session = self._parts.store.get(session_id)
        return not ended and session is not None and session.is_live
