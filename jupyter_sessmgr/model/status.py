"""What a session is doing (status, a fact) and what it should be doing (goal, a wish)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Goal(StrEnum):
    """What is wanted of a session. Written by the manager, only."""

    RUN = "RUN"
    SUSPEND = "SUSPEND"
    STOP = "STOP"


class SessionStatus(StrEnum):
    """What a session is. Written by the reconciler, only. Spellings are Backend.AI's."""

    PENDING = "PENDING"
    PULLING = "PULLING"
    CREATING = "CREATING"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    SUSPENDED = "SUSPENDED"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"

    @property
    def is_final(self) -> bool:
        """Whether nothing of the session exists any more and nothing will change."""
        return self in FINAL

    @property
    def is_transitional(self) -> bool:
        """Whether the reconciler still owes this session work (FAULTS I4)."""
        return self in TRANSITIONAL


_S = SessionStatus

#: Nothing of the session exists any more. Only these let the name be used again.
FINAL = frozenset({_S.TERMINATED, _S.CANCELLED, _S.ERROR})

#: The session is on its way to another status.
TRANSITIONAL = frozenset({_S.PULLING, _S.CREATING, _S.RESTARTING, _S.TERMINATING})

#: The session is on its way up for the first time.
STARTING = frozenset({_S.PENDING, _S.PULLING, _S.CREATING})

#: Every change of status that may happen. No final status is reached but through TERMINATING
#: or, when nothing was ever made, from PENDING: so nothing that exists is ever forgotten.
TRANSITIONS: Mapping[SessionStatus, frozenset[SessionStatus]] = {
    _S.PENDING: frozenset({_S.PULLING, _S.CREATING, _S.TERMINATING, _S.CANCELLED}),
    _S.PULLING: frozenset({_S.CREATING, _S.TERMINATING}),
    _S.CREATING: frozenset({_S.RUNNING, _S.TERMINATING}),
    _S.RUNNING: frozenset({_S.RESTARTING, _S.SUSPENDED, _S.TERMINATING}),
    _S.RESTARTING: frozenset({_S.RUNNING, _S.TERMINATING}),
    _S.SUSPENDED: frozenset({_S.RUNNING, _S.TERMINATING}),
    _S.TERMINATING: frozenset({_S.TERMINATED, _S.ERROR}),
    _S.TERMINATED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.ERROR: frozenset(),
}
