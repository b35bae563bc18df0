"""Handlers of our own routes."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.api import wire
from jupyter_sessmgr.rest.api.limits_types import LimitsReply
from jupyter_sessmgr.rest.api.limits_wire import render_limits
from jupyter_sessmgr.rest.api.types import HealthReply, OfferList
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.folders import may_have_folder
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation


class HealthHandler(SessionsHandler):
    """``{root}/api/health``."""

    #: It must answer above all when the manager cannot be opened.
    needs_sessions = False

    @authenticated
    @authorized
    @operation(replies={200: Reply("How the whole is.", HealthReply)})
    async def get(self) -> None:
        """Say how the whole is: engine, its reason, who is in charge."""
        trouble = await self.rest.trouble()
        self.reply(wire.render_health(self.sessions.health(), trouble))


class OffersHandler(SessionsHandler):
    """``{root}/api/offers``."""

    @authenticated
    @authorized
    @operation(replies={200: Reply("What can be started.", OfferList)})
    async def get(self) -> None:
        """List what can be started: one entry per kernelspec of ours."""
        self.reply(wire.render_offers(self.sessions.offers))


class LimitsHandler(SessionsHandler):
    """``{root}/api/limits``."""

    @authenticated
    @authorized
    @operation(
        parameters=(Parameter("group", str, "Default: `default`, or the first of your groups."),),
        replies={200: Reply("What you may still ask for.", LimitsReply)},
        errors=(InvalidRequest,),
    )
    async def get(self) -> None:
        """Say what the caller may still ask for; forms for new sessions are made of it.

        Only the caller's own sessions are counted: where a group or the server is full, that shows
        in no figure, and a request is refused.
        """
        allowance = self.sessions.allowance(self.owner, self.get_query_argument("group", ""))
        folders = await may_have_folder(self)
        self.reply(render_limits(allowance, self.sessions.idle, folders=folders))
