"""What an agent says of its kernel's executions, checked: code in a session can speak for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jupyter_sessmgr.manager.agents.words import Junk
from jupyter_sessmgr.manager.recording.words import MOST_ID, MOST_NUMBER
from jupyter_sessmgr.model.naming import is_text

#: Executions that one answer may have.
MOST_EXECUTIONS = 1000
MOST_PATH = 4096
#: Characters of the question that an execution asks a person.
MOST_PROMPT = 1000
_DATE = 40
STATES = ("queued", "running", "ended")
STATUSES = ("ok", "error", "aborted")


@dataclass(frozen=True, slots=True)
class Question:
    """What an execution asks a person to type, as ``input`` does."""

    prompt: str
    password: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Something that a kernel was asked to execute."""

    #: The request's id; its output names it as parent.
    id: str
    #: The notebook's cell, and the notebook, as far as somebody noted them.
    cell: str | None
    path: str | None
    #: One of `STATES`.
    state: str
    #: How it ended, one of `STATUSES`; None when it has not, or that is no longer kept.
    status: str | None
    #: What stands in the cell's brackets.
    count: int | None
    started: datetime | None
    ended: datetime | None
    #: What it waits for.
    asks: Question | None


def read_executions(told: object) -> tuple[Execution, ...]:
    """Check a list of executions.

    Raises
    ------
    Junk
        naming the field.
    """
    items = told.get("items") if isinstance(told, dict) else None
    if not isinstance(items, list) or len(items) > MOST_EXECUTIONS:
        raise Junk("items")
    return tuple(map(_execution, items))


def _execution(said: object) -> Execution:
    if not isinstance(said, dict):
        raise Junk("items")
    return Execution(
        id=_text(said, "id", MOST_ID) or _refuse("id"),
        cell=_text(said, "cell", MOST_ID),
        path=_text(said, "path", MOST_PATH),
        state=_one_of(STATES, said, "state") or _refuse("state"),
        status=_one_of(STATUSES, said, "status"),
        count=_count(said.get("count")),
        started=_date(said, "started"),
        ended=_date(said, "ended"),
        asks=_question(said.get("asks")),
    )


def _text(said: dict[str, Any], name: str, longest: int) -> str | None:
    value = said.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest or not is_text(value):
        raise Junk(name)
    return value


def _one_of(words: tuple[str, ...], said: dict[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and value not in words:
        raise Junk(name)
    return value


def _count(value: object) -> int | None:
    """Read a number that a kernel made up."""
    return value if type(value) is int and 0 <= value <= MOST_NUMBER else None


def _date(said: dict[str, Any], name: str) -> datetime | None:
    value = _text(said, name, _DATE)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Junk(name) from None


def _question(said: object) -> Question | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise Junk("asks")
    return Question(_text(said, "prompt", MOST_PROMPT) or "", said.get("password") is True)


def _refuse(name: str) -> str:
    raise Junk(name)
