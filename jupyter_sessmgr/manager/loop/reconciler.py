"""The loop that turns wishes into facts, one session at a time."""

from __future__ import annotations

from collections.abc import Callable

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.engines.base import Observation
from jupyter_sessmgr.manager.agents.bootconfig import BOOTSTRAP_DEADLINE
from jupyter_sessmgr.manager.loop.decide import Rest, Seen, decide
from jupyter_sessmgr.manager.loop.steps import Steps
from jupyter_sessmgr.manager.loop.sweeper import Sweeper
from jupyter_sessmgr.manager.loop.workqueue import WorkQueue
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool import WarmPool
from jupyter_sessmgr.model.errors import (
    AgentError,
    EngineError,
    EngineUnavailable,
    SessmgrError,
    StoreError,
)
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import STARTING, Goal, SessionStatus

#: More steps than any session needs in one go; a loop beyond it is a fault of ours.
MOST_STEPS = 50


class SessionReconciler(LoggingConfigurable):
    """Does what `decide` says until it says that nothing is left to do.

    Only this class and its steps write a session's facts. Called by the manager.
    """

    boot_timeout = Float(
        60.0,
        config=True,
        help="""Seconds from the start of a session's agent until its kernel must be ready. Pulling
        an image does not count. Raise it for images whose kernels load a lot.""",
    )
    stop_grace = Float(
        3.0,
        config=True,
        help="""Seconds that a session gets to end by itself before it is killed. Raise it when
        kernels need time to save their work.""",
    )
    sweep_interval = Float(
        15.0,
        config=True,
        help="""Seconds between full comparisons of what should exist with what does. Lower it
        to notice outside interference sooner where the engine has no events.""",
    )
    max_deaths = Integer(
        5,
        config=True,
        help="""How often in two minutes a kernel may die by itself and be started again before
        its session is given up. Each start but the first waits twice as long as the one before.""",
    )
    workers = Integer(
        16,
        config=True,
        help="""How many sessions are worked on at the same time. Lower it when many
        simultaneous starts overwhelm the engine.""",
    )

    def __init__(
        self,
        parts: Parts,
        may_start: Callable[[str], bool] = bool,
        pool: WarmPool | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self._parts = parts
        #: Asked with a session's id; every id may, unless there is a queue.
        self._may_start = may_start
        self._steps = Steps(parts, pool, stop_grace=self.stop_grace)
        self._queue = WorkQueue(self._reconcile, workers=self.workers)
        self._sweeper = Sweeper(parts, self._queue.add, interval=self.sweep_interval)

    def start(self) -> None:
        """Begin to reconcile and to sweep."""
        self._queue.start()
        self._sweeper.start()

    async def stop(self) -> None:
        """End all work; what is under way is cancelled and taken up by the next server."""
        await self._sweeper.stop()
        await self._queue.stop()

    def poke(self, session_id: str) -> None:
        """Have a session looked at soon. A poke that is lost is a delay, never a leak."""
        self._queue.add(session_id)

    def interrupt_start(self, session_id: str) -> None:
        """Break off a start that is under way, since its goal changed."""
        self._steps.interrupt(session_id)

    async def sweep(self) -> None:
        """Compare now what should exist with what does."""
        await self._sweeper.sweep()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being worked on, retries aside."""
        return self._queue.is_idle

    async def _reconcile(self, session_id: str) -> None:
        memory = self._parts.memory
        try:
            await self._work_through(session_id)
        except (EngineUnavailable, AgentError, StoreError) as error:
            delay = self._queue.retry(session_id)
            if memory.unknown.get(session_id) != error.message:
                self.log.warning("Session %s: %s Next try in %.2g s.", session_id, error, delay)
            memory.unknown[session_id] = error.message
        except SessmgrError as error:
            self._queue.retry(session_id)
            self.log.error("Session %s: %s", session_id, error)  # noqa: TRY400 - for people
        except Exception:
            self._queue.retry(session_id)
            self.log.exception("Session %s could not be reconciled", session_id)
        else:
            memory.unknown.pop(session_id, None)
            self._queue.done(session_id)

    async def _work_through(self, session_id: str) -> None:
        await self._steps.facts.save_stop(session_id)
        ended = self._parts.memory.unsaved_ends.get(session_id)
        if ended is not None:
            await self._steps.facts.save_end(ended)
        for _ in range(MOST_STEPS):
            session = self._current(session_id)
            if session is None:
                return
            place = self._place(session)
            seen = await self._look(session, place)
            step = decide(session, seen)
            if isinstance(step, Rest):
                self._wake_for_boot(session, place)
                if seen.restart_in:
                    self._queue.add_later(session.id, seen.restart_in)
                await self._steps.facts.save_use(session)
                return
            await self._steps.do(step, session, place)
        raise EngineError(f"It does not come to rest after {MOST_STEPS} steps.", session=session_id)

    def _current(self, session_id: str) -> ComputeSession | None:
        memory = self._parts.memory
        session = self._parts.store.get(session_id)
        if session is not None and session_id in memory.unsaved_stops:
            session = memory.unsaved_stops[session_id](session)
        return session

    def _place(self, session: ComputeSession) -> Place | None:
        place = self._parts.store.place(session.place_id) if session.place_id else None
        return None if place is None or place.state is PlaceState.DOOMED else place

    async def _look(self, session: ComputeSession, place: Place | None) -> Seen:
        if place is None or session.status.is_final:
            # Whose place was chosen once was let in, perhaps by an earlier server.
            return Seen(let_in=bool(session.place_id) or self._may_start(session.id))
        parts = self._parts
        kernel = parts.links.kernel(place.id)
        seen = None
        asked = kernel is None or session.status is SessionStatus.SUSPENDED
        if session.id in parts.memory.news:
            parts.memory.news.discard(session.id)
            asked = True
        if asked and place.state is PlaceState.MADE and session.goal is not Goal.STOP:
            seen = await self._ask_engine(session, place)
        return Seen(
            place=place,
            place_seen=seen,
            kernel=kernel,
            booting_for=parts.memory.booting_for(place.id),
            boot_timeout=self._boot_timeout(session),
            kept=parts.memory.is_kept(session),
            deaths=parts.memory.recent_deaths(session.id),
            max_deaths=self.max_deaths,
            restart_in=parts.memory.restart_in(session.id),
            unsettled=bool(place.pool_key) and place.id not in parts.memory.settled,
            suspendable=parts.engine.capabilities.suspend
            and session.id not in parts.memory.unsuspendable,
        )

    async def _ask_engine(self, session: ComputeSession, place: Place) -> Observation | None:
        parts = self._parts
        if place.engine_id != parts.engine.engine_id:
            raise EngineUnavailable(
                "The session runs on another engine than the one that answers now; "
                "nothing is known of it.",
                session=session.name,
            )
        # A place that was just made is asked for by its agent first; that is quicker.
        if session.status in STARTING:
            return None
        return (await parts.engine.look([place])).get(place.id)

    def _boot_timeout(self, session: ComputeSession) -> float:
        """Say how long a boot may take, the session's own script included."""
        return self.boot_timeout + BOOTSTRAP_DEADLINE * bool(session.spec.bootstrap_script)

    def _wake_for_boot(self, session: ComputeSession, place: Place | None) -> None:
        """See to it that a boot that never ends is noticed."""
        if place is not None and session.status.is_transitional:
            left = self._boot_timeout(session) - self._parts.memory.booting_for(place.id)
            self._queue.add_later(session.id, max(left, 0.0) + 0.05)
