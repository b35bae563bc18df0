"""Reads and writes what is said of a session's services. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.manager.inside.services import ServiceState
from jupyter_sessmgr.model.errors import InvalidRequest, ServiceError
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.ports import Shown
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.api.service_types import MAX_WAIT, ServiceReply


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOrder:
    """How a service is to be started."""

    #: None: as it was started last.
    arguments: Mapping[str, Any] | None
    environ: Mapping[str, Any] | None
    #: Seconds to wait for it; None: as long as the server does.
    patience: float | None


def read_start(body: Mapping[str, Any]) -> StartOrder:
    """Read how a service is to be started.

    Raises
    ------
    InvalidRequest
        naming the field.
    """
    at_once = body.get("enqueueOnly")
    if at_once is not None and not isinstance(at_once, bool):
        raise InvalidRequest("enqueueOnly: write true or false.", field="enqueueOnly")
    wait = body.get("maxWaitSeconds") or 0
    if type(wait) is not int or not 0 <= wait <= MAX_WAIT:
        raise InvalidRequest(
            f"maxWaitSeconds: not a whole number up to {MAX_WAIT}.", field="maxWaitSeconds"
        )
    return StartOrder(
        arguments=_object(body, "arguments"),
        environ=_object(body, "environ"),
        patience=0.0 if at_once else float(wait) or None,
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise InvalidRequest(f"{name}: not an object.", field=name)
    return value


def check_not_failed(session: ComputeSession, state: ServiceState) -> None:
    """Refuse a service that was to be started and neither runs nor starts.

    Raises
    ------
    ServiceError
        why it does not, with its last lines.
    """
    if state.state not in {"running", "starting"}:
        raise ServiceError(
            f"The service {state.name} does not run: {state.error or 'it was stopped.'}",
            session=session.name,
            log=state.log_tail,
        )


def render_service(
    session: ComputeSession, state: ServiceState, base_url: str, shown: Shown
) -> ServiceReply:
    """Write how a service is."""
    return {
        "name": state.name,
        "state": state.state,
        "protocol": state.protocol,
        "ports": list(state.ports),
        "url": service_path(base_url, session.id, state.name),
        "definition": state.source,
        "trusted": state.trusted,
        "isolation": shown.isolation,
        "isolationInfo": shown.info,
        "error": state.error,
    }
