"""The paths of the third door."""

from __future__ import annotations

from tornado.web import RequestHandler

from jupyter_sessmgr.proxy.handlers import ServiceHandler, TicketHandler


def proxy_routes(root: str) -> list[tuple[str, type[RequestHandler]]]:
    """List patterns and handlers, relative to the base URL."""
    return [
        (f"{root}/session/[^/]+/service/[^/]+(?:/.*)?", ServiceHandler),
        (f"{root}/s/[^/]+/.*", TicketHandler),
    ]
