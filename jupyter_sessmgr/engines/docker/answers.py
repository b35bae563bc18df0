"""What the engine's answers about containers mean. Pure; `container` is its counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_sessmgr.engines.base import (
    LEASE_OVER,
    LEASE_OVER_WORDS,
    Found,
    Observation,
    Signer,
)
from jupyter_sessmgr.engines.docker.container import (
    AGENT_PORT,
    INSTALL,
    KERNEL_PORTS,
    LOOPBACK,
    PLACE,
    SERVICES,
    is_ours,
)
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.ports import AGENT, KERNEL_CHANNELS, Endpoint, parse_service_ports

_SIGNALS = 128
_OOM_CODE = 137
_NOT_FOUND = (126, 127)

#: States that the engine lists and that a container does not leave by itself. Every other one,
#: those not known here included, counts as running.
TERMINAL = frozenset({"exited", "dead", "stopped"})


def item_name(item: Mapping[str, Any]) -> str:
    """Return the name of a container, of a list or an inspection."""
    names = item.get("Names") or [item.get("Name") or ""]
    return str(names[0]).removeprefix("/")


def item_labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of a container, of a list or an inspection."""
    return item.get("Labels") or (item.get("Config") or {}).get("Labels") or {}


def item_state(item: Mapping[str, Any]) -> str:
    """Return the state of a container, of a list or an inspection, in lower case."""
    state = item.get("State")
    return str(state.get("Status", "") if isinstance(state, Mapping) else state or "").lower()


def found(signer: Signer, item: Mapping[str, Any]) -> Found:
    """Say what one item of a list of containers is to us."""
    labels, name = item_labels(item), item_name(item)
    state = item_state(item)
    return Found(
        name=name,
        key=str(item.get("Id", "")),
        install_id=labels.get(INSTALL, ""),
        place_id=labels.get(PLACE, ""),
        signed=is_ours(signer, name, labels),
        running=state not in TERMINAL | {"created", "configured"},
        created_at=_seconds(item.get("Created")),
        endpoints=() if state in TERMINAL else endpoints(item),
    )


def endpoints(item: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Say where a container is reached, by an item of a list or an inspection.

    Empty as long as it has no address.
    """
    wanted = [(AGENT, AGENT_PORT), *zip(KERNEL_CHANNELS, KERNEL_PORTS, strict=True)]
    try:
        services = parse_service_ports(item_labels(item).get(SERVICES, ""))
    except InvalidRequest:
        services = ()
    wanted += [(service.name, port) for service in services for port in service.ports]
    published = _published(item)
    address = _address(item)
    if published:
        return tuple(
            Endpoint(name, LOOPBACK, published[port]) for name, port in wanted if port in published
        )
    return tuple(Endpoint(name, address, port) for name, port in wanted) if address else ()


def _address(item: Mapping[str, Any]) -> str:
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = (str((network or {}).get("IPAddress") or "") for network in networks.values())
    return next(filter(None, addresses), "")


def _published(item: Mapping[str, Any]) -> dict[int, int]:
    """Map ports inside to ports on the loopback address."""
    listed = item.get("Ports")
    if listed is not None:
        return {one["PrivatePort"]: one["PublicPort"] for one in listed if one.get("PublicPort")}
    ports = (item.get("NetworkSettings") or {}).get("Ports") or {}
    return {
        int(inside.partition("/")[0]): int(outside[0]["HostPort"])
        for inside, outside in ports.items()
        if outside and outside[0].get("HostPort")
    }


def observation(
    item: Mapping[str, Any], inspection: Mapping[str, Any] | None = None
) -> Observation:
    """Say how a place is, by an item of a list.

    `inspection` is needed of one that does not run, for its exit code and why it ended.
    """
    state, details = item_state(item), (inspection or {}).get("State") or {}
    error = str(details.get("Error") or "")
    created = state in ("created", "configured")
    ended = state in TERMINAL or (created and bool(error))
    code = details.get("ExitCode") if ended else None
    oom = bool(details.get("OOMKilled")) and code == _OOM_CODE and state in TERMINAL
    return Observation(
        exists=True,
        running=not ended,
        paused=state == "paused",
        exit_code=code,
        oom=oom,
        reason=why_ended(code, oom=oom, error=error) if ended else "",
        endpoints=() if ended else endpoints(item),
        key=str(item.get("Id", "")),
    )


def needs_inspection(item: Mapping[str, Any]) -> bool:
    """Tell whether a list does not say enough of a container: it ended, or never began."""
    return item_state(item) in TERMINAL | {"created", "configured"}


def why_ended(code: int | None, *, oom: bool, error: str) -> str:
    """Say for people why a container does not run any more."""
    if oom:
        return "The session was ended because it used more memory than it may have."
    if error:
        return f"The session could not be started: {error[:300]}"
    if code in _NOT_FOUND:
        return (
            f"The image's Python could not be run (exit code {code}). The image needs Python 3.8 "
            "or later, in its PATH or named by its label ai.backend.runtime-path."
        )
    if code == LEASE_OVER:
        return LEASE_OVER_WORDS
    if code is not None and code > _SIGNALS:
        return (
            f"The session's container was ended by signal {code - _SIGNALS} from outside: by "
            "somebody, or because the engine was restarted."
        )
    return f"The session's container ended by itself with exit code {code}."


def _seconds(created: object) -> float:
    return float(created) if isinstance(created, int | float) else 0.0
