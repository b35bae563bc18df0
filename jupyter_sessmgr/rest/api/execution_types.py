"""What the route about a session's executions answers."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta


class ExecutionQuestion(TypedDict):
    """What an execution asks a person to type."""

    prompt: str
    password: bool


class ExecutionItem(TypedDict):
    """Something that a kernel was asked to execute."""

    id: Annotated[str, Meta(description="The request's `msg_id`; its output names it as parent.")]
    cell: Annotated[str | None, Meta(description="The notebook's cell, where a notebook asked.")]
    path: Annotated[
        str | None,
        Meta(description="The notebook, as it was called then; `null` where that was not told."),
    ]
    state: Literal["queued", "running", "ended"]
    status: Annotated[
        Literal["ok", "error", "aborted"] | None,
        Meta(description="How it ended; `null` when it has not, or that is no longer kept."),
    ]
    count: Annotated[int | None, Meta(description="What stands in the cell's brackets.")]
    startedAt: str | None
    endedAt: str | None
    asks: Annotated[
        ExecutionQuestion | None, Meta(description="What it waits for a person to type.")
    ]


class ExecutionList(TypedDict):
    """What a session's kernel was asked to execute."""

    sessionId: str
    items: list[ExecutionItem]
