"""Reads what clients want run, and writes how it goes, as the API spells it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported
from jupyter_sessmgr.rest.backendai.fields import Fields
from jupyter_sessmgr.rest.backendai.run_types import (
    CompleteReply,
    Completions,
    RunResult,
)
from jupyter_sessmgr.rest.bodies import MAX_BODY
from jupyter_sessmgr.rest.execution.run import Progress, RunStatus

_MODES = {"query": "query", "continue": "continue", "input": "input", "complete": "complete"}
#: How the clients' own documentation calls it.
_MODES["user-input"] = "input"
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCall:
    """What a client wants."""

    #: query, continue, input or complete.
    mode: str
    #: Code, or the line of input.
    code: str = ""
    #: "" when the client leaves it to the server.
    run_id: str = ""
    #: Code after the cursor.
    post: str = ""


def parse_run(body: Mapping[str, Any]) -> RunCall:
    """Read the body of ``POST /session/:id`` and of a websocket's first message.

    Raises
    ------
    InvalidRequest
        naming the field.
    Unsupported
        for the mode ``batch``.
    """
    fields = Fields(body, "body")
    options = fields.object("options")
    mode = _mode(fields, options)
    call = RunCall(
        mode=mode,
        code=fields.text("code", longest=MAX_BODY),
        run_id=fields.text("runId", "run_id", longest=_LONGEST_ID),
        post=options.text("post", longest=MAX_BODY) if mode == "complete" else "",
    )
    if mode in {"continue", "input"} and not call.run_id:
        raise InvalidRequest(f"runId: the mode {mode!r} needs one.", field="runId")
    return call


def parse_complete(body: Mapping[str, Any]) -> RunCall:
    """Read the body of ``POST /session/:id/complete``.

    Raises
    ------
    InvalidRequest
        naming the field.
    """
    fields = Fields(body, "body")
    post = fields.object("options").text("post", longest=MAX_BODY)
    return RunCall(mode="complete", code=fields.text("code", longest=MAX_BODY), post=post)


def render_run(progress: Progress) -> RunResult:
    """Write how a run stands."""
    waits = progress.status is RunStatus.WAITING_INPUT
    return {
        "runId": progress.run_id,
        "status": progress.status.value,
        "exitCode": progress.exit_code,
        "console": list(progress.console),
        "options": {"is_password": progress.is_password} if waits else None,
        "files": [],
    }


def render_completions(matches: list[str] | None) -> Completions:
    """Write completions; None: the kernel was busy."""
    return {"status": "busy" if matches is None else "finished", "completions": matches or []}


def render_complete(matches: list[str] | None) -> CompleteReply:
    """Answer ``POST /session/:id/complete``."""
    return {"result": render_completions(matches)}


def _mode(fields: Fields, options: Fields) -> str:
    mode = fields.text("mode")
    if not mode:
        # A generation of clients asks for completions without a word for it.
        return "complete" if options.first("row") is not None else "query"
    if mode == "batch":
        raise Unsupported(
            "mode: batch runs (clean, build, exec) are not supported here. Run code with the mode "
            '"query", or create a session of the type "batch" with a startup command.',
            field="mode",
        )
    if mode not in _MODES:
        raise InvalidRequest(f"mode: not one of {', '.join(_MODES)}.", field="mode")
    return _MODES[mode]
