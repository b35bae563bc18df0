"""What stock clients can ask for and this server does not have: told so, instead of "not found"."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, authenticated

from jupyter_sessmgr.model.errors import Unsupported
from jupyter_sessmgr.rest.backendai import types
from jupyter_sessmgr.rest.backendai.base import BackendAIHandler
from jupyter_sessmgr.rest.errors import Problem
from jupyter_sessmgr.rest.operations import Reply, operation
from jupyter_sessmgr.rest.routing import Route

#: Parts of the upstream API, and what they are called.
PARTS = {
    "folders": "virtual folders",
    "services": "inference services",
    "template": "session templates",
    "cluster-template": "session templates",
    "scaling-groups": "scaling groups",
    "resource": "resource accounting",
    "usage": "resource accounting",
    "auth": "accounts",
    "acl": "accounts",
    "config": "its own configuration store",
    "user-config": "dotfiles",
    "group-config": "dotfiles",
    "domain-config": "dotfiles",
    "image": "building images by itself",
    "logs": "a log of errors",
    "manager": "managing managers",
}
#: The same below a session, and where a session's name would stand.
VERBS = {
    "commit": "images of running sessions",
    "abusing-report": "reports of abuse",
    "dependency-graph": "sessions that wait for each other",
}
MAKERS = {
    "create-from-template": "session templates",
    "create-cluster": "sessions of several containers",
    "import": "building images by itself",
}


class RefusingHandler(BackendAIHandler):
    """Answers every method alike, so there is nothing to describe."""

    needs_sessions = False

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler
        """Say what is not here, to those who may ask at all."""
        await super().prepare()
        if self.request.method != "OPTIONS":
            await self._refuse()

    @authorized(action="read")  # type: ignore[untyped-decorator] # so with words
    async def _refuse(self) -> None:
        raise self.refusal()

    def refusal(self) -> Exception:
        """Return the answer."""
        raise NotImplementedError


class UnsupportedHandler(RefusingHandler):
    """Parts of the API that stock clients know, and this server does not have."""

    def refusal(self) -> Exception:
        """Name the part."""
        pieces = self.request.path.removeprefix(f"{self.base_url}sessmgr/").split("/")
        what = {**PARTS, **VERBS, **MAKERS}
        named = next((what[piece] for piece in (pieces[0], pieces[-1]) if piece in what), "this")
        return Unsupported(f"This server has sessions, and does not have {named}.")


class UnknownHandler(RefusingHandler):
    """Every other path below our root: Jupyter's own page for people, JSON for programs."""

    def refusal(self) -> Exception:
        """Say where to look, and nothing of the path."""
        return HTTPError(404, "There is nothing here. What there is: sessmgr/api/openapi.json.")

    @property
    def _is_navigation(self) -> bool:
        headers = self.request.headers
        html = "text/html" in headers.get("Accept", "")
        return headers.get("Sec-Fetch-Mode", "navigate" if html else "") == "navigate"

    @property
    def content_security_policy(self) -> str:
        """Let Jupyter's page have its styles."""
        if self._is_navigation:
            return super(APIHandler, self).content_security_policy
        return super().content_security_policy

    def render_problem(self, problem: Problem) -> None:
        """Answer in the form that is asked for."""
        if not self._is_navigation:
            super().render_problem(problem)
            return
        JupyterHandler.write_error(self, problem.status)
        self.finish(set_content_type="text/html; charset=utf-8")


class AnnouncementHandler(BackendAIHandler):
    """``{root}/manager/announcement``, which command lines ask for before all else."""

    needs_sessions = False

    @authenticated
    @authorized
    @operation(replies={200: Reply("Nothing.", types.Announcement)})
    async def get(self) -> None:
        """Announce nothing."""
        empty: types.Announcement = {"enabled": False, "message": ""}
        self.reply(empty)


#: Below ``/session`` and ``/kernel``.
SESSION = (
    *(Route(f"/_/{maker}", UnsupportedHandler) for maker in MAKERS),
    *(Route(f"/{{reference}}/{verb}", UnsupportedHandler) for verb in VERBS),
)


def unsupported_routes(root: str) -> list[Route]:
    """List what is answered by 501 under `root`; an announcement is none, so it comes first."""
    return [
        Route(f"{root}/manager/announcement", AnnouncementHandler),
        *(
            Route(f"{root}/{part}{rest}", UnsupportedHandler)
            for part in PARTS
            for rest in ("", "/{rest}")
        ),
    ]


def unknown_routes(root: str, *, document_routes: bool) -> list[Route]:
    """List what answers for every path that is nobody's; these go last of all.

    With a slash at the end a path is left to Jupyter, which takes it away.
    """
    return [
        Route(f"{path}/{{unknown}}", UnknownHandler)
        for path in (root, *(("/session",) if document_routes else ()))
    ]
