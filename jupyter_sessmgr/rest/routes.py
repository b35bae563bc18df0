"""Every URL of the REST door, under the server's base URL."""

from __future__ import annotations

from jupyter_sessmgr.rest.api.routes import api_routes
from jupyter_sessmgr.rest.backendai.routes import backendai_routes
from jupyter_sessmgr.rest.hpcpack.routes import hpcpack_routes
from jupyter_sessmgr.rest.routing import Route

#: Root of everything of ours.
ROOT = "/sessmgr"


def routes(*, document_routes: bool) -> list[Route]:
    """List the routes, relative to the base URL.

    Parameters
    ----------
    document_routes : bool
        Also serve the session management document's own paths, ``/session…``.
    """
    return [
        *backendai_routes(ROOT, document_routes=document_routes),
        *api_routes(ROOT),
        *hpcpack_routes(),
    ]
