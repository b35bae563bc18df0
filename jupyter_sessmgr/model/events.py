"""What the manager tells its listeners: frozen values with a past-tense name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jupyter_sessmgr.model.session import ComputeSession, KernelExit
from jupyter_sessmgr.model.status import SessionStatus

#: The limits of time that can end a session.
LimitName = Literal["idle", "never-connected", "lifetime", "server-stopped"]


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A session's status became another."""

    session: ComputeSession
    before: SessionStatus | None


@dataclass(frozen=True, slots=True)
class StartProgressed:
    """A session that starts came further: queued, pulling, creating, booting."""

    session: ComputeSession
    phase: str
    info: str
    #: Between 0 and 1; None when unknown.
    progress: float | None = None
    #: Where it stands in the line, from 1; None when it does not wait.
    position: int | None = None


@dataclass(frozen=True, slots=True)
class KernelDied:
    """The kernel of a running session ended without being asked to."""

    session: ComputeSession
    exit: KernelExit


@dataclass(frozen=True, slots=True)
class SessionMoved:
    """A running session is reached at other addresses than before; nothing in it changed."""

    session: ComputeSession


@dataclass(frozen=True, slots=True)
class EngineHealthChanged:
    """The engine stopped answering, or answers again."""

    available: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SessionExpiring:
    """A session will be ended for a limit of time, unless somebody uses it or excepts it."""

    session: ComputeSession
    #: Seconds since the epoch.
    ends_at: float
    limit: LimitName


Event = (
    StatusChanged
    | StartProgressed
    | KernelDied
    | SessionMoved
    | EngineHealthChanged
    | SessionExpiring
)
