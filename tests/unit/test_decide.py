"""The heart, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessmgr.engines.base import MISSING, Observation
from jupyter_sessmgr.manager.loop import decide as d
from jupyter_sessmgr.model.session import KernelExit, Place, PlaceState, SessionSpec
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.testing import _STATELESS, make_session

S = SessionStatus
PLACE = Place(id="p", engine_id="e", session_id="s", state=PlaceState.MADE)
INTENDED = replace(PLACE, state=PlaceState.INTENDED)
UP = Observation(exists=True, running=True)
PAUSED = Observation(exists=True, paused=True)
OOM = Observation(exists=True, running=False, exit_code=137, reason="Out of memory.")
BOUND = replace(_STATELESS, generation=1, state="bound")
STARTING = replace(BOUND, state="starting")
DIED = replace(BOUND, state="exited", exit=KernelExit(generation=1, code=-9, reason="Killed."))
NO_SPEC = replace(BOUND, state="failed", error="There is no kernelspec 'x'.")


def row(status=S.RUNNING, **changes):
    changes.setdefault("observed_generation", 1 if status is S.RUNNING else 0)
    return make_session(status=status, **changes)


BATCH = SessionSpec(image="fake", kernel="", session_type="batch", startup_command="true")
BOOTSTRAP = SessionSpec(image="fake", bootstrap_script="exit 1")
ENDED = replace(BOUND, state="exited", exit=KernelExit(generation=1, code=0, reason="Done."))
NO_KERNEL = SessionSpec(image="fake", kernel="")
FAILED = replace(
    STARTING, state="failed", exit=KernelExit(generation=1, code=1, reason="Bad.", tail="x\ny\n")
)

TABLE = [
    # what is asked for is made
    ("fresh", row(S.PENDING), {}, d.MakePlace),
    ("in the queue", row(S.PENDING), {"let_in": False}, d.Rest),
    ("let in before", row(S.CREATING), {"let_in": False}, d.MakePlace),
    ("cancelled while in the queue", row(S.PENDING, goal=Goal.STOP), {"let_in": False}, d.Finish),
    ("crashed before the place was made", row(S.PENDING), {"place": INTENDED}, d.MakePlace),
    ("crashed while creating", row(S.CREATING), {"place": INTENDED}, d.MakePlace),
    ("crashed before the place's row", row(S.CREATING), {}, d.MakePlace),
    ("made, agent unknown", row(S.CREATING), {"place": PLACE}, d.Connect),
    ("agent silent for long", row(S.CREATING), {"place": PLACE, "booting_for": 61.0}, d.Fail),
    ("kernel starting", row(S.CREATING), {"place": PLACE, "kernel": STARTING}, d.Rest),
    (
        "kernel never ready",
        row(S.CREATING),
        {"place": PLACE, "kernel": STARTING, "booting_for": 61.0},
        d.Fail,
    ),
    ("kernel bound", row(S.CREATING), {"place": PLACE, "kernel": BOUND}, d.Mark(S.RUNNING)),
    ("kernel cannot start", row(S.CREATING), {"place": PLACE, "kernel": NO_SPEC}, d.Fail),
    ("kernel died while starting", row(S.CREATING), {"place": PLACE, "kernel": DIED}, d.Fail),
    # a spare is somebody's once its agent knows whose
    (
        "claimed",
        row(S.CREATING),
        {"place": PLACE, "kernel": BOUND, "unsettled": True},
        d.Settle,
    ),
    ("claimed and told", row(S.CREATING), {"place": PLACE, "kernel": BOUND}, d.Mark(S.RUNNING)),
    ("claimed, agent unknown", row(S.CREATING), {"place": PLACE, "unsettled": True}, d.Connect),
    (
        "claimed and gone",
        row(S.CREATING),
        {"place": PLACE, "place_seen": MISSING, "unsettled": True},
        d.LeavePlace,
    ),
    (
        "claimed and its kernel dead",
        row(S.CREATING),
        {"place": PLACE, "kernel": DIED, "unsettled": True},
        d.LeavePlace,
    ),
    (
        "claimed and to end",
        row(S.CREATING, goal=Goal.STOP),
        {"place": PLACE, "kernel": BOUND, "unsettled": True},
        d.Mark(S.TERMINATING),
    ),
    (
        "runs, and was a spare under an earlier server",
        row(),
        {"place": PLACE, "kernel": BOUND, "unsettled": True},
        d.Rest,
    ),
    # a command in a kernel's place, and what runs before either
    (
        "command runs",
        row(S.CREATING, spec=BATCH),
        {"place": PLACE, "kernel": BOUND},
        d.Mark(S.RUNNING),
    ),
    ("command goes on", row(spec=BATCH), {"place": PLACE, "kernel": BOUND}, d.Rest),
    (
        "command ended before it was seen",
        row(S.CREATING, spec=BATCH),
        {"place": PLACE, "kernel": ENDED},
        d.Mark(S.RUNNING),
    ),
    (
        "command ended",
        row(spec=BATCH),
        {"place": PLACE, "kernel": ENDED},
        d.EndBatch(ENDED.exit),
    ),
    (
        "command of another generation",
        row(spec=BATCH, generation=2),
        {"place": PLACE, "kernel": ENDED},
        d.Mark(S.RESTARTING),
    ),
    (
        "script failed before the command",
        row(S.CREATING, spec=BATCH),
        {"place": PLACE, "kernel": FAILED},
        d.Fail("Bad. Its last lines:\nx\ny"),
    ),
    (
        "script failed before the kernel",
        row(S.CREATING, spec=BOOTSTRAP),
        {"place": PLACE, "kernel": FAILED},
        d.Fail("Bad. Its last lines:\nx\ny"),
    ),
    (
        "script runs where no kernel follows",
        row(S.CREATING, spec=NO_KERNEL),
        {"place": PLACE, "kernel": replace(STARTING, generation=0)},
        d.Rest,
    ),
    (
        "script failed where no kernel follows",
        row(S.CREATING, spec=NO_KERNEL),
        {"place": PLACE, "kernel": replace(FAILED, generation=0)},
        d.Fail,
    ),
    # what runs goes on, whatever is unknown
    ("settled", row(), {"place": PLACE, "kernel": BOUND}, d.Rest),
    ("engine and agent unknown", row(), {"place": PLACE}, d.Connect),
    ("paused from outside", row(), {"place": PLACE, "place_seen": PAUSED}, d.Connect),
    ("agent lost, place up", row(), {"place": PLACE, "place_seen": UP}, d.Connect),
    ("removed from outside", row(), {"place": PLACE, "place_seen": MISSING}, d.Fail),
    ("ended by itself", row(), {"place": PLACE, "place_seen": OOM}, d.Fail("Out of memory.")),
    ("its place's row was lost", row(), {}, d.Fail),
    # restart is a number
    ("restart wished", row(generation=2), {"place": PLACE, "kernel": BOUND}, d.Mark(S.RESTARTING)),
    (
        "restart under way",
        row(S.RESTARTING, generation=2),
        {"place": PLACE, "kernel": BOUND},
        d.StartKernel,
    ),
    (
        "restart done",
        row(S.RESTARTING, generation=2),
        {"place": PLACE, "kernel": replace(BOUND, generation=2)},
        d.Mark(S.RUNNING),
    ),
    (
        "restart replayed after a crash",
        row(S.RESTARTING, generation=2),
        {"place": PLACE, "place_seen": UP},
        d.Connect,
    ),
    # suspending: the status first, then the engine
    (
        "suspend wished",
        row(goal=Goal.SUSPEND),
        {"place": PLACE, "kernel": BOUND, "suspendable": True},
        d.Mark(S.SUSPENDED),
    ),
    (
        "suspend wished, engine cannot",
        row(goal=Goal.SUSPEND),
        {"place": PLACE, "kernel": BOUND},
        d.Rest,
    ),
    (
        "suspend wished in the middle of a restart",
        row(generation=2, goal=Goal.SUSPEND),
        {"place": PLACE, "kernel": BOUND, "suspendable": True},
        d.Mark(S.RESTARTING),
    ),
    (
        "suspend wished of one that starts",
        row(S.CREATING, goal=Goal.SUSPEND),
        {"place": PLACE, "kernel": BOUND, "suspendable": True},
        d.Mark(S.RUNNING),
    ),
    (
        "to be paused",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "place_seen": UP, "kernel": BOUND, "suspendable": True},
        d.Suspend,
    ),
    (
        "paused",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "place_seen": PAUSED, "suspendable": True},
        d.Rest,
    ),
    (
        "paused, engine unknown",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "suspendable": True},
        d.Connect,
    ),
    (
        "the engine refused to pause, so it runs",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "place_seen": UP, "kernel": BOUND},
        d.Mark(S.RUNNING),
    ),
    (
        "the engine refused to pause, its agent is to be reached again",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "place_seen": UP},
        d.Connect,
    ),
    (
        "removed while paused",
        row(S.SUSPENDED, goal=Goal.SUSPEND),
        {"place": PLACE, "place_seen": MISSING},
        d.Fail,
    ),
    ("resume wished", row(S.SUSPENDED), {"place": PLACE, "place_seen": PAUSED}, d.Resume),
    ("resumed, agent unknown", row(S.SUSPENDED), {"place": PLACE, "place_seen": UP}, d.Connect),
    (
        "resumed",
        row(S.SUSPENDED),
        {"place": PLACE, "place_seen": UP, "kernel": BOUND},
        d.Mark(S.RUNNING),
    ),
    (
        "restart wished of a suspended one",
        row(S.SUSPENDED, generation=2),
        {"place": PLACE, "place_seen": PAUSED, "kernel": None},
        d.Resume,
    ),
    (
        "stop wished of a suspended one",
        row(S.SUSPENDED, goal=Goal.STOP),
        {"place": PLACE, "place_seen": PAUSED},
        d.Mark(S.TERMINATING),
    ),
    # a kernel dies
    ("death is news", row(), {"place": PLACE, "kernel": DIED}, d.NoteExit),
    (
        "death is known, Jupyter restarts",
        row(kernel_exit=DIED.exit),
        {"place": PLACE, "kernel": DIED, "kept": True},
        d.Rest,
    ),
    (
        "death is known, nobody restarts",
        row(kernel_exit=DIED.exit),
        {"place": PLACE, "kernel": DIED},
        d.Autorestart,
    ),
    (
        "too many deaths",
        row(kernel_exit=DIED.exit),
        {"place": PLACE, "kernel": DIED, "deaths": 6},
        d.Fail,
    ),
    # ending
    ("cancelled in the queue", row(S.PENDING, goal=Goal.STOP), {}, d.Finish(S.CANCELLED)),
    (
        "cancelled while creating",
        row(S.CREATING, goal=Goal.STOP),
        {"place": INTENDED},
        d.Mark(S.TERMINATING),
    ),
    ("stop wished", row(goal=Goal.STOP), {"place": PLACE}, d.Mark(S.TERMINATING)),
    ("ending", row(S.TERMINATING, goal=Goal.STOP), {"place": PLACE}, d.RemovePlace),
    ("ended", row(S.TERMINATING, goal=Goal.STOP), {}, d.Finish(S.TERMINATED)),
    (
        "failed start is removed first",
        row(S.CREATING, failure="no"),
        {"place": PLACE},
        d.Mark(S.TERMINATING),
    ),
    ("failed start", row(S.TERMINATING, failure="no"), {}, d.Finish(S.ERROR)),
    ("failed before anything was made", row(S.PENDING, failure="no"), {}, d.Mark(S.TERMINATING)),
    ("final", row(S.TERMINATED), {"place": PLACE}, d.Rest),
]


@pytest.mark.parametrize(
    ("session", "seen", "step"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE]
)
def test_decide(session, seen, step):
    decided = d.decide(session, d.Seen(**seen))
    if isinstance(step, type):
        assert isinstance(decided, step)
    elif isinstance(step, d.Mark):
        assert isinstance(decided, d.Mark)
        assert decided.status is step.status
    else:
        assert decided == step


def test_a_session_without_a_kernel_is_up_with_its_agent():
    session = row(S.CREATING, spec=SessionSpec(image="x", kernel=""))
    assert d.decide(session, d.Seen(place=PLACE, kernel=_STATELESS)) == d.Mark(S.RUNNING)


def test_I7_no_unknown_ever_ends_a_session():
    for status in SessionStatus:
        for place in (PLACE, INTENDED):
            for seen in (None, PAUSED, UP):
                step = d.decide(row(status), d.Seen(place=place, place_seen=seen))
                assert not isinstance(step, d.Fail | d.Finish), (status, place, seen)
