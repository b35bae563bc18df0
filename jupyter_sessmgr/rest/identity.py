"""Who asks with a signature: the identity provider beside Jupyter's own (THREATS E2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.identity import IdentityProvider, User

from jupyter_sessmgr.manager.keypairs import KeyPair, KeyPairs
from jupyter_sessmgr.model.errors import AuthFailed
from jupyter_sessmgr.rest.signatures import MISMATCH, read_signed

if TYPE_CHECKING:
    from tornado.web import RequestHandler


@dataclass
class Signer(User):
    """Somebody whose signature was verified. An authorizer sees the owner's name."""

    pair: KeyPair = field(kw_only=True)


class SignedIdentity(IdentityProvider):
    """Knows who signs. Asked for requests that say they are signed, and for no other.

    Parameters
    ----------
    pairs : KeyPairs
        The installation's.
    accepted_hosts : sequence of str
        Values of ``Host`` that clients may have signed, besides the one that arrived.
    """

    def __init__(self, pairs: KeyPairs, accepted_hosts: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pairs = pairs
        self._accepted_hosts = tuple(accepted_hosts)

    async def get_user(self, handler: RequestHandler) -> Signer:
        """Verify the signature.

        Raises
        ------
        AuthFailed
            in the same words for a key that there is not and for a wrong signature.
        """
        request = handler.request
        signed = read_signed(
            request.method or "", request.uri or "", request.headers, datetime.now(UTC)
        )
        await self._pairs.refresh()
        if not self._pairs.are_used:
            raise AuthFailed(MISMATCH)
        hosts = (request.headers.get("Host", ""), *self._accepted_hosts)
        right = signed.is_signed_by(self._pairs.secret(signed.access_key), hosts)
        pair = self._pairs.find(signed.access_key)
        if not right or pair is None:
            raise AuthFailed(MISMATCH)
        return Signer(username=pair.owner, pair=pair)

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Free a verified request from the checks that are for browsers, which cannot sign."""
        return isinstance(handler.current_user, Signer)
