"""How a request that cannot be passed on is answered."""

from __future__ import annotations

import json
from logging import Logger
from types import TracebackType
from typing import Any

from tornado.web import HTTPError, RequestHandler

from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.proxy import pages
from jupyter_sessmgr.proxy.headers import Pairs
from jupyter_sessmgr.proxy.http import write_head
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers

_UNAVAILABLE = 503
#: What belongs to a status (RFC 6455, section 4.4).
_SAID = {426: (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))}


class Failing(RequestHandler):
    """Answers errors: a page for people, JSON for programs, never the request's own words raw.

    No `JupyterHandler`: that would refuse the hosts of services.
    """

    @property
    def log(self) -> Logger:
        """Jupyter's log."""
        log: Logger = self.settings["serverapp"].log
        return log

    def compute_etag(self) -> None:
        """Invent no ETag."""

    @property
    def base_url(self) -> str:
        """Path of the Jupyter server."""
        base_url: str = self.settings["base_url"]
        return base_url

    def guarded(self, headers: Pairs) -> list[tuple[str, str]]:
        """Add what keeps the page apart; the tightest, as long as nothing is known."""
        return isolation_headers(Isolation.SANDBOX, headers)

    @property
    def is_socket(self) -> bool:
        """Whether a websocket is asked for."""
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    @property
    def is_navigation(self) -> bool:
        """Whether a person waits for a page."""
        if self.is_socket:
            return False
        mode = self.request.headers.get("Sec-Fetch-Mode")
        if mode is not None:
            return mode == "navigate"
        accepts = self.request.headers.get("Accept", "")
        return self.request.method == "GET" and "text/html" in accepts

    def problem(self, error: BaseException | None, status: int) -> Any:
        """Look an error up in the one table."""
        return self.settings["sessmgr_proxy"].problem_of(error, status)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with what the table says. Called by tornado with whatever was raised."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        super().send_error(self.problem(error, status_code).status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error, isolated as the service's own pages are."""
        problem = self.problem(kwargs.get("exc_info", (None, None, None))[1], status_code)
        headers = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        if problem.retry_after is not None:
            headers.append(("Retry-After", str(min(problem.retry_after, pages.RETRY))))
        if self.is_navigation:
            headers.append(("Content-Type", "text/html; charset=utf-8"))
            headers.append(("Content-Security-Policy", pages.POLICY))
            body = pages.page(
                problem.title,
                problem.message,
                details=str(problem.data.get("log", "")),
                again=problem.status == _UNAVAILABLE and problem.retryable,
            )
        else:
            headers.append(("Content-Type", "application/problem+json"))
            body = json.dumps(problem.body(), default=str)
        if self._headers.get("Connection") == "close":
            headers.append(("Connection", "close"))
        headers.extend(_SAID.get(problem.status, ()))
        write_head(self, problem.status, "", self.guarded(headers))
        self.finish(body)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log an unexpected error with its trace; an expected one is for who asked.

        Tornado would repeat the request's target, which may have a ticket, a code or a token.
        """
        if isinstance(value, SessmgrError):
            self.log.debug("%s: %s", type(value).__name__, json.dumps(value.message)[:1000])
        elif not isinstance(value, HTTPError):
            trace: Any = (typ, value, tb)
            self.log.error("A service's %s broke in the proxy", self.request.method, exc_info=trace)
