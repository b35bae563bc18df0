"""The URLs of services: who asks, for which service, and how its pages are kept apart."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import unquote

from jupyter_server.base.handlers import JupyterHandler
from tornado.httputil import url_concat
from tornado.web import HTTPError, stream_request_body

from jupyter_sessmgr.manager.inside.servicedefs import NEED_STORAGE
from jupyter_sessmgr.model.errors import NotAllowed, SessionNotFound
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.proxy import pages
from jupyter_sessmgr.proxy.choosing import NO_HOSTS, Choice
from jupyter_sessmgr.proxy.credentials import is_own_page
from jupyter_sessmgr.proxy.handover import Handover
from jupyter_sessmgr.proxy.hosts import ENTER, PROBE, label_of
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.passing import (
    Answered,
    PassingHandler,
    Wanted,
    answering,
    sent_to,
)
from jupyter_sessmgr.proxy.target import check_declared, find_session
from jupyter_sessmgr.proxy.tickets import LIFETIME, Ticket, is_genuine, read_ticket, write_ticket

AUTH_RESOURCE = "sessmgr"
#: The lowest status that Jupyter's log tells without being asked for every detail.
_NOT_FINE = 300
_SERVICE = re.compile(r"/sessmgr/session/([^/]+)/service/([^/]+)(/?.*)", re.DOTALL)
_TICKET = re.compile(r"/sessmgr/s/([^/]+)/(.*)", re.DOTALL)


@answering
@stream_request_body
class ServiceHandler(PassingHandler, JupyterHandler):  # type: ignore[misc]  # ours go first
    """``{root}/session/{reference}/service/{service}/…``, for who is logged in."""

    auth_resource = AUTH_RESOURCE

    async def recognise(self) -> Wanted:
        """Let Jupyter say who asks, and refuse what a foreign page made a browser send."""
        await self._check_allowed()
        await self.proxy.ready()
        match = _SERVICE.fullmatch("/" + self.request.path.removeprefix(self.base_url))
        if match is None:
            raise HTTPError(404)
        owner = self.proxy.owner_of(self.current_user)
        session = find_session(self.proxy.sessions, unquote(match[1]), owner)
        asked = unquote(match[2])
        service = session.service_at(asked)
        prefix = service_path(self.base_url, session.id, service)
        if not match[3] or service != asked:
            raise sent_to(prefix + match[3].removeprefix("/") + self.own_query())
        choice = await self.proxy.chooser.choose(self.request, session, service)
        if choice.isolation is not Isolation.SAME_ORIGIN and self.is_navigation:
            await check_declared(self.proxy.sessions, session, service)
            # Where a proxy ends TLS, the server may not know of that.
            scheme = choice.suffix.scheme if choice.suffix else self.request.protocol
            ticket = self._ticket(owner, session, service, f"{scheme}://{self.request.host}")
            page = match[3] + self.own_query()
            if choice.suffix is not None:
                raise self._handed_over(choice, ticket, page)
            await self._check_runs_in_sandbox(session, service)
            shown = write_ticket(ticket, self.ticket_key(session, service))
            raise sent_to(f"{self.base_url}sessmgr/s/{shown}{page}")
        kept_apart = choice.isolation is not Isolation.SAME_ORIGIN
        return Wanted(
            session=session,
            service=service,
            path=match[3].removeprefix("/"),
            prefix=prefix,
            # What is no page needs no host of its own; shown as one after all, it is nobody's.
            isolation=Isolation.SANDBOX if kept_apart else choice.isolation,
        )

    async def _check_runs_in_sandbox(self, session: ComputeSession, service: str) -> None:
        """Say why, instead of showing a page that stays empty."""
        if service in NEED_STORAGE and await self.proxy.sessions.services.is_trusted(
            session.id, service
        ):
            raise NotAllowed(
                f"The pages of {service} do not run in the sandbox, which gives them no storage. "
                "An admin can give services hosts of their own (ServiceProxy.host_suffix), or "
                "let this one be shown at Jupyter's own (ServiceProxy.service_isolation, "
                "allow_same_origin).",
                session=session.name,
            )

    def _ticket(self, owner: str, session: ComputeSession, service: str, home: str) -> Ticket:
        now = int(time.time())
        return Ticket(
            owner=owner,
            session_id=session.id,
            service=service,
            expires=now + LIFETIME,
            opened=now,
            home=home,
        )

    def _handed_over(self, choice: Choice, ticket: Ticket, page: str) -> Answered:
        """Answer with the page that leads to the service's own host."""
        label = label_of(ticket.session_id, ticket.service)
        origin = choice.suffix.origin(label) if choice.suffix else ""
        code = self.proxy.handovers.issue(Handover(ticket=ticket, label=label, page=page))
        challenge = secrets.token_urlsafe(16)
        shown = pages.handing_over(
            ticket.service,
            {
                "probe": f"{origin}{PROBE}?{challenge}",
                "expected": self.proxy.proof(challenge, label),
                "enter": f"{origin}{ENTER}?{code}",
                "otherwise": f"{NO_HOSTS}=1; Path={self.base_url}; Max-Age=600; SameSite=Lax"
                if choice.is_default
                else "",
                "trouble": f"This browser does not reach {origin}, where the service's pages are.",
            },
            origin,
        )
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", f"{shown.policy}; frame-ancestors 'self'"),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        return Answered(200, headers, shown.text)

    async def _check_allowed(self) -> None:
        """Check who asks, from where, and whether the server's authorizer agrees."""
        waiting = JupyterHandler.prepare(self)
        if waiting is not None:
            await waiting
        if self.current_user is None:
            raise self._to_login() if self.is_navigation else HTTPError(403)
        own = is_own_page(
            str(self.request.method), self.request.headers, self.request.host, socket=self.is_socket
        )
        if not own and not self.token_authenticated:
            raise HTTPError(403, "This request comes from a page of another site.")
        allowed = self.authorizer.is_authorized(self, self.current_user, "execute", AUTH_RESOURCE)
        if not (allowed if isinstance(allowed, bool) else await allowed):
            raise HTTPError(403)

    def set_secure_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        """Log in who opens a page with a token in its URL. Called by Jupyter's identity provider.

        A program that sends its token with each request has no use for a cookie in each answer.
        """
        if "Authorization" not in self.request.headers:
            super().set_secure_cookie(name, value, *args, **kwargs)

    def _log(self) -> None:
        """Make no line that Jupyter's log would drop: it takes longer than finding the service."""
        level = self.settings["serverapp"].log_level
        if self.get_status() >= _NOT_FINE or level <= logging.DEBUG:
            super()._log()

    def _to_login(self) -> Answered:
        return sent_to(url_concat(self.get_login_url(), {"next": str(self.request.uri)}))


