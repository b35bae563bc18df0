"""How long a session may go unused: what it asked for, and what the server allows. Pure."""

from __future__ import annotations

from typing import Protocol

from jupyter_sessmgr.model.errors import InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.resources import parse_seconds
from jupyter_sessmgr.model.session import SessionSpec

#: Below this a session would end while its user thinks.
SHORTEST_IDLE = 60


def read_idle_timeout(asked: object) -> float | None:
    """Read the seconds after which a session is to end that nobody uses; None: as the server says.

    Raises
    ------
    InvalidRequest
        for what is no number, or too short or too long to be meant.
    """
    if asked is None:
        return None
    seconds = parse_seconds(asked, "idleTimeout")
    if seconds < SHORTEST_IDLE:
        raise InvalidRequest(
            f"idleTimeout: {_spell(seconds)} s are too short; give at least {SHORTEST_IDLE}, or "
            "leave it out.",
            field="idleTimeout",
        )
    return seconds


class ServerLimits(Protocol):
    """The administrator's limits, in seconds; 0 is no limit."""

    idle_timeout: float
    durable_idle_timeout: float


def check_idle_timeout(spec: SessionSpec, server: ServerLimits) -> None:
    """Refuse to let a session go unused for longer than the server lets it.

    Raises
    ------
    LimitExceeded
        with what would fit.
    """
    asked, most = spec.idle_timeout, _most(server, durable=spec.durable)
    if asked is not None and most and asked > most:
        kind = "durable" if spec.durable else "interactive"
        raise LimitExceeded(
            f"idleTimeout: {_spell(asked)} s are too long; {kind} sessions that nobody uses end "
            f"after {_spell(most)} s here. Ask for at most that, or leave it out.",
            field="idleTimeout",
            limit=_spell(most),
            asked=_spell(asked),
            fits=_spell(most),
        )


def idle_timeout(spec: SessionSpec, server: ServerLimits) -> float:
    """Say after how many unused seconds a session ends: the shorter of both; 0 is never.

    An administrator who shortens the server's limit shortens that of sessions which live, too.
    """
    both = (spec.idle_timeout, _most(server, durable=spec.durable))
    return min(filter(None, both), default=0.0)


def _most(server: ServerLimits, *, durable: bool) -> float:
    return server.durable_idle_timeout if durable else server.idle_timeout


def _spell(seconds: float) -> str:
    """Spell a time as it can be asked for: 2592000, and not 2.592e+06."""
    return f"{seconds:.15g}"
