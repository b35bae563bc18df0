"""Says who owns what a request makes, and so what it may see (THREATS E1, E2)."""

from __future__ import annotations

from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
    User,
)

#: These know a token or a password, not people: their user names are random, a new one for each
#: request or each login. A class made from one of them is somebody's own and is believed.
NAMELESS = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)


class Owners:
    """Tells the owner of a request.

    Parameters
    ----------
    server_owner : str
        Who owns everything where the identity provider knows no people.
    provider : IdentityProvider
        The server's.
    """

    def __init__(self, server_owner: str, provider: IdentityProvider) -> None:
        self.server_owner = server_owner
        #: Whether people are told apart.
        self.several = type(provider) not in NAMELESS

    def of(self, user: User) -> str:
        """Name the owner for an authenticated user."""
        return user.username if self.several else self.server_owner
