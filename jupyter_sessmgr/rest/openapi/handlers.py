"""Serves the OpenAPI document."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.operations import Reply, operation


class OpenApiHandler(SessionsHandler):
    """``{root}/api/openapi.json``."""

    needs_sessions = False

    @authenticated
    @authorized
    @operation(replies={200: Reply("An OpenAPI 3.1 document.", dict[str, object])})
    async def get(self) -> None:
        """Describe this API: this document."""
        self.finish(self.rest.openapi())
