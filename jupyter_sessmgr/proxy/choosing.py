"""Chooses how a service's pages are kept apart, for this service and this browser."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tornado.httputil import HTTPServerRequest

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotAllowed
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.proxy.hosts import ChosenSuffix, HostSuffix, local_suffix
from jupyter_sessmgr.proxy.isolation import Isolation
from jupyter_sessmgr.proxy.settings import AUTO, ServiceProxy

#: Set by our own page in a browser that cannot reach hosts of services.
NO_HOSTS = "sessmgr-no-hosts"


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
        settings = self._settings
        wish = settings.service_isolation.get(service, settings.isolation)
        if wish == AUTO:
            return await self._by_default(request, session, service)
        isolation = Isolation(wish)
        if isolation is Isolation.SUBDOMAIN:
            suffix, why_not = self._hosts(request)
            if suffix is None:
                raise NotAllowed(
                    f"{service} is shown on a host of its own only, and {why_not}. An admin can "
                    "set ServiceProxy.host_suffix, or another isolation."
                )
            return Choice(isolation=isolation, suffix=suffix, is_default=False)
        if isolation is Isolation.SAME_ORIGIN:
            return self._same_origin(service)
        return Choice(isolation=isolation)

    async def _by_default(
        self, request: HTTPServerRequest, session: ComputeSession, service: str
    ) -> Choice:
        suffix, _ = self._hosts(request)
        if suffix is not None and NO_HOSTS not in request.cookies:
            return Choice(isolation=Isolation.SUBDOMAIN, suffix=suffix)
        if await self._sessions.services.is_trusted(session.id, service):
            return self._same_origin(service)
        return Choice(isolation=Isolation.SANDBOX)

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

    def _same_origin(self, service: str) -> Choice:
        if not self._settings.allow_same_origin:
            return Choice(isolation=Isolation.SANDBOX)
        self._warn(
            f"Pages of {service} are shown at Jupyter's own origin, so what runs there may do what "
            "its user may. ServiceProxy.host_suffix gives services hosts of their own; "
            "ServiceProxy.allow_same_origin = False forbids this."
        )
        return Choice(isolation=Isolation.SAME_ORIGIN)

    def _warn(self, words: str) -> None:
        """Say it once, not with every page."""
        if words not in self._warned:
            self._warned.add(words)
            self._log.warning("%s", words)
