"""The paths of the Backend.AI dialect."""

from __future__ import annotations

from jupyter_sessmgr.rest.backendai.handlers import (
    CreateHandler,
    InterruptHandler,
    LogsHandler,
    SessionHandler,
    SessionListHandler,
    VersionHandler,
)
from jupyter_sessmgr.rest.routing import Route, under

#: Under ``/session``, and under the legacy name ``/kernel``. A reference is a session's name,
#: UUID or number; anything else is answered as absent.
SESSION = (
    Route("", SessionListHandler),
    Route("/create", CreateHandler),
    Route("/_/create", CreateHandler, alias=True),
    Route("/{reference}", SessionHandler),
    Route("/{reference}/logs", LogsHandler),
    Route("/{reference}/interrupt", InterruptHandler),
)


def backendai_routes(root: str, *, document_routes: bool) -> list[Route]:
    """List the dialect's routes under `root`, and the document's own when wished."""
    return [
        Route(root, VersionHandler, slash=True),
        *under(f"{root}/session", SESSION),
        *under(f"{root}/kernel", SESSION, alias=True),
        *(under("/session", SESSION, alias=True) if document_routes else ()),
    ]
