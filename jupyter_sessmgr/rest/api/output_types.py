"""What the route about a session's output answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta


class OutputMessage(TypedDict):
    """One message of the kernel."""

    seq: Annotated[int, Meta(description="Its number in the session's journal.")]
    time: Annotated[str, Meta(description="When it was recorded.")]
    channel: Annotated[
        Literal["iopub", "shell"],
        Meta(description="`shell`: the reply that ends an execution; all else is on `iopub`."),
    ]
    parent: Annotated[str, Meta(description="Id of the request that it belongs to.")]
    cell: Annotated[str | None, Meta(description="The notebook's cell, where a notebook asked.")]
    message: Annotated[
        dict[str, Any],
        Meta(
            description="`header`, `parent_header`, `metadata`, `content` as the kernel sent them, "
            "and `buffers` as base64."
        ),
    ]


class LostOutput(TypedDict):
    """What was recorded after `since` and is no longer kept."""

    messages: int
    bytes: int


class OutputGap(TypedDict):
    """A time in which nobody listened to the kernel; its output of then may be missing."""

    seq: Annotated[int, Meta(description="After which message it was.")]
    since: str
    until: str
    reason: str


class OutputPage(TypedDict):
    """A part of what a session's kernel put out."""

    sessionId: str
    items: list[OutputMessage]
    first: Annotated[int, Meta(description="Number of the oldest message that is kept.")]
    next: Annotated[
        int, Meta(description="What to give as `since` for what comes after this page.")
    ]
    lost: LostOutput
    gaps: list[OutputGap]
    problem: Annotated[str, Meta(description="What is wrong with the journal now.")]
