"""What a server says when it stops: which sessions go on, and how they are ended."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_sessmgr.model.session import ComputeSession

_FIRST = "These sessions go on without this server, with all that is in their memory:"
_LAST = (
    "    They are found again when the server starts. To see or end them: "
    "jupyter sessmgr list, jupyter sessmgr stop NAME (or --all)."
)
#: Sessions that are named; of more, the number is told.
MOST_NAMED = 10


def what_goes_on(sessions: Sequence[ComputeSession]) -> str:
    """Say it in words for the log; "" when nothing goes on. Called by the extension."""
    lasting = [one for one in sessions if one.spec.durable and one.is_live]
    if not lasting:
        return ""
    named = [f"    {_name(one)}" for one in lasting[:MOST_NAMED]]
    more = len(lasting) - MOST_NAMED
    if more > 0:
        named.append(f"    and {more} more")
    return "\n".join([_FIRST, *named, _LAST])


def _name(session: ComputeSession) -> str:
    notebook = session.spec.jupyter_session
    return f"{session.name} ({notebook})" if notebook else session.name
