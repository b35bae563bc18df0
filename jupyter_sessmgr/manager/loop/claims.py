"""What an agent keeps of the session it carries, so that a lost row can be written again."""

from __future__ import annotations

import json

from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.codec import from_plain, to_plain
from jupyter_sessmgr.model.session import ComputeSession

#: Fields that a claim carries: what was fixed at creation, and the name.
_FIELDS = (
    "id",
    "name",
    "owner",
    "domain",
    "group",
    "tag",
    "origin",
    "server_id",
    "spec",
    "created_at",
    "generation",
)


def make_claim(session: ComputeSession, secrets: InstallationSecrets) -> str:
    """Seal what identifies a session. The code inside the session can neither read nor forge it."""
    plain = {name: to_plain(getattr(session, name)) for name in _FIELDS}
    return secrets.seal(json.dumps(plain, separators=(",", ":")))


def is_unclaimed(claimed: ComputeSession, place_id: str) -> bool:
    """Tell whether a claim is that of a spare, which is no session's yet."""
    return claimed.id == place_id and not claimed.owner


def read_claim(claim: str, secrets: InstallationSecrets) -> ComputeSession:
    """Open a claim.

    Raises
    ------
    ValueError
        when it was not sealed by this installation, or is of another release's shape.
    """
    session: ComputeSession = from_plain(ComputeSession, json.loads(secrets.unseal(claim)))
    return session
