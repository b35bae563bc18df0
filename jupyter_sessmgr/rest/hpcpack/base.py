"""What every handler of the HPC Pack dialect is: credentials, versions, formats, faults."""

from __future__ import annotations

import hmac
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from jupyter_server.utils import ensure_async
from tornado.web import HTTPError

from jupyter_sessmgr.model.errors import AuthFailed
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.base import AUTH_RESOURCE, SessionsHandler
from jupyter_sessmgr.rest.errors import RETRY_AFTER, Problem, problem_of
from jupyter_sessmgr.rest.hpcpack import wire
from jupyter_sessmgr.rest.hpcpack.faults import Refused, code_of
from jupyter_sessmgr.rest.hpcpack.request import (
    check_version,
    choose_format,
    parse_basic,
    parse_durable,
)
from jupyter_sessmgr.rest.hpcpack.settings import SETTINGS_KEY, AttachApi

VERSION_NAME = "api-version"
_MEDIA = {"xml": "application/xml; charset=utf-8", "json": "application/json; charset=utf-8"}
#: An error is looked up twice, the second time by the status that the first has chosen.
_CREDENTIALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class AttachApiHandler(SessionsHandler):
    """Base of the dialect."""

    #: Version and parameters are judged first; the methods wait for the manager themselves.
    needs_sessions = False
    #: Whether a POST may come without any body, and so without its type.
    takes_bare_post: ClassVar[bool] = False

    @property
    def attach_api(self) -> AttachApi:
        """The dialect's settings."""
        settings: AttachApi = self.settings[SETTINGS_KEY]
        return settings

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler
        """Take Basic credentials too: any user name, and Jupyter's token as password."""
        password = parse_basic(self.request.headers.get("Authorization", ""))
        if password is not None and self._may_be_the_token(password):
            self.request.headers["Authorization"] = f"token {password}"
        await super().prepare()

    def _may_be_the_token(self, password: str) -> bool:
        """Compare with the server's token in constant time; other providers judge themselves."""
        token: str = getattr(self.identity_provider, "token", "")
        return self.rest.owners.several or hmac.compare_digest(password.encode(), token.encode())

    def _check_content_type(self) -> None:
        if self.request.method not in {*self.methods(), "OPTIONS"}:
            raise HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)
        declared = self.request.headers.get("Content-Type", "")
        if "xml" in declared.lower() and self.request.method == "POST":
            raise HTTPError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON: XML is written here, never read."
            )
        if declared or self.request.body or not self.takes_bare_post:
            super()._check_content_type()

    def check_version(self, *, required: bool = True) -> None:
        """Check the version of the API that the client speaks."""
        headers = self.request.headers.get_list(VERSION_NAME)
        parameters = self.get_query_arguments(VERSION_NAME)
        if required or headers or parameters:
            check_version(headers, parameters)

    def find(self, reference: str) -> ComputeSession:
        """Find a session, by number first: it is what clients of this dialect know."""
        return self.sessions.find(reference, self.owner, name_last=True)

    def durable(self) -> bool:
        """Read ``?durable=``, which is required."""
        return parse_durable(self.get_query_arguments("durable"))

    async def may_act(self) -> bool:
        """Tell whether a GET may have effects (THREATS B2).

        A page of another site can have a browser send its cookie along; then the browser says so.
        """
        site = self.request.headers.get("Sec-Fetch-Site", "")
        if not self.token_authenticated and site not in {"same-origin", "none"}:
            return False
        allowed = self.authorizer.is_authorized(self, self.current_user, "write", AUTH_RESOURCE)
        return bool(await ensure_async(allowed))

    def compute_etag(self) -> None:
        """Have none: whoever asks wants an effect, and what was true once is of no use."""

    async def answer(self, *, json: object, xml: str, status: int = HTTPStatus.OK) -> None:
        """Answer in the format that the client accepts."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        media, body = self._told(json, xml)
        if self.request.method != "HEAD":
            self.set_header("Content-Type", media)
            self.write(body)
            await self.flush()  # the document names Transfer-Encoding among the headers
            body = ""
        self.finish(body, set_content_type=media)

    def _told(self, json: object, xml: str) -> tuple[str, str]:
        self.add_header("Vary", "Accept")
        chosen = choose_format(self.request.headers.get("Accept", ""))
        return _MEDIA[chosen], wire.to_json(json) if chosen == "json" else xml

    def problem(self, error: BaseException | None, status: int) -> Problem:
        """Look an error up, with the dialect's own faults."""
        found = problem_of(error, status)
        if isinstance(error, Refused):
            status = error.fault.status
            wait = RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            found = replace(found, status=status, retry_after=wait)
        elif isinstance(error, AuthFailed):
            found = replace(found, status=HTTPStatus.FORBIDDEN)  # wrong, as a wrong token is
        elif found.status in _CREDENTIALS and self._is_anonymous():
            found = replace(
                found,
                status=HTTPStatus.UNAUTHORIZED,
                message="Give credentials: any user name, with Jupyter's token as password.",
            )
        return replace(found, data={"code": code_of(error)})

    def _is_anonymous(self) -> bool:
        """Tell whether nobody said who asks: neither rightly nor wrongly."""
        gave = "Authorization" in self.request.headers or self.get_query_argument("token", "")
        return not gave and getattr(self, "_jupyter_current_user", None) is None

    def render_problem(self, problem: Problem) -> None:
        """Write a fault."""
        if problem.status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="Jupyter", charset="UTF-8"')
        code: Any = problem.data["code"]
        fault = wire.render_fault(code, problem.message)
        media, body = self._told(fault, wire.fault_xml(fault, self.attach_api.fault_namespace))
        self.finish(body, set_content_type=media)
