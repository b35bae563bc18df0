"""Bodies of requests and replies about running code."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from jupyter_sessmgr.rest.execution.console import Item

#: What a client wants with a run.
Mode = Literal["query", "continue", "input", "complete", "batch"]


class CursorOptions(TypedDict, total=False):
    """Where the cursor is, for completions. What `code` and `post` say is enough."""

    post: Annotated[str | None, Meta(description="The code after the cursor.")]
    line: Annotated[str | None, Meta(description="The current line.")]
    row: Annotated[int | None, Meta(description="Its number, from 0.")]
    col: Annotated[int | None, Meta(description="The cursor's column in it, from 0.")]


class ExecuteBody(TypedDict, total=False):
    """What to do with a run."""

    mode: Annotated[
        Mode | None,
        Meta(
            description="`query` begins a run (the default), `continue` asks for more of it, "
            "`input` answers it, `complete` is `/complete`. `batch` is not supported."
        ),
    ]
    code: Annotated[
        str | None, Meta(description="Code to run; in the mode `input`, the line of input.")
    ]
    runId: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="Names the run. A new one is given by the client or, when it is absent, "
            "by the server; then it is in the reply."
        ),
    ]
    options: Annotated[dict[str, Any] | None, Meta(description="For the other modes.")]


class CompleteBody(TypedDict, total=False):
    """Where to complete code."""

    code: Annotated[str | None, Meta(description="The code up to the cursor.")]
    options: CursorOptions | None


class RunOptions(TypedDict):
    """How to ask for the input that a run waits for."""

    is_password: Annotated[bool, Meta(description="It should not be seen while it is typed.")]


class RunFile(TypedDict):
    """A file that a run made. Files stay in the session, so there are none."""

    name: str
    url: str


class RunResult(TypedDict):
    """How a run stands, and what it wrote since the last reply."""

    runId: str
    status: Annotated[
        Literal["continued", "waiting-input", "finished"],
        Meta(
            description="`continued`: ask again with the mode `continue`; `waiting-input`: answer "
            "with the mode `input`."
        ),
    ]
    exitCode: Annotated[
        int | None,
        Meta(
            description="When it has finished: 0, also after an exception in the code; 130, or "
            "what the kernel's process ended with, when the kernel went away."
        ),
    ]
    console: Annotated[
        list[Item],
        Meta(
            description="Pairs of a type and a value: text of `stdout` and `stderr`, `html`, and "
            "`media` with a pair of media type and data (text, or a `data:` URL)."
        ),
    ]
    options: RunOptions | None
    files: list[RunFile]


class Completions(TypedDict):
    """What could stand at the cursor."""

    status: Annotated[
        Literal["finished", "busy"], Meta(description="`busy`: the kernel works, and gave none.")
    ]
    completions: list[str]


class RunReply(TypedDict):
    """Answers `POST`, but in the mode `complete`."""

    result: RunResult


class CompleteReply(TypedDict):
    """Answers `/complete`."""

    result: Completions
