"""Services inside running sessions: how they are defined, started, watched and ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from traitlets import Dict, Float, TraitError, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.agents.wire import ANSWER_TIMEOUT
from jupyter_sessmgr.manager.agents.words import AgentService, ServiceOffer
from jupyter_sessmgr.manager.inside.reach import Inside
from jupyter_sessmgr.manager.inside.servicedefs import BUILT_IN, check_definition, is_name
from jupyter_sessmgr.manager.inside.servicestates import (
    Manners,
    ServiceState,
    as_seen,
    is_trusted,
    offer_of,
    state_of,
)
from jupyter_sessmgr.model.errors import AgentError, NotRunning, ServiceNotFound
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.session import ComputeSession

#: Bytes of a service's log that its agent keeps.
LOG_BYTES = 64 * 1024
#: Seconds that a service and all that it started may take to end.
_STOP = 3.0


class ServiceStarts(LoggingConfigurable):
    """The part of `SessionServices` that knows services by name.

    Every method raises `NotRunning` unless the session runs, and `AgentError`.
    """

    definitions = Dict(
        config=True,
        help="""How services are started: a dict by service name of dicts with `command` (a list
        of words, never a shell line) and, where needed, `env`, `prestart`, `allowed_arguments`,
        `default_arguments`, `positional`, `allowed_envs`, `url_template`, `authorization` (the
        header that it takes from its user, `{token}` filled in), `timeout` (seconds) and `trusted`
        (its pages may act as the user on this server; leave it out unless you wrote them).
        Add the apps of your images; an entry goes before the image's own and the built-in one.""",
    )
    start_timeout = Float(
        90.0,
        config=True,
        help="""Seconds that a request waits for a service to start. Raise it with the `timeout`
        of slow services.""",
    )

    @validate("definitions")
    def _check_definitions(self, proposal: Any) -> dict[str, Any]:
        for name, definition in proposal.value.items():
            problem = check_definition(name, definition)
            if problem:
                raise TraitError(f"definitions: {problem}")
        return dict(proposal.value)

    def __init__(self, inside: Inside, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inside = inside
        #: Of the server whose pages show the services; set by the extension.
        self.base_url = "/"

    def states(self, session_id: str) -> Mapping[str, ServiceState]:
        """Tell about a session's services, promised or started; from memory.

        Whether they are trusted is not looked at; `look` does.
        """
        promised = {port.name: port for port in self._inside.session(session_id).promised}
        known = self._inside.services(session_id)
        names = dict.fromkeys((*promised, *known))
        return {name: state_of(promised.get(name), known.get(name), name) for name in names}

    async def look(self, session_id: str) -> Mapping[str, ServiceState]:
        """Tell the same as `states`, with what services wrote meanwhile, and who is trusted.

        Services that nobody promised are named, too, when an admin or the image defines them.
        """
        ports = [port for one in self._inside.session(session_id).promised for port in one.ports]
        try:
            survey = await self._inside.link(session_id).survey_services(ports)
        except NotRunning:  # then memory knows all there is
            return self.states(session_id)
        known = self._inside.services(session_id)
        found = dict(self.states(session_id))
        for name in (*survey.offers, *self.definitions):
            found.setdefault(name, ServiceState(name=name))
        return {
            name: as_seen(state, known.get(name), survey, self.definitions)
            for name, state in found.items()
        }

    async def is_trusted(self, session_id: str, name: str) -> bool:
        """Tell whether a service's pages may be shown as Jupyter's equals.

        By the definition that is in effect, or would be: an admin's as it says itself, the
        image's never, the built-in jupyter, jupyterlab and tensorboard always. False while that
        cannot be told.
        """
        if name in self.definitions or name not in BUILT_IN:
            return is_trusted(name, self.definitions, None, in_image=False)
        await self._inside.wake(session_id)
        told = self._inside.services(session_id).get(name)
        if told is not None and told.state in {"starting", "running"}:
            return is_trusted(name, self.definitions, told, in_image=False)
        try:
            in_image = await self._inside.link(session_id).service_offers()
        except (NotRunning, AgentError):
            return False
        return is_trusted(name, self.definitions, None, name in in_image)

    async def offers(self, session_id: str) -> Mapping[str, ServiceOffer]:
        """Tell what the services take that the session promises, or somebody defined."""
        image = await self._inside.link(session_id).service_offers()
        promised = [port.name for port in self._inside.session(session_id).spec.service_ports]
        built_in = {name: offer_of(BUILT_IN.get(name, {})) for name in promised}
        own = {name: offer_of(definition) for name, definition in self.definitions.items()}
        return {**built_in, **image, **own}

    async def start(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, object] | None = None,
        *,
        patience: float | None = None,
        on_use: bool = False,
    ) -> ServiceState:
        """Have a service run; returns when it listens, or failed: look at the state.

        Of several that ask at once, one starts it and all wait. One that runs is left as it is,
        whatever the arguments.

        Parameters
        ----------
        arguments, environ : mapping, optional
            What is added to its command line and its environment, by names that its definition
            allows. None: what they were at its last start.
        patience : float, optional
            Seconds to wait; it goes on starting after that. By default `start_timeout`.
        on_use : bool
            Somebody merely uses it: one that failed a moment ago is not started again yet, and
            the longer not the more often it failed.

        Raises
        ------
        ServiceNotFound
            when nobody says how it is started.
        InvalidRequest
            for an argument that is not allowed.
        """
        if not is_name(name):
            known = {*self.states(session_id), *self.definitions}
            raise no_such_service(self._inside.session(session_id), known)
        await self._inside.wake(session_id)
        patience = self.start_timeout if patience is None else min(patience, self.start_timeout)
        own = self.definitions.get(name)
        promised = self._promise(session_id, name)
        order = {
            "name": name,
            "ports": list(promised.ports) if promised is not None else [],
            "definition": own if own is not None else BUILT_IN.get(name),
            "is_admins": own is not None,
            "arguments": None if arguments is None else dict(arguments),
            "environ": None if environ is None else dict(environ),
            "base_url": service_path(self.base_url, session_id, name),
            "token": self.token(session_id, name),
            "patience": patience,
            "on_use": on_use,
        }
        link = self._inside.link(session_id)
        told = await link.start_service(order, timeout=patience + ANSWER_TIMEOUT)
        return self._as_told(name, promised, told)

    async def stop(self, session_id: str, name: str) -> ServiceState:
        """End a service and all that it started. Harmless when it does not run.

        Raises
        ------
        ServiceNotFound
            when the session has no such service.
        """
        link = self._inside.link(session_id)
        state = await self._state(session_id, name)
        if name not in self._inside.services(session_id):
            return state
        told = await link.stop_service(name, timeout=_STOP + ANSWER_TIMEOUT)
        return self._as_told(name, self._promise(session_id, name), told)

    async def restart(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, object] | None = None,
        *,
        patience: float | None = None,
    ) -> ServiceState:
        """End a service and start it anew, as it was started last unless told otherwise."""
        await self.stop(session_id, name)
        return await self.start(session_id, name, arguments, environ, patience=patience)

    async def log(self, session_id: str, name: str, tail: int = LOG_BYTES) -> str:
        """Return the last `tail` bytes that a service wrote, also after it ended.

        Raises
        ------
        ServiceNotFound
            when the session has no such service.
        """
        link = self._inside.link(session_id)
        await self._state(session_id, name)
        if name not in self._inside.services(session_id):
            return ""
        return await link.service_log(name, min(tail, LOG_BYTES))

    def token(self, session_id: str, name: str) -> str:
        """Return the secret that a service of a session asks of its users, if it asks for one."""
        return self._inside.secret(session_id, f"service {name}")

    def manners(self, session_id: str, name: str) -> Manners:
        """Tell how a service that was started here wants to be asked; from memory.

        As its definition says that is in effect; what its user started takes what comes.
        """
        told: AgentService | None = self._inside.services(session_id).get(name)
        if told is None:
            return Manners(whole_paths=False, authorization="")
        credentials = told.authorization
        if "{token}" in credentials:
            credentials = credentials.replace("{token}", self.token(session_id, name))
        return Manners(whole_paths=told.whole_paths, authorization=credentials)

    async def _state(self, session_id: str, name: str) -> ServiceState:
        """Find a service that there is, or could be."""
        known = self.states(session_id)
        if name in known:
            return known[name]
        offers = await self.offers(session_id)
        if name in offers:
            return ServiceState(name=name)
        raise no_such_service(self._inside.session(session_id), {*known, *offers})

    def _as_told(self, name: str, promised: ServicePort | None, told: AgentService) -> ServiceState:
        trusted = is_trusted(name, self.definitions, told, in_image=told.source == "image")
        return replace(state_of(promised, told, name), trusted=trusted)

    def _promise(self, session_id: str, name: str) -> ServicePort | None:
        promised = self._inside.session(session_id).promised
        return next((one for one in promised if one.name == name), None)


def no_such_service(session: ComputeSession, known: Iterable[str]) -> ServiceNotFound:
    """Say that a session has no such service, and which it has."""
    there = ", ".join(sorted(known)) or "none"
    return ServiceNotFound(
        f"Session {session.name} has no such service; it has: {there}.", session=session.name
    )
