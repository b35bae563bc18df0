"""Says who owns what a request makes, and so what it may see (THREATS E1, E2)."""

from __future__ import annotations

from collections.abc import Collection

from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
    User,
)

from jupyter_sessmgr.rest.identity import Signer

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
    admins : collection of str
        User names of those who may do what only admins may, where people are told apart.
    """

    def __init__(
        self, server_owner: str, provider: IdentityProvider, admins: Collection[str] = ()
    ) -> None:
        self.server_owner = server_owner
        self._admins = frozenset(admins)
        #: Whether people are told apart.
        self.several = type(provider) not in NAMELESS

    def of(self, user: User) -> str:
        """Name the owner for an authenticated user."""
        if isinstance(user, Signer):
            return user.pair.owner
        return user.username if self.several else self.server_owner

    def is_admin(self, user: User) -> bool:
        """Tell whether an authenticated user is an admin of this server.

        Whoever holds the token of a server that knows no people can do everything on it anyway.
        """
        if isinstance(user, Signer):
            return user.pair.admin
        return user.username in self._admins if self.several else True
