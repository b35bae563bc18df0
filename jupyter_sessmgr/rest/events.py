"""Tells browsers what happens to sessions, over Jupyter's event bus.

The bus goes to every authenticated user and keeps nothing: events are hints without names and
without secrets, and GET is the truth.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from jupyter_events import EventLogger

from jupyter_sessmgr.model.events import (
    EngineHealthChanged,
    Event,
    KernelDied,
    SessionExpiring,
    StartProgressed,
    StatusChanged,
)

_ROOT = "https://events.jupyter.org/jupyter_sessmgr"
STATUS = f"{_ROOT}/session_status/v1"
PROGRESS = f"{_ROOT}/start_progress/v1"
DIED = f"{_ROOT}/kernel_died/v1"
EXPIRING = f"{_ROOT}/session_expiring/v1"
HEALTH = f"{_ROOT}/engine_health/v1"

_FILES = (
    "session_status.v1.yaml",
    "start_progress.v1.yaml",
    "kernel_died.v1.yaml",
    "session_expiring.v1.yaml",
    "engine_health.v1.yaml",
)


def schema_files() -> list[Path]:
    """List the files of our event schemas."""
    folder = Path(str(resources.files("jupyter_sessmgr").joinpath("event_schemas")))
    return [folder / name for name in _FILES]


class EventBridge:
    """Turns the manager's events into Jupyter's. Subscribed by the extension's app.

    Parameters
    ----------
    logger : EventLogger
        The server's.
    several : bool
        Whether the server tells people apart, so that not all who listen may know everything.
    """

    def __init__(self, logger: EventLogger, *, several: bool = False) -> None:
        self._logger = logger
        self._several = several
        for path in schema_files():
            logger.register_event_schema(path)

    def __call__(self, event: Event) -> None:
        """Emit an event, if browsers should hear of it."""
        told = render(event, several=self._several)
        if told is not None:
            schema, data = told
            self._logger.emit(schema_id=schema, data=data)


def render(event: Event, *, several: bool = False) -> tuple[str, dict[str, Any]] | None:
    """Write an event: its schema and its data; None when it is not for browsers. Pure.

    Where `several` people listen, why a session waits is not told: it may name folders and groups.
    """
    data: dict[str, Any]
    match event:
        case StatusChanged():
            data = {"status": event.session.status.value}
            if event.before is not None:
                data["before"] = event.before.value
            schema = STATUS
        case StartProgressed():
            hidden = several and event.phase == "queued"
            data = {"phase": event.phase, "info": event.phase if hidden else event.info}
            if event.position is not None:
                data["position"] = event.position
            if event.progress is not None:
                data["progress"] = min(1.0, max(0.0, event.progress))
            schema = PROGRESS
        case KernelDied():
            data = {"reason": event.exit.reason, "oom": event.exit.oom}
            if event.exit.code is not None:
                data["code"] = event.exit.code
            schema = DIED
        case SessionExpiring():
            data = {"ends_at": event.ends_at, "limit": event.limit}
            schema = EXPIRING
        case EngineHealthChanged():
            return HEALTH, {"available": event.available}
        case _:
            return None
    return schema, {"session_id": event.session.id, **data}
