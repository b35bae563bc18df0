"""What is known of the services of a session: values, and what follows from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jupyter_sessmgr.manager.agents.words import (
    AgentService,
    ServiceOffer,
    ServiceSource,
    ServiceStateName,
    ServiceSurvey,
)
from jupyter_sessmgr.manager.inside.servicedefs import BUILT_IN, TRUSTED
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.session import ComputeSession

_LIVE = frozenset({"starting", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """A service of a session, as it is now."""

    name: str
    #: "stopped" also before its first start; of a port that its user opens: as long as we know.
    state: ServiceStateName = "stopped"
    protocol: str = "http"
    #: Where it listens inside the session, or promised to.
    ports: tuple[int, ...] = ()
    #: Why it does not run, for people; "" otherwise.
    error: str = ""
    #: Last lines it wrote.
    log_tail: str = ""
    #: Whose definition started it; "" when none did.
    source: ServiceSource = ""
    #: Its pages may be shown as Jupyter's equals.
    trusted: bool = False

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self.state == "running"

    @property
    def port(self) -> int:
        """Where it listens inside the session; 0: nowhere yet."""
        return self.ports[0] if self.ports and self.state in _LIVE else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a service wants to be asked."""

    #: It knows the path that it is reached under, and sees whole paths.
    whole_paths: bool
    #: What it takes for its user's credentials; "" when it asks for none. A secret.
    authorization: str


def state_of(promised: ServicePort | None, told: AgentService | None, name: str) -> ServiceState:
    """Join what was promised of a service and what its agent says."""
    ports = promised.ports if promised is not None else ()
    protocol = promised.protocol if promised is not None else "http"
    if told is None:
        return ServiceState(name=name, protocol=protocol, ports=ports)
    return ServiceState(
        name=name,
        state=told.state,
        protocol=protocol,
        ports=told.ports or ports,
        error=told.error,
        log_tail=told.tail,
        source=told.source,
    )


def is_trusted(
    name: str, admins: Mapping[str, Mapping[str, Any]], told: AgentService | None, in_image: bool
) -> bool:
    """Tell whether the pages of a service may be shown as Jupyter's equals.

    Never by an image's own word: what an admin defined is as the admin says, and what comes with
    the server is trusted unless the image has, or had when it was started, one of its own.

    Parameters
    ----------
    in_image
        The image defines it.
    """
    if name in admins:
        return admins[name].get("trusted") is True
    if told is not None and told.state in _LIVE:
        return name in TRUSTED and told.source == "built-in"
    return name in TRUSTED and not in_image


def as_seen(
    state: ServiceState,
    told: AgentService | None,
    survey: ServiceSurvey,
    admins: Mapping[str, Mapping[str, Any]],
) -> ServiceState:
    """Add to a service's state what its agent sees now."""
    by_itself = told is None and bool(survey.listening.intersection(state.ports))
    return replace(
        state,
        state="running" if by_itself else state.state,
        trusted=is_trusted(state.name, admins, told, state.name in survey.offers),
    )


def offer_of(definition: Mapping[str, Any]) -> ServiceOffer:
    """Tell what a service takes."""
    return ServiceOffer(
        allowed_arguments=(
            *definition.get("allowed_arguments", ()),
            *definition.get("positional", ()),
        ),
        allowed_envs=tuple(definition.get("allowed_envs", ())),
        url_template=str(definition.get("url_template", "")),
        whole_paths="{base_url}" in str(dict(definition)),
    )


def is_startable(name: str, admins: Mapping[str, object]) -> bool:
    """Tell whether the server itself knows how a service is started."""
    return name in admins or name in BUILT_IN


def allowed_ports(session: ComputeSession, services: Mapping[str, AgentService]) -> frozenset[int]:
    """List the ports inside a session that may be reached from outside."""
    promised = {port for service in session.promised for port in service.ports}
    started = {port for one in services.values() if one.state in _LIVE for port in one.ports}
    return frozenset(promised | started)
