"""Who uses which session, and when it was used last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jupyter_sessmgr.manager.use.clock import ServerClock
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage

#: Seconds after which a server that follows says again that a session is in use there, and for
#: how long its word counts.
SAY_AGAIN, ELSEWHERE = 10.0, 30.0


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
    #: Executions that this server saw, how many of them the row has, and what the row had besides.
    queries: int = 0
    queries_written: int = 0
    queries_before: int | None = None
    #: When another server last said that it is in use there, on this server's clock.
    elsewhere_at: float | None = None
    #: When its use here was last said to the others; None: there is news.
    told_at: float | None = None
    usage: Usage | None = None
    #: Whether the row has not all of this yet, and whether it is to have it now.
    is_new: bool = False
    is_due: bool = False


class Board:
    """What doors, the pulse and the meter note of sessions. Every note is a change in memory.

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
        known.told_at = None
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
        now = self.clock.now()
        elsewhere = known.elsewhere_at is not None and now - known.elsewhere_at < ELSEWHERE
        if known.clients or elsewhere or session.spec.session_type == "batch" or runs_code:
            return None
        return max(0.0, now - known.active_at)

    def forget(self, session_id: str) -> None:
        """Drop what is known of a session that ended."""
        self._known.pop(session_id, None)

    def _due(self, session_id: str, known: Presence) -> None:
        known.is_due = True
        self._write(session_id)
