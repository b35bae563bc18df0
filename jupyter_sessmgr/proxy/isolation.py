"""How far a service's pages are kept from Jupyter's. Pure; one place for every kind of answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum


class Isolation(StrEnum):
    """What keeps a page of a service from acting as the user on the Jupyter server."""

    #: The browser gives the page an origin of nobody: no cookies, no storage, no way to Jupyter.
    SANDBOX = "sandbox"
    #: A host of its own: the page has an origin, with cookies and storage, which is not Jupyter's.
    SUBDOMAIN = "subdomain"
    #: Nothing: the page is Jupyter's equal. For services that an admin trusts.
    SAME_ORIGIN = "same-origin"


#: What a page in a sandbox may do. Never ``allow-same-origin``: beside ``allow-scripts`` it undoes
#: the sandbox (THREATS C3).
_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"
_POLICY = "content-security-policy"


def isolation_headers(
    isolation: Isolation, headers: Sequence[tuple[str, str]], home: str = ""
) -> list[tuple[str, str]]:
    """Add what isolates to headers that are otherwise ready.

    Several policies hold together, so the service's own stays beside ours.

    Parameters
    ----------
    home
        Jupyter's origin, whose pages may frame those of a service on a host of its own.
    """
    kept = [(name, value) for name, value in headers if name.lower() != "x-frame-options"]
    policies = [f"frame-ancestors 'self' {home}".rstrip()]
    if isolation is Isolation.SUBDOMAIN:
        kept = list(_without_frames(kept))
        # Whoever opened the page, or is opened by it, is out of its reach.
        kept.append(("Cross-Origin-Opener-Policy", "same-origin"))
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


def _without_frames(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Take the service's own word on who frames it out: it does not know that Jupyter does."""
    for name, value in headers:
        lower = name.lower()
        if lower == "cross-origin-opener-policy":
            continue
        if lower == _POLICY:
            policies = [_unframed(policy) for policy in value.split(",")]
            value = ", ".join(filter(None, policies))  # noqa: PLW2901 - the same, cleaned
            if not value:
                continue
        yield name, value


def _unframed(policy: str) -> str:
    kept = [
        words
        for words in (one.strip() for one in policy.split(";"))
        if words and words.split(None, 1)[0].lower() != "frame-ancestors"
    ]
    return "; ".join(kept)
