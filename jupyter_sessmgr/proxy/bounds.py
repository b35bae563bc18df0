"""How much of the server services may take at once, and what of it counts as use (THREATS D3)."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tornado.http1connection import HTTP1ConnectionParameters

from jupyter_sessmgr.model.errors import TooManyRequests
from jupyter_sessmgr.proxy.settings import ServiceProxy

#: Seconds for which traffic that was noted as activity needs no other note.
_NOTED = 10.0


class Connections:
    """Counts the requests and websockets that are passed on. Owned by the extension's app."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, session_id: str, limits: ServiceProxy) -> Iterator[None]:
        """Count one as long as the context lasts.

        Raises
        ------
        TooManyRequests
            when there are as many as may be.
        """
        most = limits.max_connections_per_session
        if self._open[session_id] >= most:
            raise TooManyRequests(
                f"The session's services have {most} connections open. Close some, or try again."
            )
        if self.total >= limits.max_connections:
            raise TooManyRequests("The services of all sessions have too many connections open.")
        self._open[session_id] += 1
        try:
            yield
        finally:
            self._open[session_id] -= 1
            if not self._open[session_id]:
                del self._open[session_id]

    @property
    def total(self) -> int:
        """How many there are."""
        return self._open.total()


def hurry(server: object, seconds: float) -> None:
    """Give a server's clients a deadline for a request's head; tornado gives them an hour.

    It is a limit of tornado's `HTTPServer` that jupyter_server has no setting for. The same clock
    ends connections on which no request comes.
    """
    limits = getattr(server, "conn_params", None)
    if isinstance(limits, HTTP1ConnectionParameters):
        limits.header_timeout = min(limits.header_timeout or seconds, seconds)


class Traffic:
    """Notes that bytes flow, but not each time.

    Parameters
    ----------
    note : callable, optional
        Takes the note; None where bytes are no activity.
    """

    def __init__(self, note: Callable[[], None] | None) -> None:
        self._note = note
        self._noted = float("-inf")

    def __call__(self) -> None:
        """Say that some have passed."""
        if self._note is None:
            return
        now = time.monotonic()
        if now - self._noted >= _NOTED:
            self._noted = now
            self._note()
