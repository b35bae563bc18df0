"""Reads and writes what is said of a session's output. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from jupyter_sessmgr.manager.recording.journal import JournalPage, Recorded
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.api.output_types import OutputMessage, OutputPage

#: Longest that a request waits for something new, in seconds.
MAX_WAIT = 60
_DIGITS = 15


def read_since(text: str) -> int:
    """Read the number of the last message that a client has.

    Raises
    ------
    InvalidRequest
        when it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidRequest(
            "since: give the number of the last message you have, or 0 for all that is kept.",
            field="since",
        )
    return int(text)


def read_wait(text: str) -> float:
    """Read how many seconds to wait for something new.

    Raises
    ------
    InvalidRequest
        when it is no number, or more than `MAX_WAIT`.
    """
    try:
        wait = float(text)
    except ValueError:
        wait = math.nan
    if not 0 <= wait <= MAX_WAIT:
        raise InvalidRequest(f"wait: give seconds from 0 to {MAX_WAIT}.", field="wait")
    return wait


def render_page(session_id: str, page: JournalPage) -> OutputPage:
    """Write a part of a session's output."""
    return {
        "sessionId": session_id,
        "items": [_render(one) for one in page.messages],
        "first": page.first,
        "next": page.next,
        "lost": {"messages": page.lost.messages, "bytes": page.lost.bytes},
        "gaps": [
            {
                "seq": gap.seq,
                "since": _time(gap.since),
                "until": _time(gap.until),
                "reason": gap.reason,
            }
            for gap in page.gaps
        ],
        "problem": page.problem,
    }


def _render(recorded: Recorded) -> OutputMessage:
    header = recorded.message.get("header")
    is_reply = isinstance(header, dict) and header.get("msg_type") == "execute_reply"
    return {
        "seq": recorded.seq,
        "time": _time(recorded.time),
        "channel": "shell" if is_reply else "iopub",
        "parent": recorded.parent,
        "cell": recorded.cell,
        "message": recorded.message,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
