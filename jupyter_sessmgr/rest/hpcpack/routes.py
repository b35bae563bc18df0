"""The paths of the HPC Pack dialect."""

from __future__ import annotations

from jupyter_sessmgr.rest.hpcpack.handlers import (
    AttachHandler,
    CloseHandler,
    ClustersHandler,
    CreateHandler,
)
from jupyter_sessmgr.rest.routing import Route, under

ROOT = "/WindowsHpc"

#: Since HPC Pack 2016. Clients do not agree on the case of the letters.
SESSIONS = (
    Route("/Session/{reference}/Attach", AttachHandler, any_case=True),
    Route("/Session/{reference}/Close", CloseHandler, any_case=True),
    Route("/Sessions/Create", CreateHandler, any_case=True),
)


def hpcpack_routes() -> list[Route]:
    """List the dialect's routes, relative to the base URL."""
    return [
        Route(f"{ROOT}/Clusters", ClustersHandler, any_case=True),
        *under(ROOT, SESSIONS),
        # Before HPC Pack 2016.
        *under(f"{ROOT}/{{cluster}}", SESSIONS, alias=True),
    ]
