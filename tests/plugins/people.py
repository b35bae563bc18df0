"""Identity and authorization as a shared server has them. Named in servers' configurations."""

from __future__ import annotations

from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User


class People(IdentityProvider):
    """Knows people by the header ``X-Person``."""

    def get_user(self, handler):
        name = handler.request.headers.get("X-Person")
        handler._token_authenticated = bool(name)
        return User(name) if name else None


class PeopleAndToken(People):
    """Knows people by the header ``X-Person``, and whoever has the token as the server's own."""

    def get_user(self, handler):
        return super().get_user(handler) or IdentityProvider.get_user(self, handler)


class HubLike(IdentityProvider):
    """Knows one person, Ann, by a cookie and a token that a Hub gave, and by the server's token."""

    COOKIE = "canary-cookie-of-the-hub"
    TOKEN = "canary-token-of-the-hub"

    def get_user(self, handler):
        handler._token_authenticated = self.get_token(handler) in {self.token, self.TOKEN}
        by_cookie = handler.get_cookie("jupyterhub-user-ann") == self.COOKIE
        return User("ann") if by_cookie or handler._token_authenticated else None


class DenyAll(Authorizer):
    """Allows nobody anything."""

    def is_authorized(self, handler, user, action, resource):
        return False


class ReadOnly(Authorizer):
    """Allows everybody to read our things, and nothing else of them."""

    def is_authorized(self, handler, user, action, resource):
        return resource != "sessmgr" or action == "read"
