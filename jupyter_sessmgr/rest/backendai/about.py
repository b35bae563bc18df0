"""Handlers of what clients ask about a session besides the document: logs, history, its name."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import EngineError, InvalidRequest, NameTaken
from jupyter_sessmgr.model.naming import is_uuid
from jupyter_sessmgr.rest.backendai import types, wire
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.params import parse_name
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation


class LogsHandler(BackendAIHandler):
    """``{root}/session/:id/logs``."""

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={200: Reply("The last lines.", types.LogsReply)},
        errors=(EngineError,),
    )
    async def get(self, reference: str) -> None:
        """Return the last lines that the session wrote, also after its end."""
        self.reply(wire.render_logs(await self.sessions.logs(self.find(reference).id)))


class TaskLogsHandler(BackendAIHandler):
    """``{root}/session/_/logs``, which names the session in its query string."""

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("taskId", str, "The session's UUID.", required=True),
            OWNER_PARAMETER,
        ),
        replies={200: Reply("The last lines.", str, media="text/plain")},
        errors=(EngineError,),
    )
    async def get(self) -> None:
        """Return the last lines that a batch session wrote, as they are."""
        task_id = self.get_query_argument("taskId", self.get_query_argument("kernelId", ""))
        if not is_uuid(task_id):
            raise InvalidRequest("taskId: not the UUID of a session.", field="taskId")
        text = await self.sessions.logs(self.find(task_id).id)
        self.finish(text, set_content_type="text/plain; charset=UTF-8")


class StatusHistoryHandler(BackendAIHandler):
    """``{root}/session/:id/status-history``."""

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={200: Reply("Times by status.", types.StatusHistoryReply)},
    )
    async def get(self, reference: str) -> None:
        """Tell when the session came to each status last."""
        self.reply(wire.render_status_history(self.find(reference)))


class RenameHandler(BackendAIHandler):
    """``{root}/session/:id/rename``."""

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("name", str, "The new name, unless the body has it."),
            OWNER_PARAMETER,
        ),
        body=types.RenameBody,
        examples={"another": {"name": "another-name"}},
        replies={204: Reply("The session has the name.")},
        errors=(NameTaken,),
    )
    async def post(self, reference: str) -> None:
        """Give the session another name; the old one is free then."""
        session = self.find_live(reference)
        name = parse_name(await self.read_body(), self.get_query_argument("name", "", strip=False))
        await self.sessions.rename(session.id, name)
        self.reply_nothing()
