"""Writes what happens to sessions as the API's listeners read it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from jupyter_sessmgr.model.events import Event, KernelDied, SessionExpiring, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai.event_types import EventData
from jupyter_sessmgr.rest.feeds import Message, Rendered

_S = SessionStatus

#: What is told when a session comes to a status.
_ARRIVALS: Mapping[SessionStatus, tuple[str, ...]] = MappingProxyType(
    {
        _S.PENDING: ("session_enqueued",),
        _S.PULLING: ("kernel_pulling",),
        _S.CREATING: ("kernel_creating",),
        _S.RUNNING: ("kernel_started", "session_started"),
        _S.RESTARTING: ("session_restarting",),
        _S.SUSPENDED: ("session_suspended",),
        _S.TERMINATING: ("kernel_terminating", "session_terminating"),
        _S.TERMINATED: ("kernel_terminated", "session_terminated"),
        _S.CANCELLED: ("kernel_cancelled", "session_cancelled"),
        _S.ERROR: ("kernel_terminated", "session_failure", "session_terminated"),
    }
)
#: What is told instead, where it matters what the status was before.
_CHANGES: Mapping[tuple[SessionStatus, SessionStatus], tuple[str, ...]] = MappingProxyType(
    {
        (_S.RESTARTING, _S.RUNNING): ("kernel_started", "session_restarted"),
        (_S.SUSPENDED, _S.RUNNING): ("session_resumed",),
    }
)
#: What is told before, when a session leaves the queue.
_SCHEDULED = ("session_scheduled", "session_preparing", "kernel_preparing")

#: Every event that a listener can hear.
NAMES = frozenset(
    {
        *(name for names in _ARRIVALS.values() for name in names),
        *(name for names in _CHANGES.values() for name in names),
        *_SCHEDULED,
        "session_success",
        "session_expiring",
        "kernel_died",
    }
)


def render_event(event: Event) -> list[Rendered]:
    """Write an event of the manager: any number of names with data."""
    match event:
        case StatusChanged():
            return [(name, _data(event.session, name)) for name in _names(event)]
        case KernelDied():
            reason = event.exit.reason
            return [("kernel_died", _data(event.session, "kernel_died", reason=reason))]
        case SessionExpiring():
            when = datetime.fromtimestamp(event.ends_at, UTC).isoformat()
            more = {"endsAt": when, "limit": event.limit}
            return [("session_expiring", _data(event.session, "session_expiring", **more))]
    return []


def render_message(message: Message) -> str:
    """Write a message as a server-sent event."""
    return f"event: {message.name}\nid: {message.number}\ndata: {message.data}\n\n"


def _names(event: StatusChanged) -> tuple[str, ...]:
    status, before = event.session.status, event.before
    names = _ARRIVALS[status]
    if before is not None:
        names = _CHANGES.get((before, status), names)
    if before is _S.PENDING and status in {_S.PULLING, _S.CREATING}:
        return (*_SCHEDULED, *names)
    if status is _S.TERMINATED and _batch_code(event.session) is not None:
        outcome = "session_failure" if _batch_code(event.session) else "session_success"
        return (names[0], outcome, *names[1:])
    return names


def _batch_code(session: ComputeSession) -> int | None:
    """Say how a batch session's command ended; None when it did not, or there is none."""
    ended = session.kernel_exit
    return ended.code if session.spec.session_type == "batch" and ended is not None else None


def _data(session: ComputeSession, name: str, reason: str = "", **more: str) -> str:
    data: EventData = {
        "reason": reason or session.failure or session.stop_reason or session.status_info,
        "sessionName": session.name,
        "ownerAccessKey": session.owner,
        "sessionId": session.id,
        "status": session.status.value,
    }
    if name.startswith("kernel_"):
        data |= {"kernelId": session.id, "clusterRole": "main", "clusterIdx": 1}
    if name in {"session_success", "session_failure", "kernel_died"}:
        code = session.kernel_exit.code if session.kernel_exit is not None else None
        data["exitCode"] = 0 if name == "session_success" else code or 1
    return json.dumps({**data, **more})
