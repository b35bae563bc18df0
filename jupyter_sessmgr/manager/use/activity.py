"""What of the use of sessions is written into their rows, and told to other servers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import fields, replace

from jupyter_sessmgr.manager.use.presence import SAY_AGAIN, Board
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.store.merging import Use


class Activity(Board):
    """The board, and what of it is written down.

    Rows get what is new with any other fact, when it matters, and once a minute. A server that
    follows writes no facts: it says how sessions are used, and that is added to what they have.
    """

    def stamp(self, session: ComputeSession) -> ComputeSession:
        """Return a session with what is known here."""
        known = self._known.get(session.id)
        if known is None:
            return session
        if known.queries_before is None:
            known.queries_before = session.queries - known.queries_written
        usage = _most(session.usage, known.usage)
        return replace(
            session,
            connected_at=session.connected_at or known.first_use,
            last_active_at=known.last_use or session.last_active_at,
            queries=known.queries_before + known.queries,
            cpu_ms=max(session.cpu_ms, usage.cpu_ms if usage is not None else 0),
            usage=usage,
        )

    # written down

    def take_due(self, session: ComputeSession) -> ComputeSession:
        """Stamp a session that is about to be written."""
        known = self._known.get(session.id)
        if known is not None:
            known.is_new = known.is_due = False
        return self.stamp(session)

    def written(self, row: ComputeSession, stamped: ComputeSession) -> None:
        """Note what a row has after it was written as `stamped`, and how others used it."""
        known = self._known.get(row.id)
        if known is not None and known.queries_before is not None:
            known.queries_written = stamped.queries - known.queries_before
        self.heard(None, row)

    # said to other servers, and heard from them

    def heard(self, before: ComputeSession | None, row: ComputeSession) -> None:
        """Note what another server wrote of a session's use; `before` is the row before that."""
        known = self._known.get(row.id)
        if known is not None and known.queries_before is not None:
            known.queries_before = row.queries - known.queries_written
        if before is not None and row.last_active_at != before.last_active_at:
            known = self.of(row.id)
            known.elsewhere_at = known.active_at = self.clock.now()

    def take_uses(self) -> list[Use]:
        """Say what the server that leads does not know of the use of sessions here.

        What is in use is said again and again, since it may only be in use here.
        """
        now, found = self.clock.now(), []
        for session_id, known in self._known.items():
            if known.clients and (known.told_at is None or now - known.told_at >= SAY_AGAIN):
                known.last_use, known.told_at = time.time(), None
            if known.told_at is None and known.last_use is not None:
                queries = known.queries - known.queries_written
                found.append(
                    Use(
                        session_id=session_id,
                        queries=queries,
                        first=known.first_use,
                        last=known.last_use,
                    )
                )
                known.queries_written += queries
                known.told_at, known.is_new = now, False
        return found

    def untake(self, uses: Iterable[Use]) -> None:
        """Take back that these were said: they could not be written."""
        for use in uses:
            known = self._known.get(use.session_id)
            if known is not None:
                known.queries_written -= use.queries
                known.told_at, known.is_new = None, True

    def write_all(self) -> None:
        """Have all rows written that lack something."""
        for session_id, known in self._known.items():
            if known.is_new:
                self._due(session_id, known)


def _most(before: Usage | None, now: Usage | None) -> Usage | None:
    """Join two measurements: sums only grow, and the highest memory stays the highest."""
    if before is None or now is None:
        return now or before
    grown = {
        one.name: max(getattr(before, one.name), getattr(now, one.name))
        for one in fields(Usage)
        if one.name not in _MOMENTARY
    }
    return replace(now, **grown)


#: What goes up and down.
_MOMENTARY = frozenset({"mem_bytes", "pids", "scratch_bytes"})
