"""Chooses how a service's pages are kept apart, for this service and this browser."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from types import MappingProxyType

from tornado.httputil import HTTPServerRequest

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotAllowed
from jupyter_sessmgr.model.ports import Shown
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.proxy.hosts import ChosenSuffix, HostSuffix, local_suffix
from jupyter_sessmgr.proxy.isolation import Isolation
from jupyter_sessmgr.proxy.settings import AUTO, ServiceProxy

#: Set by our own page in a browser that cannot reach hosts of services.
NO_HOSTS = "sessmgr-no-hosts"

_SHOWN = MappingProxyType(
    {
        Isolation.SUBDOMAIN: Shown(
            "subdomain",
            "On a host of its own: it has cookies and storage there, and no way to act as you on "
            "this server.",
        ),
        Isolation.SANDBOX: Shown(
            "sandbox",
            "In the browser's sandbox: it cannot act as you on this server, and has neither "
            "cookies nor storage, without which some apps do not work.",
        ),
        Isolation.SAME_ORIGIN: Shown(
            "same-origin",
            "As pages of Jupyter's own, since it is trusted: it may do here whatever you may.",
        ),
    }
)
_REMEDY = "An administrator can give it one: ServiceProxy.host_suffix."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How the pages of a service are shown to one browser."""

    isolation: Isolation
    #: What the host ends with, for `Isolation.SUBDOMAIN`.
    suffix: HostSuffix | None = None
    #: The browser may be shown them otherwise when it cannot reach that host.
    is_default: bool = True


class Chooser:
    """Knows the settings, and what is to be had where. Owned by `passing.Proxy`."""

    def __init__(
        self, settings: ServiceProxy, sessions: ComputeSessionManager, log: logging.Logger
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._log = log
        self._suffix = ChosenSuffix(settings.host_suffix)
        self._warned: set[str] = set()
        #: Why hosts below ``localhost`` are not safe here; "" when they are. Set once Jupyter
        #: listens.
        self.loopback_trouble = ""

    @property
    def suffix_host(self) -> str:
        """The host name of the admin's suffix; "" for none."""
        return self._suffix.host

    async def choose(
        self, request: HTTPServerRequest, session: ComputeSession, service: str
    ) -> Choice:
        """Say how a service's pages are to be shown to who sends this request.

        Raises
        ------
        NotAllowed
            where an admin insists on hosts that this browser cannot be given.
        """
        choice = self._unless_trust_matters(request, service)
        if choice is None:
            trusted = await self._sessions.services.is_trusted(session.id, service)
            choice = self._by_trust(trusted=trusted)
        if choice.isolation is Isolation.SAME_ORIGIN:
            self._warn(
                f"Pages of {service} are shown at Jupyter's own origin, so what runs there may do "
                "what its user may. ServiceProxy.host_suffix gives services hosts of their own; "
                "ServiceProxy.allow_same_origin = False forbids this."
            )
        return choice

    def explain(self, request: HTTPServerRequest, service: str, *, trusted: bool) -> Shown:
        """Say in words how a service's pages would be shown to who sends this request, and why."""
        try:
            choice = self._unless_trust_matters(request, service)
        except NotAllowed as error:
            return Shown("refused", error.message)
        shown = _SHOWN[(choice or self._by_trust(trusted=trusted)).isolation]
        if choice is not None:
            return shown
        _, why_not = self._hosts(request)
        why_not = (why_not or "this browser cannot reach such hosts").rstrip(".")
        info = f"{shown.info} It has no host of its own: {why_not}. {_REMEDY}"
        return replace(shown, info=info)

    def _unless_trust_matters(self, request: HTTPServerRequest, service: str) -> Choice | None:
        """Choose by settings and hosts; None: by whether the service is trusted."""
        settings = self._settings
        wish = settings.service_isolation.get(service, settings.isolation)
        suffix, why_not = self._hosts(request)
        if wish == AUTO:
            if suffix is None or NO_HOSTS in request.cookies:
                return None
            return Choice(isolation=Isolation.SUBDOMAIN, suffix=suffix)
        isolation = Isolation(wish)
        if isolation is Isolation.SUBDOMAIN:
            if suffix is None:
                raise NotAllowed(
                    f"{service} is shown on a host of its own only, and {why_not}. An admin can "
                    "set ServiceProxy.host_suffix, or another isolation."
                )
            return Choice(isolation=isolation, suffix=suffix, is_default=False)
        if isolation is Isolation.SAME_ORIGIN:
            return self._by_trust(trusted=True)
        return Choice(isolation=isolation)

    def _by_trust(self, *, trusted: bool) -> Choice:
        beside = trusted and self._settings.allow_same_origin
        return Choice(isolation=Isolation.SAME_ORIGIN if beside else Isolation.SANDBOX)

    def _hosts(self, request: HTTPServerRequest) -> tuple[HostSuffix | None, str]:
        """Return the suffix for this browser, or None and why there is none."""
        try:
            chosen = self._suffix.for_host(request.host)
        except ValueError as error:
            self._warn(str(error))
            return None, str(error)
        if chosen is not None:
            return chosen, ""
        local = local_suffix(
            request.host, str(request.protocol), request.headers, request.remote_ip or ""
        )
        if local is None:
            return None, "there are such hosts only where a browser reaches Jupyter as localhost"
        if self.loopback_trouble:
            self._warn(self.loopback_trouble)
            return None, self.loopback_trouble
        return local, ""

    def _warn(self, words: str) -> None:
        """Say it once, not with every page."""
        if words not in self._warned:
            self._warned.add(words)
            self._log.warning("%s", words)
