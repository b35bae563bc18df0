"""Writes what is said of a session's executions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from jupyter_sessmgr.manager.recording.journal import Execution
from jupyter_sessmgr.rest.api.execution_types import ExecutionItem, ExecutionList


def render_executions(session_id: str, executions: Sequence[Execution]) -> ExecutionList:
    """Write a list of executions."""
    return {"sessionId": session_id, "items": [_render(one) for one in executions]}


def _render(one: Execution) -> ExecutionItem:
    said: dict[str, Any] = {
        **{name: getattr(one, name) for name in ("id", "cell", "path", "state", "status", "count")},
        "startedAt": _time(one.started),
        "endedAt": _time(one.ended),
        "asks": asdict(one.asks) if one.asks is not None else None,
    }
    return cast("ExecutionItem", said)


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
