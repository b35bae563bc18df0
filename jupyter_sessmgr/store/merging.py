"""Joins what two servers on one file wrote of the same session. Pure.

Every write builds on the row as its writer saw it, the `base`. Where the stored row is another one
by now, somebody else wrote meanwhile: what they changed is kept, and what the writer changed is
added to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal

#: Columns fixed at creation, those the manager writes, and those the reconciler writes.
FIXED = ("id", "owner", "domain", "group", "origin", "server_id", "spec", "created_at")
WISHES = (
    "name",
    "tag",
    "goal",
    "generation",
    "forced",
    "stop_reason",
    "idle_exempt",
    "kept_until",
    "opened_ports",
    "exit_wished",
)
FACTS = (
    "status",
    "status_info",
    "failure",
    "observed_generation",
    "place_id",
    "endpoints",
    "encrypted",
    "language",
    "kernel_exit",
    "started_at",
    "ended_at",
    "connected_at",
    "last_active_at",
    "queries",
    "cpu_ms",
    "usage",
    "history",
    "log_tail",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How one session was used, as far as it is not written down; anybody may add to it."""

    session_id: str
    #: Executions.
    queries: int = 0
    #: Seconds since the epoch.
    first: float | None = None
    last: float | None = None


def with_wishes(
    stored: ComputeSession, session: ComputeSession, base: ComputeSession | None = None
) -> ComputeSession:
    """Give `stored` the wishes of `session`."""
    if base is None or base.revision == stored.revision:
        return _merge(stored, session, WISHES)
    changed = [name for name in WISHES if getattr(session, name) != getattr(base, name)]
    merged = _merge(stored, session, changed)
    merged = replace(
        merged,
        generation=max(stored.generation, merged.generation),
        exit_wished=max(stored.exit_wished, merged.exit_wished),
        opened_ports=_merge_ports(stored, session, base),
    )
    if stored.goal is not Goal.STOP:
        return merged
    # What is to end stays so, and the first reason is the one that it ends for.
    return replace(
        merged,
        goal=Goal.STOP,
        forced=stored.forced or merged.forced,
        stop_reason=stored.stop_reason or merged.stop_reason,
    )


def with_facts(
    stored: ComputeSession, session: ComputeSession, base: ComputeSession | None = None
) -> ComputeSession:
    """Give `stored` the facts of `session`; how others used it meanwhile is added."""
    merged = _merge(stored, session, FACTS)
    if base is None or base.revision == stored.revision:
        return merged
    return replace(
        merged,
        queries=session.queries + max(0, stored.queries - base.queries),
        connected_at=stored.connected_at or session.connected_at,
        last_active_at=_latest(stored.last_active_at, session.last_active_at),
    )


def with_use(stored: ComputeSession, use: Use) -> ComputeSession:
    """Add to `stored` how it was used."""
    return replace(
        stored,
        queries=stored.queries + use.queries,
        connected_at=stored.connected_at or use.first,
        last_active_at=_latest(stored.last_active_at, use.last),
        revision=stored.revision + 1,
    )


def _merge(stored: ComputeSession, session: ComputeSession, names: Iterable[str]) -> ComputeSession:
    changes: dict[str, Any] = {name: getattr(session, name) for name in names}
    return replace(stored, revision=stored.revision + 1, **changes)


def _merge_ports(
    stored: ComputeSession, session: ComputeSession, base: ComputeSession
) -> tuple[int, ...]:
    closed = set(base.opened_ports) - set(session.opened_ports)
    kept = [port for port in stored.opened_ports if port not in closed]
    opened = [port for port in session.opened_ports if port not in base.opened_ports]
    return tuple(dict.fromkeys([*kept, *opened]))


def _latest(one: float | None, other: float | None) -> float | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
