"""What memory knows of a session besides its row. Asks neither agent nor engine."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.events import LimitName
from jupyter_sessmgr.model.session import ComputeSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is told of a session besides what its row says."""

    #: From 1; None while it does not wait.
    queue_position: int | None = None
    queue_reason: str = ""
    #: Seconds since the epoch; None: it is not going to be ended.
    idle_timeout_at: float | None = None
    #: Which limit of time that is.
    ends_by: LimitName | None = None
    #: Of one processor; None: not known.
    cpu_percent: float | None = None
    #: Names of services that listen.
    running: frozenset[str] = frozenset()


NOTHING = Known()


def known_of(sessions: ComputeSessionManager, session: ComputeSession) -> Known:
    """Gather what is known of a session now. Reading is no use of it."""
    if session.status.is_final:
        return NOTHING
    queued = sessions.queue.place_of(session.id)
    deadline = sessions.idle.deadline(session)
    measured = sessions.meter.of(session.id)
    services = sessions.services.states(session.id)
    return Known(
        queue_position=queued.position if queued is not None else None,
        queue_reason=queued.reason if queued is not None else "",
        idle_timeout_at=deadline.at if deadline is not None else None,
        ends_by=deadline.limit if deadline is not None else None,
        cpu_percent=measured.cpu_percent if measured is not None else None,
        running=frozenset(name for name, state in services.items() if state.running),
    )


def as_of_now(sessions: ComputeSessionManager, session: ComputeSession) -> ComputeSession:
    """Give a session's row what was noted of its use since it was written."""
    return session if session.status.is_final else sessions.activity.stamp(session)
