"""What an agent says of its journal, checked: code in a session can speak for it (THREATS F10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.manager.agents.words import Junk, clean
from jupyter_sessmgr.model.naming import is_text

#: Sequence numbers are read by JavaScript, too.
MOST_NUMBER = 2**53 - 1
MOST_ID = 256
#: Seconds since the epoch; dates end with the year 9999.
_MOST_TIME = 2**37
#: Lists and objects in a page at most: what is short to write can take a second, and a gigabyte.
MOST_PARTS = 4_000_000
#: Brackets of a line that are not worth a look whether they only stand in text.
_FEW = 64
_MOST_GAPS = 100
_MOST_WORDS = 500
_MOST_EXECUTING = 256
_STATES = frozenset({"starting", "busy", "idle"})
_PARTS = ("header", "parent_header", "metadata", "content")


@dataclass(frozen=True, slots=True)
class Lost:
    """What was dropped for want of room, or for its age."""

    messages: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nobody listened to the kernel; its output of then may be missing."""

    #: The sequence number after which it was.
    seq: int
    #: Seconds since the epoch.
    since: float
    until: float
    #: For people.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One message as it was on the kernel's iopub channel, or an execution's reply."""

    seq: int
    #: Seconds since the epoch.
    time: float
    #: Id of the request it belongs to; "" for none.
    parent: str
    #: The notebook's cell that the request was of, if somebody noted it.
    cell: str | None
    #: header, parent_header, metadata, content; buffers in base64.
    message: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """A part of the journal."""

    messages: tuple[Recorded, ...]
    #: The lowest number that is kept.
    first: int
    #: Where to go on.
    next: int
    #: What is missing after the number that was asked for.
    lost: Lost = Lost()
    gaps: tuple[Gap, ...] = ()
    #: What is wrong with the journal now, for people.
    problem: str = ""
    #: Of one execution: it was asked for, though perhaps nothing was said of it yet.
    known: bool = False
    #: Of one execution: the kernel that was asked for it is gone.
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelNow:
    """What a kernel does, by what it said last."""

    #: starting, busy or idle.
    execution_state: str
    #: Seconds since the epoch; 0: never used.
    last_activity: float
    #: Ids of the requests that it executes.
    executing: tuple[str, ...] = ()
    #: The content of its last kernel_info_reply.
    kernel_info: dict[str, Any] | None = None
    #: Whether it greets who begins to listen, as ipykernel does since 7.
    greets: bool = False


class PageFoot:
    """The last line of a page, checked."""

    def __init__(self, line: bytes) -> None:
        said = _read(line)
        lost, gaps = said.get("lost"), said.get("gaps")
        if not isinstance(lost, list) or len(lost) != 2:  # noqa: PLR2004 - messages and bytes
            raise Junk("lost")
        if not isinstance(gaps, list) or len(gaps) > 2 * _MOST_GAPS:
            raise Junk("gaps")
        self.first, self.next = _number(said.get("first")), _number(said.get("next"))
        self.count = _number(said.get("count"))
        self.lost = Lost(_number(lost[0]), _number(lost[1]))
        self.gaps = tuple(map(_gap, gaps))
        self.problem = _words(said.get("problem"))
        self.known, self.gone = said.get("known") is True, said.get("gone") is True

    def page(self, messages: list[Recorded]) -> JournalPage:
        """Put the page together.

        Raises
        ------
        Junk
            when it is not whole.
        """
        if len(messages) != self.count:
            raise Junk("count")
        return JournalPage(
            messages=tuple(messages),
            first=self.first,
            next=self.next,
            lost=self.lost,
            gaps=self.gaps,
            problem=self.problem,
            known=self.known,
            gone=self.gone,
        )


def count_parts(line: bytes) -> int:
    """Count the lists and objects in a line of JSON, or say that they are too many."""
    count = line.count(b"[") + line.count(b"{")
    if count <= _FEW:
        return count
    plain = line.replace(rb"\\", b"").replace(rb"\"", b"")
    if plain.count(b'"') > MOST_PARTS:
        return MOST_PARTS + 1
    rest = b"".join(plain.split(b'"')[::2])  # what is between texts
    return rest.count(b"[") + rest.count(b"{")


def read_recorded(line: bytes, after: int) -> Recorded:
    """Check one message, which must come `after` another.

    Raises
    ------
    Junk
        naming the field.
    """
    said = _read(line)
    seq, message = _number(said.get("seq")), said.get("message")
    if seq <= after:
        raise Junk("seq")
    if not isinstance(message, dict):
        raise Junk("message")
    if not all(isinstance(message.get(part), dict) for part in _PARTS):
        raise Junk("message")
    buffers = message.get("buffers")
    if not isinstance(buffers, list) or not all(isinstance(one, str) for one in buffers):
        raise Junk("buffers")
    cell = said.get("cell")
    return Recorded(
        seq=seq,
        time=_time(said.get("time")),
        parent=_id(said.get("parent")),
        cell=None if cell is None else _id(cell),
        message={**{part: message[part] for part in _PARTS}, "buffers": buffers},
    )


def read_state(told: object) -> KernelNow:
    """Check what an agent says of what its kernel does.

    Raises
    ------
    Junk
        naming the field.
    """
    said = _object(told)
    state, executing = said.get("execution_state"), said.get("executing")
    info = said.get("kernel_info")
    if not isinstance(state, str) or state not in _STATES:
        raise Junk("execution_state")
    if not isinstance(executing, list) or len(executing) > _MOST_EXECUTING:
        raise Junk("executing")
    return KernelNow(
        execution_state=state,
        last_activity=_time(said.get("last_activity")),
        executing=tuple(map(_id, executing)),
        kernel_info=None if info is None else _object(info),
        greets=said.get("greets") is True,
    )


def read_position(told: object) -> int | None:
    """Check the number of a message; None: it is not known."""
    seq = _object(told).get("seq")
    return None if seq is None else _number(seq)


def _read(line: bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(line, parse_constant=_refuse))
    except (ValueError, RecursionError):
        raise Junk("a line of the journal is not JSON") from None


def _gap(told: object) -> Gap:
    if not isinstance(told, list) or len(told) != 4:  # noqa: PLR2004 - the fields of a gap
        raise Junk("gaps")
    return Gap(_number(told[0]), _time(told[1]), _time(told[2]), _words(told[3]))


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Junk("object")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MOST_NUMBER:
        raise Junk("number")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Junk("time")
    if not 0 <= value < _MOST_TIME:  # which NaN is not, either
        raise Junk("time")
    return float(value)


def _id(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST_ID or not is_text(value):
        raise Junk("id")
    return value


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise Junk("words")
    return clean(value, _MOST_WORDS)


def _refuse(_: str) -> None:
    raise ValueError


def as_args(known: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is not known."""
    return {name: value for name, value in known.items() if value is not None}
