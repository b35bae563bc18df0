"""Hands a browser from Jupyter's origin over to a service's own."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_sessmgr.proxy.tickets import Ticket

#: Seconds from the page that hands over to the one that takes.
PATIENCE = 30.0
#: Codes that may wait to be taken; the oldest is given up for one more.
_MAX_WAITING = 1000
#: Hosts of which we remember what they are for.
_MAX_KNOWN = 4096
#: The name keeps sibling hosts from setting it, and it from going anywhere else.
COOKIE = "__Host-sessmgr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Who comes, where to, and where from."""

    ticket: Ticket
    label: str
    #: The page inside the service, with its query; begins with a slash.
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a host is for."""

    session_id: str
    service: str
    #: Jupyter's origin as the last one who came from there called it.
    home: str


class Handovers:
    """Codes that each open one host once, within half a minute.

    Kept in memory: who is handed over while the server restarts opens the service again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[float, Handover]] = OrderedDict()
        self._known: OrderedDict[str, Known] = OrderedDict()

    def issue(self, handover: Handover) -> str:
        """Make a code for a page to take along."""
        code = secrets.token_urlsafe(32)
        self._waiting[code] = self._clock() + PATIENCE, handover
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.popitem(last=False)
        ticket = handover.ticket
        self._known[handover.label] = Known(
            session_id=ticket.session_id, service=ticket.service, home=ticket.home
        )
        self._known.move_to_end(handover.label)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return code

    def redeem(self, code: str, label: str) -> Handover | None:
        """Take what was handed over; None for a code that is used, too old, or another host's."""
        until, handover = self._waiting.pop(code, (0.0, None))
        if handover is None or handover.label != label or self._clock() > until:
            return None
        return handover

    def known(self, label: str) -> Known | None:
        """Say what a host is for, as far as this server handed anybody over to it."""
        return self._known.get(label)


def cookie(text: str, age: int) -> str:
    """Write the header that makes a browser known on a service's host.

    Browsers send such a cookie in frames, too, and there only under the site that it was set under
    (``Partitioned``). It would go along with what other sites send as well; `is_own_page` turns
    those away.
    """
    flags = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
    return f"{COOKIE}={text}; Max-Age={age}; {flags}"
