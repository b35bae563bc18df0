"""What Jupyter's ``/metrics`` tells of sessions.

Numbers without owners and names: a scraper is not a user. What is now is read from memory when it
is asked for; what happened is counted from the manager's events. The metrics belong to the process,
as prometheus_client wants it: of several servers in one process they are sums.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jupyter_sessmgr.manager.pool import MISSES, SPARE_STATES
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model import errors as tree
from jupyter_sessmgr.model.events import (
    EngineHealthChanged,
    Event,
    KernelDied,
    StartProgressed,
    StatusChanged,
)
from jupyter_sessmgr.model.session import KernelExit
from jupyter_sessmgr.model.status import FINAL, SessionStatus

#: Seconds; a warm start takes less than the first, fetching a large image the last.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
#: The phase that is all of them together.
TOTAL = "total"

START_SECONDS = Histogram(
    "sessmgr_start_seconds",
    "Seconds that starts of sessions took, by phase, once each phase was over.",
    ["phase"],
    buckets=BUCKETS,
)
STARTS = Counter(
    "sessmgr_starts", "Starts of sessions that came to an end, by outcome.", ["outcome"]
)
ENDS = Counter("sessmgr_ends", "Sessions that ended, by their last status.", ["status"])
KERNEL_DEATHS = Counter(
    "sessmgr_kernel_deaths", "Kernels that ended without being asked to, by cause.", ["cause"]
)
ERRORS = Counter(
    "sessmgr_errors", "Errors that clients were told, or that the engine made, by kind.", ["kind"]
)

#: How a start ended, by the session's last status.
_OUTCOMES = {SessionStatus.ERROR: "failed"}


@dataclass(slots=True)
class _Start:
    """A start that goes on. Times are on the monotonic clock."""

    began: float
    phase: str
    since: float


class SessionMetrics:
    """Counts what one manager's sessions do. A listener to its events.

    Parameters
    ----------
    sessions : ComputeSessionManager
        The manager, open.
    """

    def __init__(self, sessions: ComputeSessionManager) -> None:
        self.sessions = sessions
        self._starts: dict[str, _Start] = {}
        _managers.add(self)

    def close(self) -> None:
        """Stop being asked for numbers. Harmless when closed."""
        _managers.discard(self)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case StatusChanged():
                self._note_status(event)
            case StartProgressed():
                self._note_phase(event.session.id, event.phase)
            case KernelDied():
                KERNEL_DEATHS.labels(cause=_cause(event.exit)).inc()
            case EngineHealthChanged(available=False):
                ERRORS.labels(kind=tree.EngineUnavailable.__name__).inc()

    def _note_status(self, event: StatusChanged) -> None:
        session_id, status = event.session.id, event.session.status
        if event.before is None:
            now = time.monotonic()
            self._starts[session_id] = _Start(began=now, phase="queued", since=now)
        if status in FINAL:
            ENDS.labels(status=status.value).inc()
        if status is SessionStatus.RUNNING or status in FINAL:
            self._finish(session_id, status)

    def _note_phase(self, session_id: str, phase: str) -> None:
        start = self._starts.get(session_id)
        if start is None or start.phase == phase:
            return
        now = time.monotonic()
        START_SECONDS.labels(phase=start.phase).observe(now - start.since)
        start.phase, start.since = phase, now

    def _finish(self, session_id: str, status: SessionStatus) -> None:
        start = self._starts.get(session_id)
        if start is None:
            return
        if status is SessionStatus.RUNNING:
            self._note_phase(session_id, TOTAL)
            START_SECONDS.labels(phase=TOTAL).observe(time.monotonic() - start.began)
            STARTS.labels(outcome="running").inc()
        else:
            STARTS.labels(outcome=_OUTCOMES.get(status, "cancelled")).inc()
        del self._starts[session_id]


def count_error(error: BaseException | None) -> None:
    """Count an error of ours that a client is told; a dialect's own says as what it counts."""
    if isinstance(error, tree.SessmgrError):
        kinds = getattr(error, "counts_as", type(error)).__mro__
        row = next(kind for kind in kinds if kind.__module__ == tree.__name__)
        ERRORS.labels(kind=row.__name__).inc()


def _cause(ended: KernelExit) -> str:
    if ended.oom:
        return "memory"
    if ended.code is None:
        return "unknown"
    return "signal" if ended.code < 0 else "exit"


class _Now(Collector):
    """What is now, of all managers of this process."""

    def describe(self) -> Iterator[Metric]:
        """Name the metrics without asking anybody."""
        yield from _gauges(Tally(), [])
        yield from _spares(Tally(), Tally())

    def collect(self) -> Iterator[Metric]:
        """Read the metrics from memory."""
        statuses: Tally[SessionStatus] = Tally()
        spares: Tally[str] = Tally()
        claims: Tally[str] = Tally()
        waits: list[float] = []
        for one in tuple(_managers):
            try:
                statuses.update(one.sessions.census())
            except tree.Standby:
                continue  # it closes just now
            waits += [time.time() - queued.since for queued in one.sessions.queue.places.values()]
            spares.update(one.sessions.pool.counts())
            claims.update({"hit": one.sessions.pool.hits, **one.sessions.pool.misses})
        yield from _gauges(statuses, waits)
        yield from _spares(spares, claims)


def _gauges(statuses: Tally[SessionStatus], waits: list[float]) -> Iterator[Metric]:
    sessions = GaugeMetricFamily(
        "sessmgr_sessions", "Sessions that have not ended, by status.", labels=["status"]
    )
    for status in SessionStatus:
        if status not in FINAL:
            sessions.add_metric([status.value], statuses[status])
    yield sessions
    yield GaugeMetricFamily(
        "sessmgr_queue_length", "Sessions that wait to be let in.", value=len(waits)
    )
    yield GaugeMetricFamily(
        "sessmgr_queue_oldest_wait_seconds",
        "Seconds that the session which waits longest has waited; 0 when none does.",
        value=max(0.0, *waits, 0.0),
    )


def _spares(spares: Tally[str], claims: Tally[str]) -> Iterator[Metric]:
    there = GaugeMetricFamily(
        "sessmgr_spares", "Spare sessions of the warm pool, by state.", labels=["state"]
    )
    for state in SPARE_STATES:
        there.add_metric([state], spares[state])
    yield there
    asked = CounterMetricFamily(
        "sessmgr_spare_claims",
        "Starts of sessions of which there are spares, by whether one was had, or why not.",
        labels=["result"],
    )
    for result in ("hit", *MISSES):
        asked.add_metric([result], claims[result])
    yield asked


_managers: set[SessionMetrics] = set()
REGISTRY.register(_Now())
