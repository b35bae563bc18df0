"""Data of the events that are sent to listeners."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta


class EventData(TypedDict):
    """What happened to a session."""

    reason: Annotated[str, Meta(description="Why, for people; may be empty.")]
    sessionName: str
    ownerAccessKey: Annotated[str, Meta(description="Whose session it is.")]
    sessionId: str
    status: Annotated[str, Meta(description="The session's status since then.")]
    kernelId: NotRequired[Annotated[str, Meta(description="In events of the kernel.")]]
    clusterRole: NotRequired[str]
    clusterIdx: NotRequired[int]
    exitCode: NotRequired[
        Annotated[int, Meta(description="Of what the session ran, when that has ended.")]
    ]
    endsAt: NotRequired[
        Annotated[str, Meta(description="When the session will be ended, if nobody uses it.")]
    ]
    limit: NotRequired[Annotated[str, Meta(description="The limit for which it will be ended.")]]
