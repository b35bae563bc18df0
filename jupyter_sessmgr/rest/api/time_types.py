"""What the routes about a session's time take and answer."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from jupyter_sessmgr.model.resources import MAX_SECONDS


class ExtendBody(TypedDict):
    """For how long a session is to be kept."""

    seconds: Annotated[
        int,
        Meta(gt=0, le=MAX_SECONDS, description="From now; at most `IdleCuller.max_extension`."),
    ]


class ExemptBody(TypedDict):
    """Whether the limits of time hold."""

    exempt: NotRequired[
        Annotated[bool, Meta(description="False has the limits hold again. Default: true.")]
    ]


class SessionTime(TypedDict):
    """How long a session will last."""

    sessionId: str
    sessionName: str
    status: str
    idleExempt: Annotated[bool, Meta(description="No limit of time holds for it.")]
    endsAt: Annotated[
        str | None, Meta(description="When it ends if nothing changes; null: by no limit of time.")
    ]
    limit: Annotated[
        Literal["idle", "never-connected", "lifetime", "server-stopped"] | None,
        Meta(description="Which limit ends it then."),
    ]
