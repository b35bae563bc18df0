"""Asks the agents of running sessions, again and again, what they use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.events import Event, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage


@dataclass(frozen=True, slots=True)
class Measured:
    """What a session used, and when that was measured."""

    usage: Usage
    #: Of one processor, since the measurement before; None at the first.
    cpu_percent: float | None
    #: Seconds since the epoch.
    at: float
    #: The same on the monotonic clock.
    moment: float


class UsageMeter(LoggingConfigurable):
    """Knows what running sessions use, from memory. Made by the manager, as its `meter`."""

    interval = Float(
        5.0,
        min=0.01,
        config=True,
        help="""Seconds between two questions to the agent of each running session about what it
        uses. Raise it for hundreds of sessions on a small server.""",
    )
    at_once = Integer(
        8,
        min=1,
        config=True,
        help="""How many agents are asked at the same time. Raise it when sessions are far away,
        so that answers take long.""",
    )

    def __init__(self, activity: Activity, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._activity = activity
        self._known: dict[str, Measured] = {}
        self._parts: Parts | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self, parts: Parts) -> None:
        """Begin to measure."""
        self._parts = parts
        self._unsubscribe = parts.bus.subscribe(self._on_event)
        self._task = asyncio.create_task(self._measure_forever(parts), name="sessmgr-meter")

    async def stop(self) -> None:
        """Stop measuring."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = self._parts = None

    def of(self, session_id: str) -> Measured | None:
        """Say what a session was last seen to use; None when it was not asked yet, or ended."""
        return self._known.get(session_id)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StatusChanged) and event.session.status.is_final:
            self._known.pop(event.session.id, None)

    async def _measure_forever(self, parts: Parts) -> None:
        """Spread the questions over the interval, a few at a time."""
        while True:
            began = time.monotonic()
            running = [one for one in parts.store.sessions() if one.status is SessionStatus.RUNNING]
            rounds = [
                running[first : first + self.at_once]
                for first in range(0, len(running), self.at_once)
            ]
            for some in rounds:
                await asyncio.gather(*(self._measure(parts, one) for one in some))
                await asyncio.sleep(self.interval / (2 * len(rounds)))
            await asyncio.sleep(max(0.01, began + self.interval - time.monotonic()))

    async def _measure(self, parts: Parts, session: ComputeSession) -> None:
        try:
            usage = await parts.links.get(session.place_id).usage()
        except SessmgrError as error:  # an agent may refuse with any, and the others go on
            self.log.debug("What session %s uses is not known now: %s", session.name, error)
            return
        current = parts.store.get(session.id)
        if current is None or current.status.is_final:
            return
        before, now = self._known.get(session.id), time.monotonic()
        self._known[session.id] = Measured(usage, _percent(before, usage, now), time.time(), now)
        self._activity.note_usage(session.id, usage)


def _percent(before: Measured | None, usage: Usage, now: float) -> float | None:
    if before is None or now <= before.moment:
        return None
    used = usage.cpu_ms - before.usage.cpu_ms
    return round(max(0.0, used / 10 / (now - before.moment)), 1)
