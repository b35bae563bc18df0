"""The heart: what is to be done next for one session. Pure, and tested as a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jupyter_sessmgr.engines.base import Observation
from jupyter_sessmgr.manager.agents.words import KernelState
from jupyter_sessmgr.model.ports import Endpoint
from jupyter_sessmgr.model.session import ComputeSession, KernelExit, Place, PlaceState
from jupyter_sessmgr.model.status import STARTING, Goal, SessionStatus

_S = SessionStatus
#: Lines of output that are told with a failure.
_LAST_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is known of a session besides its row. None always means: unknown."""

    place: Place | None = None
    #: The engine's word on the place.
    place_seen: Observation | None = None
    #: The agent's word on the kernel; None also while it cannot be reached.
    kernel: KernelState | None = None
    #: Seconds since the agent was started; None when this server did not see that.
    booting_for: float | None = None
    #: Seconds that a kernel may take from the agent's start to bound channels.
    boot_timeout: float = 60.0
    #: Somebody else, such as Jupyter's restarter, starts a dead kernel again.
    kept: bool = False
    #: How often the kernel died by itself lately, and how often is too often.
    deaths: int = 0
    max_deaths: int = 5
    #: Seconds until it may be started again.
    restart_in: float = 0.0
    #: The engine can suspend this place.
    suspendable: bool = False
    #: The queue let the session in.
    let_in: bool = True
    #: The place was a spare, and its agent does not know yet whose it is.
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is left to do until something changes."""


@dataclass(frozen=True, slots=True)
class MakePlace:
    """Choose a place, or go on making the one that was chosen."""


@dataclass(frozen=True, slots=True)
class Move:
    """Write down where the place is reached now, and forget how it was reached before."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Reach the agent."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Tell the agent of what was a spare whose it is."""


@dataclass(frozen=True, slots=True)
class LeavePlace:
    """Give up a spare that was claimed and is of no use; another place is made."""


@dataclass(frozen=True, slots=True)
class StartKernel:
    """Have the agent run the kernel of the wished generation."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Write another status down."""

    status: SessionStatus
    info: str = ""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Let the place's clock stand."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Let it go on."""


@dataclass(frozen=True, slots=True)
class NoteExit:
    """Write down and tell how the kernel ended."""

    exit: KernelExit


@dataclass(frozen=True, slots=True)
class EndBatch:
    """Write down how a batch session's command ended, and end the session with it."""

    exit: KernelExit


@dataclass(frozen=True, slots=True)
class Autorestart:
    """Wish for another generation, since nobody else will."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Give the session up; it ends as ERROR once nothing of it is left."""

    failure: str


@dataclass(frozen=True, slots=True)
class RemovePlace:
    """Remove the place, and write its row off after it."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left of the session: write its final status."""

    status: SessionStatus


Step = (
    Rest
    | MakePlace
    | Move
    | Connect
    | Settle
    | LeavePlace
    | StartKernel
    | Mark
    | Suspend
    | Resume
    | NoteExit
    | EndBatch
    | Autorestart
    | Fail
    | RemovePlace
    | Finish
)


def decide(session: ComputeSession, seen: Seen) -> Step:
    """Say the next step towards the wish. Called by the reconciler until it answers `Rest`."""
    if session.status.is_final:
        return Rest()
    if session.goal is Goal.STOP or session.failure or session.status is _S.TERMINATING:
        return _end(session, seen)
    if seen.place is None:
        return _without_place(session, seen)
    if seen.place.state is PlaceState.INTENDED:
        return MakePlace()
    return _with_place(session, seen)


def _with_place(session: ComputeSession, seen: Seen) -> Step:
    if seen.unsettled and session.status in STARTING:
        return _claimed(seen)
    ended = lost(seen.place_seen)
    if ended:
        return Fail(ended)
    if session.status is _S.SUSPENDED:
        return _suspended(session, seen)
    if seen.kernel is None:
        return _unreached(session, seen)
    return _with_kernel(session, seen, seen.kernel)


def _end(session: ComputeSession, seen: Seen) -> Step:
    if seen.place is None:
        if session.status is _S.PENDING and not session.failure:
            return Finish(_S.CANCELLED)
        if session.status is _S.TERMINATING:
            return Finish(_S.ERROR if session.failure else _S.TERMINATED)
        return Mark(_S.TERMINATING)
    if session.status is not _S.TERMINATING:
        return Mark(_S.TERMINATING)
    return RemovePlace()


def _without_place(session: ComputeSession, seen: Seen) -> Step:
    if session.status is _S.PENDING and not seen.let_in:
        return Rest()
    if session.status in STARTING:
        return MakePlace()
    return Fail("What the session ran in is gone.")


def lost(observation: Observation | None) -> str:
    """Say why a place counts as lost; "" unless the engine itself said so."""
    if observation is None:
        return ""
    if not observation.exists:
        return "What the session ran in was removed from outside."
    if observation.running or observation.paused:
        return ""
    return observation.reason or f"The session ended with exit code {observation.exit_code}."


