"""Writes sessions as the session management document spells them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.requests import Page
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.rest.backendai import types
from jupyter_sessmgr.rest.backendai.known import NOTHING, Known

#: The version of the API that we say we speak; clients choose their routes by it.
API_VERSION = "v5.20191215"
#: What upstream answers when ``maxWaitSeconds`` have passed. Not a status of a session.
TIMEOUT = "TIMEOUT"
#: What upstream calls the statuses on the way up; its command line reads ``preparing``.
PREPARING = "PREPARING"

_KIB = 1024
_STARTS = frozenset({SessionStatus.PULLING, SessionStatus.CREATING})


def render_version(own_version: str) -> types.VersionReply:
    """Answer the version probe."""
    return {"version": API_VERSION, "manager": own_version}


def render_created(
    session: ComputeSession, *, status: str, fresh: bool, base_url: str, known: Known = NOTHING
) -> types.CreatedReply:
    """Answer ``POST /session``: one body for all generations of clients."""
    is_up = status == SessionStatus.RUNNING
    ports = render_ports(session, base_url, known) if is_up else []
    return {
        **_named(session),
        "kernelId": session.name,
        "status": status,
        "statusInfo": session.why,
        "servicePorts": ports,
        "service_ports": ports,
        "created": fresh,
    }


def render_session(
    session: ComputeSession, now: float, *, base_url: str, known: Known = NOTHING
) -> types.SessionReply:
    """Answer ``GET /session/:id``: the document's keys first, then ours."""
    spec = session.spec
    return {
        "lang": session.language,
        "age": _age(session, now),
        "memoryLimit": (spec.resources.mem or 0) // _KIB,
        "numQueriesExecuted": session.queries,
        "cpuCreditUsed": session.cpu_ms,
        **_named(session),
        "sessionType": spec.session_type,
        "status": session.status.value,
        "statusInfo": session.why,
        "stopReason": session.stop_reason,
        "queuePosition": known.queue_position,
        "queueReason": known.queue_reason,
        "image": spec.image,
        "preset": spec.preset,
        "kernel": spec.kernel,
        "durable": spec.durable,
        "origin": session.origin,
        "encrypted": session.encrypted,
        "group": session.group,
        "domain": session.domain,
        "tag": session.tag,
        "createdAt": moment(session.created_at),
        "startedAt": moment(session.started_at),
        "endedAt": moment(session.ended_at),
        "lastActiveAt": moment(session.last_active_at),
        "idleTimeoutAt": moment(known.idle_timeout_at),
        "endsBy": known.ends_by,
        "resources": render_resources(session),
        "mounts": [mount.name for mount in spec.mounts],
        "servicePorts": render_ports(session, base_url, known),
        "usage": _usage(session.usage, known),
        "stats": stats_of(session) if session.status.is_final else None,
        "history": _history(session),
        "kernelExit": _kernel_exit(session),
    }


def _named(session: ComputeSession) -> types.Named:
    return {
        "sessId": session.name,
        "sessionId": session.id,
        "sessionName": session.name,
        "sessionNumber": session.number,
    }


def render_resources(session: ComputeSession) -> dict[str, str | int]:
    """Write the limits of a session; a slot that is not limited is left out."""
    resources = session.spec.resources
    slots: dict[str, str | int] = {"shmem": resources.shmem, **resources.devices}
    if resources.cpu is not None:
        slots["cpu"] = str(resources.cpu)
    if resources.mem is not None:
        slots["mem"] = resources.mem
    return slots


def render_ports(
    session: ComputeSession, base_url: str, known: Known = NOTHING
) -> list[types.ServicePortItem]:
    """Write the service ports that the session promises, ready to be opened."""
    return [
        {
            "name": port.name,
            "protocol": port.protocol,
            "ports": list(port.ports),
            "url": service_path(base_url, session.id, port.name),
            "running": port.name in known.running,
        }
        for port in session.promised
    ]


def render_page(
    page: Page, render: Callable[[ComputeSession], types.SessionReply]
) -> types.SessionPage:
    """Answer ``GET /session`` with one page, newest first."""
    return {
        "items": [render(session) for session in page.items],
        "total": page.total,
        "next": page.next,
    }


def stats_of(session: ComputeSession) -> types.Stats:
    """Write what a session used: measured last, or what its row knows."""
    last = session.usage or Usage()
    return {
        "status": session.status.value,
        "cpu_used": max(last.cpu_ms, session.cpu_ms),
        "mem_max_bytes": last.mem_max_bytes,
        "mem_cur_bytes": last.mem_bytes,
        "net_rx_bytes": last.net_rx_bytes,
        "net_tx_bytes": last.net_tx_bytes,
        "io_read_bytes": last.io_read_bytes,
        "io_write_bytes": last.io_write_bytes,
        "io_max_scratch_size": last.scratch_max_bytes,
        "io_cur_scratch_size": last.scratch_bytes,
    }


def render_stats(session: ComputeSession) -> types.StatsReply:
    """Answer ``DELETE`` for clients that want to know what the session used."""
    return {"stats": stats_of(session)}


def render_logs(text: str) -> types.LogsReply:
    """Answer ``GET /session/:id/logs``."""
    return {"result": {"logs": text}}


def render_status_history(session: ComputeSession) -> types.StatusHistoryReply:
    """Answer ``GET /session/:id/status-history``: when it came to each status last.

    Servers of this family write statuses in capitals, and the command line of their clients
    reads them in small letters, so both are there.
    """
    times: dict[str, str] = {}
    for note in session.history:
        at = iso(note.at)
        times[note.status.value] = at
        if note.status in _STARTS:
            times.setdefault(PREPARING, at)
    return {"result": times | {status.lower(): at for status, at in times.items()}}


def _usage(usage: Usage | None, known: Known) -> types.UsageItem | None:
    if usage is None:
        return None
    return {
        "cpuPercent": known.cpu_percent,
        "memBytes": usage.mem_bytes,
        "memMaxBytes": usage.mem_max_bytes,
        "pids": usage.pids,
        "netRxBytes": usage.net_rx_bytes,
        "netTxBytes": usage.net_tx_bytes,
        "ioReadBytes": usage.io_read_bytes,
        "ioWriteBytes": usage.io_write_bytes,
        "scratchBytes": usage.scratch_bytes,
        "scratchMaxBytes": usage.scratch_max_bytes,
    }


def _history(session: ComputeSession) -> list[types.HistoryItem]:
    return [
        {"status": note.status.value, "at": moment(note.at), "info": note.info}
        for note in session.history
    ]


def _age(session: ComputeSession, now: float) -> int:
    """Return the milliseconds since the first start; never negative, whatever clocks do."""
    if session.started_at is None:
        return 0
    end = now if session.ended_at is None else session.ended_at
    return max(0, int((end - session.started_at) * 1000))


def iso(seconds: float) -> str:
    """Write a time, in seconds since the epoch, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def moment(seconds: float | None) -> str | None:
    """Write a time that may not have come."""
    return None if seconds is None else iso(seconds)


def _kernel_exit(session: ComputeSession) -> types.KernelExitItem | None:
    ended = session.kernel_exit
    if ended is None:
        return None
    return {
        "generation": ended.generation,
        "code": ended.code,
        "oom": ended.oom,
        "reason": ended.reason,
    }
