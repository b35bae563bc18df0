"""Ends or suspends what nobody uses, and what has lived for as long as it may."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.admission.idling import idle_timeout
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.wishes import SERVER_STOPPED, Wishes
from jupyter_sessmgr.model.errors import SessionNotFound, SessmgrError
from jupyter_sessmgr.model.events import Event, LimitName, SessionExpiring, StatusChanged
from jupyter_sessmgr.model.resources import MAX_SECONDS
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.traits import Quantity

_S = SessionStatus
#: Seconds between two rounds of writing down what was noted of sessions in use.
WRITE_INTERVAL = 60.0
#: The limit of what has no time left; 0 is no limit.
_AT_ONCE = 1e-6
#: What a session's row says of its end, by the limit.
REASONS: dict[LimitName, str] = {
    "idle": "idle-timeout",
    "never-connected": "never-connected",
    "lifetime": "lifetime",
    "server-stopped": SERVER_STOPPED,
}


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a session will end if nothing changes."""

    #: Seconds since the epoch.
    at: float
    limit: LimitName


@dataclass(frozen=True, slots=True)
class _Left:
    """How much of a limit is left, and how much there was, in seconds."""

    left: float
    whole: float
    limit: LimitName


@dataclass(slots=True)
class _Life:
    """One running session, on the server's clock."""

    #: Since when it runs, as far as this server knows.
    since: float
    #: For how long it had run before.
    before: float
    #: Its coming end was told; it does not come before this moment.
    ends_from: float | None = None
    #: Since when it is interactive and without the server it would end with.
    orphan_since: float | None = None
    #: The wish of its owner to keep it that was read last, and until when it holds on this clock.
    kept_wish: float | None = None
    kept_to: float = 0.0

    def look(self, *, alone: bool, now: float) -> None:
        """Note whether the session's server is gone."""
        self.orphan_since = (self.orphan_since or now) if alone else None

    def kept_for(self, wish: float | None, *, most: float, now: float) -> float:
        """Say for how many seconds its owner still wants it kept.

        The wall clock is asked once for each wish, so setting it later changes nothing.
        """
        if wish != self.kept_wish:
            self.kept_wish = wish
            self.kept_to = now + min((wish or 0.0) - time.time(), most)
        return self.kept_to - now


