"""How far a service's pages are kept from Jupyter's. Pure; one place for every kind of answer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Isolation(StrEnum):
    """What keeps a page of a service from acting as the user on the Jupyter server."""

    #: The browser gives the page an origin of nobody: no cookies, no storage, no way to Jupyter.
    SANDBOX = "sandbox"
    #: Nothing: the page is Jupyter's equal. For services that an admin trusts.
    SAME_ORIGIN = "same-origin"


#: What a page in a sandbox may do. Never ``allow-same-origin``: beside ``allow-scripts`` it undoes
#: the sandbox (THREATS C3).
_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"
_FRAMES = "frame-ancestors 'self'"


def isolation_headers(
    isolation: Isolation, headers: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Add what isolates to headers that are otherwise ready.

    Several policies hold together, so the service's own stays beside ours.
    """
    kept = [(name, value) for name, value in headers if name.lower() != "x-frame-options"]
    policies = [_FRAMES]
    if isolation is Isolation.SANDBOX:
        policies.append(_SANDBOX)
        # A page without an origin reads its own data by fetch only when told that it may; never
        # with credentials, so this opens nothing that its path did not open (THREATS C4).
        kept.append(("Access-Control-Allow-Origin", "null"))
        kept.append(("Access-Control-Allow-Methods", "*"))
        kept.append(("Access-Control-Allow-Headers", "*"))
        # Its path is its key, so it tells nobody where it was.
        kept.append(("Referrer-Policy", "no-referrer"))
    kept.extend(("Content-Security-Policy", policy) for policy in policies)
    return kept
