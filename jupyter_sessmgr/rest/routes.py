"""Every URL of the REST door, under the server's base URL."""

from __future__ import annotations

from tornado.web import RequestHandler

from jupyter_sessmgr.rest.api.handlers import HealthHandler, OffersHandler
from jupyter_sessmgr.rest.backendai.handlers import (
    CreateHandler,
    InterruptHandler,
    LogsHandler,
    SessionHandler,
    SessionListHandler,
    VersionHandler,
)

#: Root of everything of ours.
ROOT = "/sessmgr"
#: A session's name, UUID or number; anything else is answered as absent.
_ID = "([^/]+)"

Route = tuple[str, type[RequestHandler]]


def routes(*, document_routes: bool) -> list[Route]:
    """List the routes, relative to the base URL.

    Parameters
    ----------
    document_routes : bool
        Also serve the session management document's own paths, ``/session…``.
    """
    table: list[Route] = [
        (f"{ROOT}/?", VersionHandler),
        *_sessions(f"{ROOT}/session"),
        *_sessions(f"{ROOT}/kernel"),
        (f"{ROOT}/api/health", HealthHandler),
        (f"{ROOT}/api/offers", OffersHandler),
    ]
    if document_routes:
        table.extend(_sessions("/session"))
    return table


def _sessions(prefix: str) -> list[Route]:
    return [
        (prefix, SessionListHandler),
        (f"{prefix}/create", CreateHandler),
        (f"{prefix}/_/create", CreateHandler),
        (f"{prefix}/{_ID}", SessionHandler),
        (f"{prefix}/{_ID}/logs", LogsHandler),
        (f"{prefix}/{_ID}/interrupt", InterruptHandler),
    ]
