"""Services on hosts of their own: where their pages have an origin that is not Jupyter's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from tornado.web import HTTPError, stream_request_body

from jupyter_sessmgr.model.errors import SessionNotFound
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.proxy import pages
from jupyter_sessmgr.proxy.credentials import is_own_page
from jupyter_sessmgr.proxy.handover import COOKIE, cookie
from jupyter_sessmgr.proxy.headers import Pairs
from jupyter_sessmgr.proxy.hosts import ENTER, KNOWN, PROBE, RESERVED, label_in, label_of
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.passing import Answered, PassingHandler, Wanted, answering, sent_to
from jupyter_sessmgr.proxy.target import find_session
from jupyter_sessmgr.proxy.tickets import LIFETIME, Ticket, is_genuine, read_ticket, write_ticket

#: Seconds after which Jupyter itself must say again who it is, however much a page is used.
_MAX_AGE = 24 * 3600
_OPEN_AGAIN = "This address alone does not say who you are: open the service from Jupyter again."
_NO_COOKIES = (
    "This browser keeps no cookie of the service's own address, so the service cannot know who you "
    "are. Allow cookies for this address; where the service is shown inside another page, open it "
    "in a tab of its own."
)
_HTML = ("Content-Type", "text/html; charset=utf-8")
_NOT_STORED = ("Cache-Control", "no-store")


@answering
@stream_request_body
class HostHandler(PassingHandler):
    """``http://{label}.localhost…/``: whatever comes to a host that looks like a service's."""

    async def recognise(self) -> Wanted:
        """Let the cookie say who asks, which only the page that hands over can set."""
        label = label_in(self.request.host, self.proxy.chooser.suffix_host)
        path = self.request.path
        if label is None or not path.startswith("/"):
            raise HTTPError(403, "This is no host of a service.")
        if path.startswith(RESERVED):
            raise self._reserved(path, label)
        await self.proxy.ready()
        found = self._found(label)
        if found is None:
            raise self._unknown(label)
        ticket, session = found
        method = str(self.request.method)
        if not is_own_page(method, self.request.headers, self.request.host, socket=self.is_socket):
            raise HTTPError(403, "This request comes from a page of another site.")
        return Wanted(
            session=session,
            service=ticket.service,
            path=path[1:],
            prefix="/",
            isolation=Isolation.SUBDOMAIN,
            home=ticket.home,
            renewal=self._renewal(ticket, session),
        )

    def guarded(self, headers: Pairs) -> list[tuple[str, str]]:
        """Add what keeps the page apart; Jupyter may frame what we say ourselves, too."""
        if self._wanted is not None:
            return super().guarded(headers)
        label = label_in(self.request.host, self.proxy.chooser.suffix_host)
        known = self.proxy.handovers.known(label or "")
        return isolation_headers(Isolation.SANDBOX, headers, known.home if known else "")

    def _reserved(self, path: str, label: str) -> Answered | HTTPError:
        """Answer our own pages; services have none here."""
        if self.request.method != "GET":
            return HTTPError(405)
        if path == PROBE:
            # Open to all: it says nothing but that this process is here.
            headers = [("Access-Control-Allow-Origin", "*"), ("Content-Type", "text/plain")]
            return Answered(
                200, [*headers, _NOT_STORED], self.proxy.proof(self.request.query, label)
            )
        if path == KNOWN:
            return Answered(204 if self._found(label) else 403, [_NOT_STORED])
        handover = self.proxy.handovers.redeem(self.request.query, label) if path == ENTER else None
        if handover is None:
            return HTTPError(403, f"This link was used, or its time is over. {_OPEN_AGAIN}")
        told = {"page": handover.page, "known": KNOWN, "trouble": _NO_COOKIES}
        shown = pages.taking_over(handover.ticket.service, told)
        headers = isolation_headers(Isolation.SUBDOMAIN, [_HTML, _NOT_STORED], handover.ticket.home)
        headers.append(("Content-Security-Policy", shown.policy))
        headers.append(("Referrer-Policy", "no-referrer"))
        headers.append(("Set-Cookie", cookie(self._written(handover.ticket), LIFETIME)))
        return Answered(200, headers, shown.text)

    def _written(self, ticket: Ticket) -> str:
        session = find_session(self.proxy.sessions, ticket.session_id, ticket.owner)
        return write_ticket(ticket, self._key(session, ticket.service))

    def _key(self, session: ComputeSession, service: str) -> str:
        """Return what cookies are signed with; tickets in paths have another key."""
        return self.ticket_key(session, f"host {service}")

    def _cookies(self) -> Iterator[str]:
        """List what is named like our cookie: a page can add one beside it, unpartitioned."""
        # Read by hand: one odd cookie of a service makes Python's parser drop all.
        for header in self.request.headers.get_list("Cookie"):
            for piece in header.split(";"):
                name, _, value = piece.strip(" \t").partition("=")
                if name == COOKIE:
                    yield value

    def _found(self, label: str) -> tuple[Ticket, ComputeSession] | None:
        """Find what the browser's cookies open on this host; None for nothing."""
        return next(filter(None, (self._opened(text, label) for text in self._cookies())), None)

    def _opened(self, text: str, label: str) -> tuple[Ticket, ComputeSession] | None:
        """Find what a cookie opens on this host; None for nothing, for whatever reason."""
        ticket = read_ticket(text)
        if ticket is None or label_of(ticket.session_id, ticket.service) != label:
            return None
        try:
            session = find_session(self.proxy.sessions, ticket.session_id, ticket.owner)
        except SessionNotFound:
            return None
        genuine = is_genuine(text, self._key(session, ticket.service))
        return (ticket, session) if genuine and ticket.expires >= time.time() else None

    def _unknown(self, label: str) -> Answered | HTTPError:
        """Send a person's tab to Jupyter, which knows who they are; others are told to go there."""
        known = self.proxy.handovers.known(label)
        framed = self.request.headers.get("Sec-Fetch-Dest", "document") != "document"
        if not self.is_navigation or framed or known is None:
            return HTTPError(403, _OPEN_AGAIN)
        home = service_path(self.base_url, known.session_id, known.service)
        path = self.request.path
        inside = path[len(home) :] if path.startswith(home) else path[1:]
        return sent_to(f"{known.home}{home}{inside}{self.own_query()}")

    def _renewal(self, ticket: Ticket, session: ComputeSession) -> str:
        """Write the cookie anew where half its time is over and the page is used."""
        now = int(time.time())
        if ticket.expires - now > LIFETIME // 2 or now - ticket.opened > _MAX_AGE:
            return ""
        longer = replace(ticket, expires=now + LIFETIME)
        return cookie(write_ticket(longer, self._key(session, ticket.service)), LIFETIME)

    def _log(self) -> None:
        """Leave URIs out of the log: one of them has a code."""
        self.log.debug("%d %s (a service's page)", self.get_status(), self.request.method)