@answering
@stream_request_body
class TicketHandler(PassingHandler, JupyterHandler):  # type: ignore[misc]  # ours go first
    """``{root}/s/{ticket}/…``: pages in a sandbox, whose requests carry no cookie."""

    async def recognise(self) -> Wanted:
        """Let the ticket say who asks; without a good one there is nothing here."""
        if not self.check_host():
            raise HTTPError(403)
        match = _TICKET.fullmatch("/" + self.request.path.removeprefix(self.base_url))
        ticket = read_ticket(match[1]) if match is not None else None
        if match is None or ticket is None:
            raise _absent()
        await self.proxy.ready()
        session = self._session_of(ticket, match[1])
        if session is None:
            if not self.is_navigation:
                raise _absent()
            # The page is asked for anew, by who may see it. Whoever made the ticket up hears their
            # own words, whether or not there is such a session (THREATS A5).
            home = service_path(self.base_url, ticket.session_id, ticket.service)
            raise sent_to(home + match[2] + self.own_query())
        if (
            self.request.method == "OPTIONS"
            and "Access-Control-Request-Method" in self.request.headers
        ):
            # The browser asks on behalf of a page without an origin; its ticket has answered.
            raise Answered(204, isolation_headers(Isolation.SANDBOX, []))
        return Wanted(
            session=session,
            service=ticket.service,
            path=match[2],
            prefix=f"{self.base_url}sessmgr/s/{match[1]}/",
            isolation=Isolation.SANDBOX,
        )

    def _session_of(self, ticket: Ticket, text: str) -> ComputeSession | None:
        """Find what a ticket opens; None when it opens nothing, for whatever reason."""
        try:
            session = find_session(self.proxy.sessions, ticket.session_id, ticket.owner)
        except SessionNotFound:
            return None
        genuine = is_genuine(text, self.ticket_key(session, ticket.service))
        return session if genuine and ticket.expires >= time.time() else None

    def _log(self) -> None:
        """Leave tickets out of the log: one opens its service for an hour."""
        self.log.debug("%d %s (a service's page)", self.get_status(), self.request.method)


def _absent() -> SessionNotFound:
    return SessionNotFound("There is no such page, or its time is over; open the service again.")
