"""People with tokens of their own, on one Jupyter server; docs/how-to/shared-server.md.

The file of tokens says whose each is, without saying what it is:
{"<SHA-256 of the token, in hexadecimal>": "ann", ...}
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from traitlets import Unicode


class People(IdentityProvider):
    """Tells people apart by their tokens, in requests and on the login page."""

    tokens_file = Unicode(
        "/etc/jupyter/tokens.json",
        config=True,
        help="""Whose each token is. Read at each request: who is taken out is out at once.""",
    )

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

    operator = Unicode(
        "operator", config=True, help="""Who may use Jupyter's own kernels, files, terminals."""
    )

    def is_authorized(
        self,
        handler: JupyterHandler,  # noqa: ARG002 - as the base class has it
        user: User,
        action: str,  # noqa: ARG002 - as the base class has it
        resource: str,
    ) -> bool:
        """Say whether a request may go on."""
        return resource == "sessmgr" or user.username == self.operator
