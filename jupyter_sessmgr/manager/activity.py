"""Who uses which session, and when it was used last. Kept in memory; rows get it now and then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from jupyter_sessmgr.manager.clock import ServerClock
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage


@dataclass(slots=True)
class Presence:
    """What is known of the use of one session. Times are the server clock's."""

    #: When this server first heard of it.
    since: float
    #: When it was used last; while somebody is connected or code runs, it is in use now.
    active_at: float
    #: How many clients are connected.
    clients: int = 0
    #: Whether its kernel is busy; None: unknown, which is not idle.
    busy: bool | None = None
    #: Seconds since the epoch of the first and the last use that this server saw.
    first_use: float | None = None
    last_use: float | None = None
    #: Executions that this server saw, and those that the row had before.
    queries: int = 0
    queries_before: int | None = None
    usage: Usage | None = None
    #: Whether the row has not all of this yet, and whether it is to have it now.
    is_new: bool = False
    is_due: bool = False


class Activity:
    """The board on which doors, the pulse and the meter note what sessions do.

    Every note is a change in memory, whatever its number; rows get what is new with any other
    fact, when it matters, and once a minute.

    Parameters
    ----------
    clock : ServerClock, optional
        Decides how long ago something was.
    """

    def __init__(self, clock: ServerClock | None = None) -> None:
        self.clock = clock or ServerClock()
        self._known: dict[str, Presence] = {}
        self._write: Callable[[str], None] = lambda _session_id: None

    def on_due(self, write: Callable[[str], None]) -> None:
        """Have `write` called with the id of a session whose row is to be written soon."""
        self._write = write

    # noted by doors

    def touch(self, session_id: str) -> None:
        """Note that a session was used: its idle time begins anew.

        Called for executions, attaching and traffic of services; never for questions about it.
        """
        known = self.of(session_id)
        known.active_at, known.last_use, known.is_new = self.clock.now(), time.time(), True
        if known.first_use is None:
            known.first_use = known.last_use
            self._due(session_id, known)

    def note_query(self, session_id: str) -> None:
        """Note that code is to be executed; this counts, too."""
        self.of(session_id).queries += 1
        self.touch(session_id)

    @contextlib.contextmanager
    def client(self, session_id: str) -> Iterator[None]:
        """Count a client as connected as long as the context lasts."""
        self.of(session_id).clients += 1
        self.touch(session_id)
        try:
            yield
        finally:
            # It may have ended, and been forgotten, meanwhile.
            known = self._known.get(session_id)
            if known is not None and known.clients > 0:
                known.clients -= 1
                self.touch(session_id)
                if not known.clients:
                    self._due(session_id, known)

    # noted by those who watch

    def set_busy(self, session_id: str, busy: bool | None) -> None:
        """Note what a kernel does; None when that is not known any more.

        Called by the pulse. Whatever else hears a kernel may call it as well.
        """
        known = self.of(session_id)
        if busy is False and known.busy is not False:
            known.active_at = self.clock.now()
        known.busy = busy

    def note_usage(self, session_id: str, usage: Usage) -> None:
        """Note what a session used so far. Called by the meter."""
        known = self.of(session_id)
        known.usage, known.is_new = usage, True

    # asked

    def of(self, session_id: str) -> Presence:
        """Return what is known of a session's use; it is known from now on."""
        known = self._known.get(session_id)
        if known is None:
            now = self.clock.now()
            known = self._known[session_id] = Presence(since=now, active_at=now)
        return known

    def last_active(self, session_id: str) -> float | None:
        """Say when a session was used last, in seconds since the epoch; None: never seen."""
        known = self._known.get(session_id)
        return known.last_use if known is not None else None

    def idle_for(self, session: ComputeSession) -> float | None:
        """Say for how many seconds nobody used a session; None while it is or may be in use."""
        known = self.of(session.id)
        stands = session.status is SessionStatus.SUSPENDED
        runs_code = bool(session.spec.kernel) and known.busy is not False and not stands
        if known.clients or session.spec.session_type == "batch" or runs_code:
            return None
        return max(0.0, self.clock.now() - known.active_at)

    def stamp(self, session: ComputeSession) -> ComputeSession:
        """Return a session with what is known here."""
        known = self._known.get(session.id)
        if known is None:
            return session
        if known.queries_before is None:
            known.queries_before = session.queries
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

    def write_all(self) -> None:
        """Have all rows written that lack something."""
        for session_id, known in self._known.items():
            if known.is_new:
                self._due(session_id, known)

    def forget(self, session_id: str) -> None:
        """Drop what is known of a session that ended."""
        self._known.pop(session_id, None)

    def _due(self, session_id: str, known: Presence) -> None:
        known.is_due = True
        self._write(session_id)


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
