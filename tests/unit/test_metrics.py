"""What is counted of what sessions do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from jupyter_sessmgr.manager.queue import Queued
from jupyter_sessmgr.model.errors import ImageNotFound, InvalidRequest, Standby
from jupyter_sessmgr.model.events import (
    EngineHealthChanged,
    KernelDied,
    StartProgressed,
    StatusChanged,
)
from jupyter_sessmgr.model.session import KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.hpcpack.faults import BAD_VERSION, NO_SESSION, Refused
from jupyter_sessmgr.rest.metrics import SessionMetrics, count_error
from jupyter_sessmgr.testing import make_session

S = SessionStatus


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Sessions:
    """As much of the manager as is asked."""

    def __init__(self, statuses=(), waits=(), closed=False):
        self.statuses, self.closed = statuses, closed
        self.places = dict(enumerate(waits))
        self.queue = self.pool = self
        self.hits, self.misses = 3, Counter({"unlike": 2})

    def counts(self):
        return {"ready": 2, "booting": 1}

    def census(self):
        if self.closed:
            raise Standby("It is closed.")
        return Counter(self.statuses)


@pytest.fixture
def metrics():
    made = SessionMetrics(Sessions())
    yield made
    made.close()


class Watch:
    """Says by how much metrics grew since the test began."""

    def __init__(self):
        self._before = {}

    def note(self, name, **labels):
        self._before[name, *labels.items()] = value(name, **labels)
        return self

    def grew(self, name, **labels):
        return value(name, **labels) - self._before[name, *labels.items()]


def play(metrics, session, *steps, before=None):
    """Tell of a session's life: phases are words, statuses are statuses."""
    for step in steps:
        if isinstance(step, SessionStatus):
            session = replace(session, status=step)
            metrics(StatusChanged(session, before))
            before = step
        else:
            metrics(StartProgressed(session, step, step))


PHASES = ("queued", "pulling", "creating", "booting", "total")


def watch_starts():
    watch = Watch()
    for phase in PHASES:
        watch.note("sessmgr_start_seconds_count", phase=phase)
        watch.note("sessmgr_start_seconds_sum", phase=phase)
    for outcome in ("running", "failed", "cancelled"):
        watch.note("sessmgr_starts_total", outcome=outcome)
    return watch


def test_a_start_is_measured_phase_by_phase(metrics, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("jupyter_sessmgr.rest.metrics.time.monotonic", lambda: now[0])
    watch = watch_starts()
    session = make_session()
    for seconds, step in (
        (0, S.PENDING),
        (0, "queued"),
        (3, "queued"),
        (1, "pulling"),
        (10, "pulling"),
        (10, "creating"),
        (2, "booting"),
        (1, S.RUNNING),
    ):
        now[0] += seconds
        play(metrics, session, step, before=None if step is S.PENDING else S.CREATING)
    counts = {p: watch.grew("sessmgr_start_seconds_count", phase=p) for p in PHASES}
    sums = {p: watch.grew("sessmgr_start_seconds_sum", phase=p) for p in PHASES}
    assert counts == dict.fromkeys(PHASES, 1)
    assert sums == {"queued": 4, "pulling": 20, "creating": 2, "booting": 1, "total": 27}
    assert watch.grew("sessmgr_starts_total", outcome="running") == 1


@pytest.mark.parametrize(
    ("end", "outcome"),
    [(S.ERROR, "failed"), (S.CANCELLED, "cancelled"), (S.TERMINATED, "cancelled")],
)
def test_a_start_that_comes_to_nothing_has_its_outcome(metrics, end, outcome):
    watch = watch_starts().note("sessmgr_ends_total", status=end.value)
    play(metrics, make_session(), S.PENDING, "queued", "creating", S.TERMINATING, end)
    assert watch.grew("sessmgr_starts_total", outcome=outcome) == 1
    assert watch.grew("sessmgr_starts_total", outcome="running") == 0
    assert watch.grew("sessmgr_start_seconds_count", phase="total") == 0
    assert watch.grew("sessmgr_ends_total", status=end.value) == 1


def test_a_restart_and_a_session_that_ran_before_are_no_starts(metrics):
    watch = watch_starts()
    play(metrics, make_session(), S.PENDING, S.CREATING, S.RUNNING, S.RESTARTING, S.RUNNING)
    metrics(StatusChanged(make_session(status=S.RUNNING), S.RESTARTING))
    metrics(StartProgressed(make_session(), "booting", "booting"))
    assert watch.grew("sessmgr_starts_total", outcome="running") == 1
    assert metrics._starts == {}


@pytest.mark.parametrize(
    ("ended", "cause"),
    [
        (KernelExit(generation=1, code=-9, oom=True), "memory"),
        (KernelExit(generation=1, code=-11), "signal"),
        (KernelExit(generation=1, code=1), "exit"),
        (KernelExit(generation=1, code=None), "unknown"),
    ],
)
def test_deaths_of_kernels_are_counted_by_cause(metrics, ended, cause):
    watch = Watch().note("sessmgr_kernel_deaths_total", cause=cause)
    metrics(KernelDied(make_session(), ended))
    assert watch.grew("sessmgr_kernel_deaths_total", cause=cause) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "InvalidRequest"),
        (ImageNotFound("x"), "ImageNotFound"),
        (Refused(NO_SESSION, "x"), "SessionNotFound"),
        (Refused(BAD_VERSION, "x"), "InvalidRequest"),
    ],
)
def test_errors_are_counted_by_the_row_of_their_tree(error, kind):
    watch = Watch().note("sessmgr_errors_total", kind=kind)
    count_error(error)
    count_error(ValueError("of somebody else"))
    count_error(None)
    assert watch.grew("sessmgr_errors_total", kind=kind) == 1