def moved(session: ComputeSession, observation: Observation | None) -> tuple[Endpoint, ...]:
    """Say where a place is reached by now; () when that is where it was, or it is not reached."""
    if observation is None or observation.endpoints == session.endpoints:
        return ()
    return observation.endpoints


def _unreached(session: ComputeSession, seen: Seen) -> Step:
    too_long = seen.booting_for is not None and seen.booting_for > seen.boot_timeout
    if session.status in STARTING and too_long:
        return Fail(
            f"The session's agent did not answer within {seen.boot_timeout:.0f} seconds; "
            "its log says more."
        )
    elsewhere = moved(session, seen.place_seen)
    return Move(elsewhere) if elsewhere else Connect()


def _claimed(seen: Seen) -> Step:
    """Say what comes next for a session that was given a spare."""
    if lost(seen.place_seen):
        return LeavePlace()
    if seen.kernel is None:
        return Connect()
    return Settle() if seen.kernel.state == "bound" else LeavePlace()


def _suspended(session: ComputeSession, seen: Seen) -> Step:
    """Say what to do about a session that is to be, or was, suspended.

    The status is written before the engine is asked, as every intent: so a place that is paused
    without it was paused by somebody else, and is left to them.
    """
    if seen.place_seen is None:
        return Connect()
    stays = session.goal is Goal.SUSPEND
    if seen.place_seen.paused:
        return Rest() if stays else Resume()
    if stays and seen.suspendable:
        return Suspend()
    return Connect() if seen.kernel is None else Mark(_S.RUNNING)


def _with_kernel(session: ComputeSession, seen: Seen, kernel: KernelState) -> Step:
    if not runs_something(session):
        return _prepared(session, seen, kernel)
    if kernel.generation < session.generation:
        if session.status is _S.RUNNING:
            return Mark(_S.RESTARTING)
        return StartKernel()
    if kernel.state == "bound":
        behind = kernel.generation > session.observed_generation  # the row is of an old copy
        return _settled(session, seen) if _is_up(session) and not behind else _up(session)
    if kernel.state in {"exited", "failed"}:
        is_batch = session.spec.session_type == "batch"
        return _over(session, kernel) if is_batch else _dead(session, seen, kernel)
    if session.status is _S.CREATING and (seen.booting_for or 0) > seen.boot_timeout:
        return Fail(f"The kernel was not ready within {seen.boot_timeout:.0f} seconds.")
    return Rest()


def runs_something(session: ComputeSession) -> bool:
    """Tell whether the session has a kernel, or a command in its place."""
    return bool(session.spec.kernel) or session.spec.session_type == "batch"


def _prepared(session: ComputeSession, seen: Seen, kernel: KernelState) -> Step:
    """Say what comes next where nothing but the bootstrap script was to be run."""
    if kernel.state in {"exited", "failed"}:
        return Fail(with_tail(exit_of(kernel)))
    if kernel.state == "starting":
        return Rest()
    return _settled(session, seen) if _is_up(session) else _up(session)


def _over(session: ComputeSession, kernel: KernelState) -> Step:
    """Say what comes next when the command of a batch session ended."""
    if kernel.state == "failed":
        return Fail(with_tail(exit_of(kernel)))
    # It ran, however short; only then can it have ended.
    return EndBatch(exit_of(kernel)) if _is_up(session) else _up(session)


def _settled(session: ComputeSession, seen: Seen) -> Step:
    if session.goal is Goal.SUSPEND and seen.suspendable:
        return Mark(_S.SUSPENDED)
    return Rest()


def _is_up(session: ComputeSession) -> bool:
    return session.status is _S.RUNNING and session.observed_generation >= session.generation


def _up(session: ComputeSession) -> Step:
    if session.status is _S.PENDING:
        return Mark(_S.CREATING)
    return Mark(_S.RUNNING)


def _dead(session: ComputeSession, seen: Seen, kernel: KernelState) -> Step:
    ended = exit_of(kernel)
    if session.status in STARTING:
        return Fail(with_tail(ended) if session.spec.bootstrap_script else ended.reason)
    known = session.kernel_exit
    if known is None or known.generation < kernel.generation:
        return NoteExit(ended)
    if not _is_up(session):
        return Mark(_S.RUNNING, ended.reason)
    if seen.kept:
        return Rest()
    if seen.deaths > seen.max_deaths:
        return Fail(f"The kernel died {seen.deaths} times in a row; at last: {ended.reason}")
    return Rest() if seen.restart_in > 0 else Autorestart()


def exit_of(kernel: KernelState) -> KernelExit:
    """Put an agent's word on the end of a kernel into the session's terms."""
    if kernel.exit is not None:
        return replace(kernel.exit, reason=kernel.exit.reason or "The kernel died.")
    reason = kernel.error or "The kernel could not be started."
    return KernelExit(generation=kernel.generation, code=None, reason=reason)


def with_tail(ended: KernelExit) -> str:
    """Say why something ended, with its last lines."""
    lines = ended.tail.strip().splitlines()[-_LAST_LINES:]
    return f"{ended.reason} Its last lines:\n" + "\n".join(lines) if lines else ended.reason
