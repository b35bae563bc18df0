"""What a kernel was asked to execute, and what became of it."""

from __future__ import annotations

import json

from . import heard
from .changes import LIFECYCLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from .following import Following
    from .journal import Journal

#: Executions that are told of, the newest; and bytes that telling of them may take.
_MOST, _MOST_BYTES = 1000, 256 * 1024
_REQUESTS = "SELECT number, id, cell, path, header FROM request ORDER BY number DESC"
#: Of what tells of executions, replies have no mark.
_REPLIES = "SELECT parent, time, metadata, content FROM message WHERE kind = ? AND mark = ''"
#: A request of which nothing was said yet has no header.
_UNSAID = "{}"
_EXECUTE = "execute_request"


def listed(journal: Journal, following: Following) -> list[dict[str, Any]]:
    """List executions, the oldest first, each with its cell and how far it came."""
    replies = _replies(journal)
    found: list[dict[str, Any]] = []
    room = _MOST_BYTES
    for number, request, cell, path, header in _requests(journal):
        if header != _UNSAID and json.loads(header).get("msg_type") != _EXECUTE:
            continue
        one = {"id": request, "cell": cell, "path": path}
        never = number <= following.over
        one.update(_fate(request, header == _UNSAID, never, replies.get(request), following))
        room -= len(json.dumps(one))
        if room < 0 or len(found) >= _MOST:
            break
        found.append(one)
    return found[::-1]


def _fate(
    request: str, unsaid: bool, never: bool, reply: Any, following: Following
) -> dict[str, Any]:
    """Say how far an execution came."""
    running = following.find(request)
    if running is not None:
        started, asks = heard.date(running.since), running.asks
        return {"state": "running", "count": running.count, "started": started, "asks": asks}
    if reply is not None:
        at, metadata, content = reply
        said, started = json.loads(content), json.loads(metadata).get("started")
        status, count = said.get("status"), said.get("execution_count")
        fate = {"state": "ended", "status": status, "count": count}
        return dict(fate, started=started, ended=heard.date(at))
    if unsaid and not never:
        return {"state": "queued"}
    return {"state": "ended", "status": "aborted" if unsaid else None}


def _requests(journal: Journal) -> Iterator[tuple[float, str, str | None, str | None, str]]:
    """Yield requests, the newest first: those that wait to be written, then the others."""
    notes, headers = journal.fresh.notes, journal.fresh.requests
    for request in reversed(list({**headers, **notes})):
        if not any(journal.shelf.read("SELECT 1 FROM request WHERE id = ?", request)):
            cell, path = notes.get(request, (None, None))
            yield float("inf"), request, cell, path, headers.get(request, _UNSAID)
    for number, request, cell, path, header in journal.shelf.read(_REQUESTS):
        note = notes.get(request, (cell, path))
        yield number, request, note[0], note[1], headers.get(request, header)


def _replies(journal: Journal) -> Mapping[str, tuple[float, str, str]]:
    replies = {row[0]: (row[1], row[2], row[3]) for row in journal.shelf.read(_REPLIES, LIFECYCLE)}
    for _, kind, parent, _, mark, at, _, _, metadata, content, _ in journal.fresh.rows.values():
        if kind == LIFECYCLE and not mark:
            replies[parent] = at, metadata, content
    return replies
