"""What a server that follows tells of what the one that leads wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jupyter_sessmgr.model.events import (
    Event,
    KernelDied,
    SessionMoved,
    StartProgressed,
    StatusChanged,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import STARTING, SessionStatus
from jupyter_sessmgr.store.base import Change

#: How a start is called that came so far.
_PHASES = {
    SessionStatus.PENDING: "queued",
    SessionStatus.PULLING: "pulling",
    SessionStatus.CREATING: "creating",
}


def news_of(change: Change) -> Iterator[Event]:
    """Say what happened to a session, in order: also to what statuses it came meanwhile."""
    before, after = change.before, change.after
    if after is None:
        return
    if before is not None and _moved(before, after):
        yield SessionMoved(after)
    yield from _statuses(before, after)
    if after.status in STARTING and (before is None or before.status_info != after.status_info):
        yield StartProgressed(after, _PHASES[after.status], after.status_info)
    ended = after.kernel_exit
    if before is None or ended is None or ended == before.kernel_exit or ended.expected:
        return
    yield KernelDied(after, ended)


def _statuses(before: ComputeSession | None, after: ComputeSession) -> Iterator[StatusChanged]:
    """Tell each status once, though only the last of several was seen in the row."""
    was = before.status if before is not None else None
    since = before.history[-1].at if before is not None and before.history else -1.0
    for note in [note for note in after.history if note.at > since][:-1]:
        yield StatusChanged(replace(after, status=note.status, status_info=note.info), was)
        was = note.status
    if was is not after.status:
        yield StatusChanged(after, was)


def _moved(before: ComputeSession, after: ComputeSession) -> bool:
    same_place = before.place_id == after.place_id and after.status is SessionStatus.RUNNING
    return same_place and bool(before.endpoints) and before.endpoints != after.endpoints
