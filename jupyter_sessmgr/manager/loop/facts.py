"""Writes facts down, and tells them. Nothing else writes a session's facts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.session import ComputeSession, Place, StatusNote
from jupyter_sessmgr.model.status import TRANSITIONS, SessionStatus

#: Notes kept of a session's first statuses, and of its latest ones.
FIRST_NOTES, LAST_NOTES = 16, 48


class Facts:
    """The pen of the reconciler. Used by its steps, for one session at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def save(self, session: ComputeSession) -> ComputeSession:
        """Write facts, and what is new of the session's use; tell all of another status."""
        before = self._parts.store.get(session.id)
        stamped = self._parts.activity.take_due(session)
        saved = await self._parts.store.save_facts(with_history(before, stamped))
        self._parts.activity.written(saved, stamped)
        self._tell(before, saved)
        return saved

    async def claim(self, session: ComputeSession, place: Place) -> ComputeSession | None:
        """Write facts and the session's new place in one step; None when either is not free."""
        before = self._parts.store.get(session.id)
        saved = await self._parts.store.claim(with_history(before, session), place)
        if saved is not None:
            self._tell(before, saved)
        return saved

    async def save_use(self, session: ComputeSession) -> None:
        """Write down how a session is used, if that is due."""
        if session.is_live and self._parts.activity.of(session.id).is_due:
            await self.save(session)

    async def save_stop(self, session_id: str) -> None:
        """Write a wish to stop that could not be written when it came; it stays in memory.

        Its reason is in no other column, and the row of an ended session is not changed any more.
        """
        wish = self._parts.memory.unsaved_stops.get(session_id)
        row = self._parts.store.get(session_id)
        if wish is None or row is None or row.status.is_final or wish(row) == row:
            return
        try:
            await self._parts.store.save_wish(wish(row))
        except StoreError as error:
            self._parts.log.debug("The end of %s is still not written down: %s", row.name, error)

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
        why = session.why
        self._parts.log.info(
            "Session %s (%s): %s%s",
            session.name,
            session.id,
            session.status,
            f": {why}" * bool(why),
        )
        self._parts.bus.publish(StatusChanged(session, was))

    async def give_up(self, session: ComputeSession, failure: str) -> None:
        """Write down why a session failed; its end follows from that."""
        current = self._parts.store.get(session.id) or session
        await self.save(replace(current, failure=failure, status_info=failure))

    def end_in_memory(self, session: ComputeSession) -> None:
        """Tell of an end that cannot be written down yet; the reconciler tries again."""
        status = SessionStatus.ERROR if session.failure else SessionStatus.TERMINATED
        ended = replace(session, status=status, place_id="", endpoints=(), ended_at=time.time())
        ended = with_history(session, ended)
        if session.id not in self._parts.memory.unsaved_ends:
            self._parts.memory.unsaved_ends[session.id] = ended
            self._parts.bus.publish(StatusChanged(ended, session.status))


def with_history(before: ComputeSession | None, session: ComputeSession) -> ComputeSession:
    """Write a session's status into its history, when it is another than before.

    Of a session that comes and goes for ever, the middle of the history is left out.
    """
    known: Sequence[StatusNote] = before.history if before is not None else session.history
    if before is not None and before.status is session.status and known:
        return replace(session, history=tuple(known))
    note = StatusNote(status=session.status, at=time.time(), info=session.why)
    if len(known) >= FIRST_NOTES + LAST_NOTES:
        known = (*known[:FIRST_NOTES], *known[-(LAST_NOTES - 1) :])
    return replace(session, history=(*known, note))
