"""People with tokens of their own, on one Jupyter server; docs/how-to/shared-server.md.

The file of tokens says whose each is, without saying what it is:
{"<SHA-256 of the token, in hexadecimal>": "ann", ...}
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from jupyter_core.utils import ensure_async
from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.auth.logout import LogoutHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler, Template404
from jupyter_server.services.api.handlers import IdentityHandler
from tornado.web import HTTPError
from traitlets import Unicode

#: What of Jupyter everybody needs: logging in and out, who one is, style sheets, "there is none".
FOR_ALL = (FileFindHandler, IdentityHandler, LoginFormHandler, LogoutHandler, Template404)


class People(IdentityProvider):
    """Tells people apart by their tokens, in requests and on the login page."""

    tokens_file = Unicode(
        "/etc/jupyter/tokens.json",
        config=True,
        help="""Whose each token is. Read at each request: who is taken out is out at once.""",
    )

    operator = Unicode(
        "operator",
        config=True,
        help="""Who may use all that this server has: Jupyter's own kernels, files, terminals, and
        what its other extensions bring.""",
    )

    async def get_user(self, handler: JupyterHandler) -> User | None:
        """Name who asks, and let nobody but the operator through to what is not ours.

        An authorizer is not enough: JupyterLab's handlers, jupyter-server-proxy's and others ask
        none, and some of them install packages, write settings or reach other ports.
        """
        user = await ensure_async(super().get_user(handler))
        if user is not None and user.username != self.operator and not _is_for_all(handler):
            handler.current_user = None  # for the error's page
            raise HTTPError(403, "This is for the operator of this server.")
        return user

    def get_user_token(self, handler: JupyterHandler) -> User | None:
        """Name who sent a token."""
        return self._whose(self.get_token(handler))

    def process_login_form(self, handler: JupyterHandler) -> User | None:
        """Name who typed a token in."""
        return self._whose(handler.get_argument("password", default=""))

    def user_from_cookie(self, cookie_value: str) -> User | None:
        """Name who logged in before, if they still may."""
        user = super().user_from_cookie(cookie_value)
        return user if user is not None and user.username in self._names().values() else None

    def _whose(self, token: str | None) -> User | None:
        digest = hashlib.sha256((token or "").encode()).hexdigest()
        name = self._names().get(digest)
        return User(name) if name else None

    def _names(self) -> dict[str, str]:
        return json.loads(Path(self.tokens_file).read_text(encoding="utf-8"))


class OwnSessions(Authorizer):
    """Lets everybody use their sessions, and the operator all of Jupyter.

    Jupyter itself has one list of kernels, one of files and one of terminals, for all who may.
    """

    def is_authorized(
        self,
        handler: JupyterHandler,  # noqa: ARG002 - as the base class has it
        user: User,
        action: str,  # noqa: ARG002 - as the base class has it
        resource: str,
    ) -> bool:
        """Say whether a request may go on."""
        return resource == "sessmgr" or user.username == self.identity_provider.operator


def _is_for_all(handler: JupyterHandler) -> bool:
    ours = type(handler).__module__.startswith("jupyter_sessmgr.")
    return ours or type(handler) in FOR_ALL
