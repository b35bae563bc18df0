"""Writes sessions as the session management document spells them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage

#: The version of the API that we say we speak; clients choose their routes by it.
API_VERSION = "v5.20191215"
#: What upstream answers when ``maxWaitSeconds`` have passed. Not a status of a session.
TIMEOUT = "TIMEOUT"

_KIB = 1024


def render_version(own_version: str) -> dict[str, str]:
    """Answer the version probe."""
    return {"version": API_VERSION, "manager": own_version}


def render_created(session: ComputeSession, *, status: str, fresh: bool) -> dict[str, Any]:
    """Answer ``POST /session``: one body for all generations of clients."""
    ports = render_ports(session) if status == SessionStatus.RUNNING else []
    return {
        "sessId": session.name,
        "kernelId": session.name,
        "sessionId": session.id,
        "sessionName": session.name,
        "sessionNumber": session.number,
        "status": status,
        "statusInfo": _info(session),
        "servicePorts": ports,
        "service_ports": ports,
        "created": fresh,
    }


def render_session(session: ComputeSession, now: float) -> dict[str, Any]:
    """Answer ``GET /session/:id``: the document's keys first, then ours."""
    spec = session.spec
    return {
        "lang": session.language,
        "age": _age(session, now),
        "memoryLimit": (spec.resources.mem or 0) // _KIB,
        "numQueriesExecuted": session.queries,
        "cpuCreditUsed": session.cpu_ms,
        "sessId": session.name,
        "sessionId": session.id,
        "sessionName": session.name,
        "sessionNumber": session.number,
        "status": session.status.value,
        "statusInfo": _info(session),
        "image": spec.image,
        "preset": spec.preset,
        "kernel": spec.kernel,
        "durable": spec.durable,
        "origin": session.origin,
        "encrypted": session.encrypted,
        "group": session.group,
        "domain": session.domain,
        "tag": session.tag,
        "createdAt": _time(session.created_at),
        "startedAt": _time(session.started_at),
        "endedAt": _time(session.ended_at),
        "lastActiveAt": _time(session.last_active_at),
        "resources": render_resources(session),
        "mounts": [mount.name for mount in spec.mounts],
        "servicePorts": render_ports(session),
        "kernelExit": _kernel_exit(session),
    }


def render_resources(session: ComputeSession) -> dict[str, Any]:
    """Write the limits of a session; a slot that is not limited is left out."""
    resources = session.spec.resources
    slots: dict[str, Any] = {"shmem": resources.shmem, **resources.devices}
    if resources.cpu is not None:
        slots["cpu"] = str(resources.cpu)
    if resources.mem is not None:
        slots["mem"] = resources.mem
    return slots


def render_ports(session: ComputeSession) -> list[dict[str, Any]]:
    """Write the service ports that the session promises."""
    return [
        {"name": port.name, "protocol": port.protocol, "ports": list(port.ports)}
        for port in session.spec.service_ports
    ]


def render_page(
    sessions: Sequence[ComputeSession], *, limit: int, before: int | None, now: float
) -> dict[str, Any]:
    """Answer ``GET /session`` with one page, newest first.

    Parameters
    ----------
    sessions : sequence
        All that the owner may see.
    limit : int
        How many to show.
    before : int, optional
        Show those with a smaller number only: the `next` of the page before.
    now : float
        Seconds since the epoch.
    """
    rows = sorted(sessions, key=lambda session: session.number, reverse=True)
    rest = [row for row in rows if before is None or row.number < before]
    page = rest[:limit]
    return {
        "items": [render_session(session, now) for session in page],
        "total": len(rows),
        "next": page[-1].number if len(rest) > limit else None,
    }


def render_stats(session: ComputeSession, usage: Usage | None) -> dict[str, Any]:
    """Answer ``DELETE`` for clients that want to know what the session used.

    Parameters
    ----------
    session : ComputeSession
        As it ended.
    usage : Usage, optional
        What its agent measured last; None when it could not be asked.
    """
    last = usage or Usage(cpu_ms=session.cpu_ms)
    return {
        "stats": {
            "cpu_used": max(last.cpu_ms, session.cpu_ms),
            "mem_max_bytes": last.mem_max_bytes,
            "mem_cur_bytes": last.mem_bytes,
            "net_rx_bytes": last.net_rx_bytes,
            "net_tx_bytes": last.net_tx_bytes,
            "io_read_bytes": last.io_read_bytes,
            "io_write_bytes": last.io_write_bytes,
            "io_max_scratch_size": 0,
            "io_cur_scratch_size": 0,
        }
    }


def _age(session: ComputeSession, now: float) -> int:
    """Return the milliseconds since the first start; never negative, whatever clocks do."""
    if session.started_at is None:
        return 0
    end = now if session.ended_at is None else session.ended_at
    return max(0, int((end - session.started_at) * 1000))


def _info(session: ComputeSession) -> str:
    return session.failure or session.status_info


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _kernel_exit(session: ComputeSession) -> dict[str, Any] | None:
    ended = session.kernel_exit
    if ended is None:
        return None
    return {
        "generation": ended.generation,
        "code": ended.code,
        "oom": ended.oom,
        "reason": ended.reason,
    }