class IdleCuller(LoggingConfigurable):
    """Applies the limits of time. Made by the manager, as its `idle`.

    A session is in use while a client is connected or its kernel is busy; a kernel of which
    nothing is known counts as busy. All is counted on the server's clock, so neither a wall clock
    that is set nor a server that was stopped for a while ends anything.
    """

    idle_timeout = Quantity(
        3600.0,
        min=0.0,
        config=True,
        help="""Seconds after which an interactive session ends that nobody uses: its last client
        left and its kernel is idle. Lower it where resources are short; 0 means never.""",
    )
    durable_idle_timeout = Quantity(
        0.0,
        min=0.0,
        config=True,
        help="""The same for durable sessions. By default they never end by themselves, since
        they are made to be found again. Set it, to days, where people forget them.""",
    )
    suspend_timeout = Quantity(
        0.0,
        min=0.0,
        config=True,
        help="""Seconds after which a durable session that nobody uses is suspended, where the
        engine can: it keeps its memory and uses no processor until it is used again. 0 means
        never. Set it where idle kernels still keep processors busy.""",
    )
    max_lifetime = Quantity(
        0.0,
        min=0.0,
        config=True,
        help="""Seconds after which any session ends, in use or not. 0 means never. Set it where
        nobody may hold resources for longer.""",
    )
    max_extension = Quantity(
        86400.0,
        min=0.0,
        config=True,
        help="""Seconds for which people may ask, each time, that a session is kept though nobody
        uses it; `max_lifetime` ends it all the same. Raise it where work is left over a weekend;
        0 means that they may not.""",
    )
    never_connected_timeout = Quantity(
        300.0,
        min=0.0,
        config=True,
        help="""Seconds after which an interactive session ends that nobody ever used. Raise it
        for programs that make sessions long before they use them; 0 means never.""",
    )
    orphan_timeout = Quantity(
        60.0,
        min=0.0,
        config=True,
        help="""Seconds after which an interactive session ends whose server crashed or was killed,
        counted from the start of the next one: time to save what is in it. One that stops in an
        orderly way ends its interactive sessions itself. 0 means at once.""",
    )
    warning_before = Quantity(
        300.0,
        min=0.0,
        config=True,
        help="""Seconds before the end of a session when people are told of it, but never more
        than half of the limit. Raise it when they need longer to save their work; 0 means that
        they are not told.""",
    )
    check_interval = Quantity(
        5.0,
        min=0.01,
        config=True,
        help="""Seconds between looks at all sessions; limits are kept as exactly as this. Raise
        it for thousands of sessions.""",
    )

    def __init__(self, activity: Activity, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._activity = activity
        self._clock = activity.clock
        self._lives: dict[str, _Life] = {}
        self._parts: Parts | None = None
        self._wishes: Wishes | None = None
        self._task: asyncio.Task[None] | None = None
        self._written_at = 0.0
        self._unsubscribe: Callable[[], None] = lambda: None
        #: Tells whether the server of this id runs; the manager knows.
        self.is_there: Callable[[str], bool] = lambda _server_id: True

    def start(self, parts: Parts, wishes: Wishes, *, judges: bool = True) -> None:
        """Begin to look. What ran before this server did begins to be idle now.

        Unless it `judges`, another server does, and this one only says what limits there are.
        """
        self._parts, self._wishes = parts, wishes
        self._clock.longest_gap = 2 * self.check_interval
        self._clock.tick()
        self._unsubscribe = parts.bus.subscribe(self._on_event)
        for session in parts.store.sessions():
            self._begin(session)
        if judges:
            self._task = asyncio.create_task(self._look_forever(), name="sessmgr-idle")

    async def stop(self) -> None:
        """Stop looking."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = self._parts = self._wishes = None
        self._lives.clear()

    def deadline(self, session: ComputeSession) -> Deadline | None:
        """Say when a session will end if nothing changes; None: not by a limit of time.

        Called by the doors; from memory. While a session is in use, only its lifetime counts.
        """
        left = self._nearest(session)
        if left is None:
            return None
        seconds = max(left.left, 0.0)
        life = self._lives[session.id]
        if life.ends_from is not None:
            seconds = max(seconds, life.ends_from - self._clock.now())
        elif left.left < _notice(left, self.warning_before):
            seconds = _notice(left, self.warning_before)
        return Deadline(time.time() + seconds, left.limit)

    async def exempt(self, session_id: str, exempt: bool) -> ComputeSession:
        """Except a session from all limits of time, or undo that. For administrators.

        Raises
        ------
        SessionNotFound
            when there is no live session of this id.
        """
        session = self.find(session_id, "")
        if self._wishes is None:
            raise SessionNotFound("No limits of time hold here.", session=session.name)
        return await self._wishes.exempt(session, exempt)

    def find(self, reference: str, owner: str) -> ComputeSession:
        """Find a live session for an administrator: an owner's, or by UUID anybody's.

        Raises
        ------
        SessionNotFound
            when there is none.
        """
        session = None
        if self._parts is not None:
            store = self._parts.store
            session = store.find(owner, reference) or store.get(reference)
        if session is None or session.status.is_final:
            raise SessionNotFound(f"There is no live session {reference!r:.80}.")
        return session

    async def tick(self) -> None:
        """Look at all sessions once.

        After a gap, in which the server did not run, nothing is judged: what clients sent
        meanwhile was not read yet.
        """
        in_time = self._clock.tick()
        if self._parts is None:
            return
        if self._clock.now() - self._written_at >= WRITE_INTERVAL:
            self._written_at = self._clock.now()
            self._activity.write_all()
        if not in_time:
            self.log.info("The server did not run for a while; no session is judged for that.")
            return
        await self._parts.others.look()  # what is in use elsewhere
        for session in self._parts.store.sessions():
            await self._judge(session.id)

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(self.check_interval)
            try:
                await self.tick()
            except SessmgrError as error:
                self.log.warning("Limits of time were not applied: %s", error)
            except Exception:
                self.log.exception("Limits of time could not be applied")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StatusChanged):
            self._begin(event.session)

    def _begin(self, session: ComputeSession) -> None:
        """Note when a session began to run, or forget one that ended."""
        if session.status.is_final:
            self._lives.pop(session.id, None)
            self._activity.forget(session.id)
        elif session.started_at is not None and session.id not in self._lives:
            # The wall clock is asked once, about the time before this server knew the session.
            before = max(0.0, time.time() - session.started_at)
            self._lives[session.id] = _Life(since=self._clock.now(), before=before)
            known = self._activity.of(session.id)
            known.active_at = max(known.active_at, self._clock.now())

    def _is_alone(self, session: ComputeSession) -> bool:
        return not session.spec.durable and not self.is_there(session.server_id)

    async def _judge(self, session_id: str) -> None:
        life = self._lives.get(session_id)
        if life is None or self._wishes is None or self._parts is None:
            return
        # As it is now: while others were judged, it may have been given more time.
        session = self._parts.store.get(session_id)
        if session is None:
            return
        life.look(alone=self._is_alone(session), now=self._clock.now())
        left = self._nearest(session)
        if left is None or left.left > _notice(left, self.warning_before):
            life.ends_from = None
        elif life.ends_from is None:
            self._warn(session, life, left)
        if left is not None and left.left <= 0 and self._clock.now() >= (life.ends_from or 0):
            self.log.info("Session %s ends: %s.", session.name, REASONS[left.limit])
            await self._wishes.stop(session, reason=REASONS[left.limit], as_judged=True)
        elif self._is_to_suspend(session):
            self.log.info("Session %s is suspended: nobody uses it.", session.name)
            await self._wishes.aim(session, Goal.SUSPEND)

    def _is_to_suspend(self, session: ComputeSession) -> bool:
        able = self._parts is not None and self._parts.engine.capabilities.suspend
        wanted = self.suspend_timeout and session.spec.durable and not session.idle_exempt
        if not able or not wanted or session.goal is not Goal.RUN:
            return False
        idle = self._activity.idle_for(session) if session.status is _S.RUNNING else None
        return idle is not None and idle >= self.suspend_timeout

    def _warn(self, session: ComputeSession, life: _Life, left: _Left) -> None:
        """Tell of a coming end. One that is overdue comes later: nothing ends unannounced."""
        notice = _notice(left, self.warning_before)
        remaining = max(left.left, notice - self.check_interval, 0.0)
        life.ends_from = self._clock.now() + remaining
        if notice and self._parts is not None:
            ends_at = time.time() + remaining
            self._parts.bus.publish(SessionExpiring(session, ends_at, left.limit))

    def _nearest(self, session: ComputeSession) -> _Left | None:
        """Find the limit that a session meets first."""
        life = self._lives.get(session.id)
        running = session.status in {_S.RUNNING, _S.SUSPENDED}
        if life is None or session.goal is Goal.STOP or not running:
            return None
        now = self._clock.now()
        known = self._activity.of(session.id)
        durable, batch = session.spec.durable, session.spec.session_type == "batch"
        used = batch or known.first_use is not None or session.connected_at is not None
        idle = self._activity.idle_for(session)
        kept = life.kept_for(session.kept_until, most=self.max_extension, now=now)
        found = [_left("lifetime", self.max_lifetime, now - life.since + life.before)]
        if idle is not None:
            timeout = idle_timeout(session.spec, self)
            found.append(_left("idle", timeout, idle, kept))
        if not durable and not used:
            waited = now - life.since
            found.append(_left("never-connected", self.never_connected_timeout, waited, kept))
        if session.idle_exempt:
            found.clear()
        if life.orphan_since is not None:
            waited = now - life.orphan_since
            found.append(_left("server-stopped", self.orphan_timeout or _AT_ONCE, waited))
        near = (one for one in found if one.whole and one.left <= MAX_SECONDS)
        return min(near, key=lambda one: one.left, default=None)


def _notice(left: _Left, most: float) -> float:
    return min(most, left.whole / 2)


def _left(limit: LimitName, whole: float, passed: float, kept: float = -math.inf) -> _Left:
    """Say what is left of a limit, which does not come before a session is `kept` no longer."""
    return _Left(max(whole - passed, kept), whole, limit)
