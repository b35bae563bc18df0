"""The paths of the HPC Pack dialect."""

from __future__ import annotations

from jupyter_sessmgr.rest.routing import Route


def hpcpack_routes() -> list[Route]:
    """List the dialect's routes, relative to the base URL."""
    return []