def test_an_engine_that_goes_away_is_an_error_and_its_return_is_none(metrics):
    watch = Watch().note("sessmgr_errors_total", kind="EngineUnavailable")
    metrics(EngineHealthChanged(available=False, reason="It is away."))
    metrics(EngineHealthChanged(available=True, reason=""))
    assert watch.grew("sessmgr_errors_total", kind="EngineUnavailable") == 1


def test_what_is_now_is_the_sum_of_the_managers_of_this_process():
    before = value("sessmgr_sessions", status="RUNNING"), value("sessmgr_queue_length")
    waits = [Queued(position=1, reason="x", since=0.0)]
    made = [
        SessionMetrics(Sessions([S.RUNNING, S.RUNNING, S.PENDING], waits)),
        SessionMetrics(Sessions([S.RUNNING])),
        SessionMetrics(Sessions([S.RUNNING], closed=True)),
    ]
    try:
        assert value("sessmgr_sessions", status="RUNNING") == before[0] + 3
        assert value("sessmgr_queue_length") == before[1] + 1
        assert value("sessmgr_queue_oldest_wait_seconds") > 1e9
    finally:
        for one in made:
            one.close()
            one.close()
    assert value("sessmgr_sessions", status="RUNNING") == before[0]
    assert value("sessmgr_queue_length") == before[1]


def test_spares_and_who_got_one_are_sums_too():
    watch = Watch()
    for result in ("hit", "unlike", "none"):
        watch.note("sessmgr_spare_claims_total", result=result)
    before = value("sessmgr_spares", state="ready"), value("sessmgr_spares", state="booting")
    made = [SessionMetrics(Sessions()), SessionMetrics(Sessions())]
    try:
        assert value("sessmgr_spares", state="ready") == before[0] + 4
        assert value("sessmgr_spares", state="booting") == before[1] + 2
        assert watch.grew("sessmgr_spare_claims_total", result="hit") == 6
        assert watch.grew("sessmgr_spare_claims_total", result="unlike") == 4
        assert watch.grew("sessmgr_spare_claims_total", result="none") == 0
    finally:
        for one in made:
            one.close()


def test_no_metric_has_a_label_that_names_anybody():
    labels = {
        label
        for family in REGISTRY.collect()
        if family.name.startswith("sessmgr_")
        for sample in family.samples
        for label in sample.labels
    }
    assert labels <= {"status", "phase", "outcome", "cause", "kind", "le", "state", "result"}
