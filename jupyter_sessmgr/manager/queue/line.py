"""Holds back the sessions that wait to be started, and lets them in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from traitlets import Integer
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.engines.base import Capacity, Engine
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.queue.order import (
    Claim,
    MostRunning,
    Room,
    Rules,
    Turn,
    Verdict,
    after_turns,
    next_starts,
)
from jupyter_sessmgr.manager.queue.room import check_fits, room_of
from jupyter_sessmgr.manager.queue.telling import Crier, Queued
from jupyter_sessmgr.model.errors import EngineError
from jupyter_sessmgr.model.events import EngineHealthChanged, Event, StatusChanged
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.traits import Quantity

#: Seconds between looks at the line when nothing happens: time alone can move it.
INTERVAL = 5.0
#: Seconds that the engine may take to say what its host has, and that its answer holds.
ASK_TIMEOUT, ASK_INTERVAL = 5.0, 60.0
#: Of the event loop's time, at most one part in so many goes into looks at a long line.
LEISURE = 10

_S = SessionStatus
_COMING_UP = frozenset({_S.PENDING, _S.CREATING})


class StartQueue(LoggingConfigurable):
    """Holds sessions back while the host is full, or while too many start at once.

    It keeps nothing of its own: the line follows from the rows, so it outlives the server. The
    reconciler asks `may_start`; doors ask `place_of`.
    """

    max_starting_at_once = Integer(
        10,
        min=1,
        config=True,
        help="""How many sessions may be on their way up at the same time; fetching an image does
        not count. Lower it when simultaneous starts overwhelm the machine.""",
    )
    memory_overcommit = Quantity(
        None,
        allow_none=True,
        config=True,
        help="""How much memory may be given away, as a multiple of what the host has; what does
        not fit waits. None: 4 where the engine holds sessions to their limits, because most use a
        small part of theirs, and without end where it does not. Set it to 1.0 where everybody must
        be able to use all of theirs at once.""",
    )
    cpu_overcommit = Quantity(
        None,
        allow_none=True,
        config=True,
        help="""The same for processors; None: 16 where the engine holds sessions to their limits.
        Sessions without a limit on processors count as none.""",
    )
    reserve_after = Quantity(
        300.0,
        min=0.0,
        config=True,
        help="""For how many seconds others may pass a session that stands first in its owner's
        line and does not fit. After that, what comes free is kept for it. Lower it when large
        sessions wait too long.""",
    )

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._ties: _Ties | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        #: What the engine's host has, as far as it said so.
        self.capacity = Capacity()
        self._asked_at: float | None = None
        self._away = ""
        self._let_in: set[str] = set()
        #: Since when a session stands first, on the monotonic clock.
        self._first_since: dict[str, float] = {}
        self._turns: dict[str, Turn] = {}
        #: Who waits, in the order of the line; replaced, never changed.
        self.places: dict[str, Queued] = {}
        self._crier = Crier()

    def may_start(self, session_id: str) -> bool:
        """Say whether a session was let in. Asked by the reconciler."""
        return session_id in self._let_in

    def place_of(self, session_id: str) -> Queued | None:
        """Say where a session stands in the line, from memory; None when it does not."""
        return self.places.get(session_id)

    def notes(self) -> tuple[str, ...]:
        """Say in a sentence how long the line is; nothing when nobody waits."""
        if not self.places:
            return ()
        first = next(iter(self.places.values()))
        count = len(self.places)
        who = "1 session waits" if count == 1 else f"{count} sessions wait"
        return (f"{who} to be started; the first {first.reason}.",)

    def check(self, needs: Resources) -> None:
        """Refuse what would wait for ever. Called by the manager, before anything is written.

        Raises
        ------
        LimitExceeded
            when the whole host has too little for it; says what would fit.
        """
        if self._ties is not None:
            can = self._ties.parts.engine.capabilities
            check_fits(needs, self.capacity, can, self.room())

    async def start(
        self, parts: Parts, poke: Callable[[str], None], most_running: Callable[[], MostRunning]
    ) -> None:
        """Begin to let sessions in; `poke` has the reconciler look at one."""
        forget = parts.bus.subscribe(self._on_event)
        self._ties = ties = _Ties(parts, poke, most_running, forget)
        await self._ask_capacity(parts.engine)
        self._due.set()
        self._task = asyncio.create_task(self._run(ties), name="sessmgr-queue")

    async def stop(self) -> None:
        """End it; who waits goes on waiting under the next server. Harmless when it ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._ties is not None:
            self._ties.forget()
        self._task = self._ties = self._asked_at = None
        self.places = {}
        self._let_in.clear()
        self._crier.forget()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, EngineHealthChanged):
            self._away = "" if event.available else event.reason
            self._asked_at = None
        if isinstance(event, EngineHealthChanged | StatusChanged):
            self._due.set()

    async def _run(self, ties: _Ties) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._due.wait()
            self._due.clear()
            await self._ask_capacity(ties.parts.engine)
            began = time.monotonic()
            try:
                self._look(ties)
            except Exception:
                self.log.exception("The line of waiting sessions could not be looked at")
            await asyncio.sleep((time.monotonic() - began) * (LEISURE - 1))

    async def _ask_capacity(self, engine: Engine) -> None:
        now = time.monotonic()
        fresh = self._asked_at is not None and now - self._asked_at < ASK_INTERVAL
        if fresh or not engine.engine_id:
            return
        self._asked_at = now
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                self.capacity = await engine.capacity()
        except (EngineError, TimeoutError) as error:
            self.log.debug("The engine does not say what its host has: %s", error)

    def _look(self, ties: _Ties) -> None:
        """Let in who may be let in, and note where the others stand."""
        parts, now = ties.parts, time.monotonic()
        live = [one for one in parts.store.sessions() if one.id not in parts.memory.unsaved_ends]
        self._let_in &= {one.id for one in live if one.status is _S.PENDING}
        unmade = [one for one in live if self._is_unmade(one)]
        waiting = {one.id: one for one in unmade if _wants_to_start(one, parts)}
        claims = [
            _claim(one, stood=now - self._first_since.get(one.id, now)) for one in waiting.values()
        ]
        running = [_claim(one) for one in live if not self._is_unmade(one)]
        verdict = next_starts(claims, running, self._rules(ties), self._turns)
        self._turns = after_turns(self._turns, claims, verdict.starts)
        self._note(verdict, waiting, now)
        for session_id in verdict.starts:
            self._let_in.add(session_id)
            ties.poke(session_id)
        if self._crier.tell(parts, self.places):
            self._due.set()

    def _is_unmade(self, one: ComputeSession) -> bool:
        return one.status is _S.PENDING and not one.place_id and one.id not in self._let_in

    def _rules(self, ties: _Ties) -> Rules:
        engine = ties.parts.engine
        away = self._away or ("" if engine.engine_id else f"the {engine.name} engine is away.")
        return Rules(
            room=self.room(),
            most_running=ties.most_running(),
            most_starting=self.max_starting_at_once,
            patience=self.reserve_after,
            closed=f"waits for the engine: {away}" if away else "",
        )

    def room(self) -> Room:
        """Say how much of the host may be given away, used or not."""
        if self._ties is None:
            return Room()
        can = self._ties.parts.engine.capabilities
        return room_of(
            self.capacity, can, cpu_factor=self.cpu_overcommit, mem_factor=self.memory_overcommit
        )

    def _note(self, verdict: Verdict, waiting: Mapping[str, ComputeSession], now: float) -> None:
        self.places = {
            session_id: Queued(
                position=wait.position, reason=wait.reason, since=waiting[session_id].created_at
            )
            for session_id, wait in verdict.waits.items()
        }
        since = self._first_since
        first = [one for one, wait in verdict.waits.items() if wait.first or one in since]
        self._first_since = {one: since.get(one, now) for one in first}


def _claim(one: ComputeSession, stood: float = 0.0) -> Claim:
    return Claim(
        id=one.id,
        number=one.number,
        owner=one.owner,
        group=one.group,
        needs=one.spec.resources,
        starting=one.status in _COMING_UP,
        stood=stood,
    )


def _wants_to_start(one: ComputeSession, parts: Parts) -> bool:
    stopping = one.goal is Goal.STOP or one.id in parts.memory.unsaved_stops
    return not stopping and not one.failure


@dataclass(frozen=True, slots=True)
class _Ties:
    """What the queue holds on to while it works."""

    parts: Parts
    poke: Callable[[str], None]
    most_running: Callable[[], MostRunning]
    forget: Callable[[], None]
