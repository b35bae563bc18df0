"""What a kernel does, from what it says: what runs, and how each execution ended."""

from __future__ import annotations

import json
import time
from collections import OrderedDict

from . import heard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .heard import Message
    from .journal import Journal

#: Executions that may be under way at once; a kernel that says more is not believed.
_MOST = 256
#: What is no use of a session: whoever connects asks for it.
_NO_USE = ("kernel_info_request", "")
_EXECUTE = "execute_request"
#: What tells of a question, which is asked elsewhere; its prompt is no longer than this.
_QUESTION, _MOST_PROMPT = "sessmgr_question", 1000
#: What is no output: how kernels greet, and what is read as ours, since kernels reply elsewhere.
_GREETING = "iopub_welcome"
_NO_OUTPUT = (_GREETING, "execute_reply")
_EVER = float("inf")
#: Facts that are read of a journal, the characters of each, and the latest time that is believed.
_MOST_FACTS, _LONGEST_FACT, _LATEST = 16, 2**20, 2.0**35
_FACTS = "SELECT name, value FROM fact WHERE typeof(value) = 'text' AND length(value) <= ? LIMIT ?"


class Execution:
    """One that is under way."""

    def __init__(self, header: str, since: float, count: int | None = None) -> None:
        self.header = header
        #: When it began, in seconds since the epoch.
        self.since = since
        self.count = count
        #: What it asks a person to type: prompt, and whether that is a password; None: nothing.
        self.asks: dict[str, Any] | None = None
        #: Its code was echoed, so it was not skipped, as those are that follow one that failed.
        self.began = count is not None
        self.error: dict[str, Any] | None = None
        #: An earlier recorder heard it begin, so its end may have been missed.
        self.is_old = False

    def outcome(self) -> dict[str, Any]:
        """Say how it ended, as its reply does."""
        if self.error is not None:
            names = ("ename", "evalue", "traceback")
            told = {name: self.error.get(name, "") for name in names}
            return dict(told, status="error", execution_count=self.count)
        return {
            "status": "ok" if self.began else "aborted",
            "execution_count": self.count,
            "payload": [],
            "user_expressions": {},
        }


class Following:
    """Follows one kernel after the other, and has the journal keep what they say.

    Parameters
    ----------
    journal : Journal
        Keeps it.
    session : str
        What the recorder calls itself when it asks.
    """

    def __init__(self, journal: Journal, session: str) -> None:
        self._journal = journal
        #: What the recorder calls itself when it asks.
        self.session = session
        self._facts = _read_facts(journal)
        self._running: OrderedDict[str, Execution] = OrderedDict()
        #: Questions of executions that were not heard to begin yet: servers may hear of them first.
        self._early: dict[str, dict[str, Any]] = {}
        #: What keeps it busy.
        self._busy: set[str] = set()
        #: What the kernel calls itself, and whether it tells of its questions.
        self._name, self._tells = "", False
        self._begun = self._greets = False
        self._activity = _number(self._facts.get("activity"), _LATEST)
        #: The number of the last request that was made before the kernel ended; while there is no
        #: other, that is over which still comes.
        self.over = _number(self._facts.get("over"), _EVER)
        executing = self._facts.get("executing")
        for told in executing[:_MOST] if isinstance(executing, list) else ():
            found = _read_execution(told)
            if found is not None:
                self._running[found[0]] = found[1]

    @property
    def executing(self) -> list[str]:
        """What it executes."""
        return list(self._running)

    def find(self, request: str) -> Execution | None:
        """Return what is executed for a request; None when that has not begun, or has ended."""
        return self._running.get(request)

    def asks(self, request: str, question: dict[str, Any] | None) -> None:
        """Note what an execution asks a person to type, or that it was answered."""
        one = self._running.get(request)
        if self._tells:
            return  # who hears of it later knows no better
        if one is not None:
            one.asks = question
            self._keep_executing()
        elif question is None:
            self._early.pop(request, None)
        elif len(self._early) < _MOST:
            self._early[request] = question

    def describe(self) -> dict[str, Any]:
        """Return what is known of the kernel."""
        busy = bool(self._busy or self._running)
        info = self._facts.get("kernel_info")
        return {
            "execution_state": ("busy" if busy else "idle") if self._begun else "starting",
            "last_activity": self._activity,
            "executing": self.executing,
            "kernel_info": info if isinstance(info, dict) else None,
            "greets": self._greets,
            "last": self._journal.last,
            "problem": self._journal.problem,
        }

    def begin(self) -> None:
        """Note that another kernel starts."""
        self._begun = self._tells = self._greets = False
        if self.over == _EVER:
            self._journal.commit()
            found = self._journal.shelf.read("SELECT MAX(number) FROM request")
            self.over = next((row[0] for row in found), None) or 0  # a damaged file has no row
            self._keep("over", self.over)

    def end(self, reason: str) -> None:
        """Note that the kernel ended; so did what it executed."""
        for one in self._running.values():
            one.error = {"ename": "KernelDied", "evalue": reason[:2000], "traceback": []}
            self._journal.add(self._make(one, "status", "idle"), time.time())
        for number in list(self._running):
            self._finish(number, time.time())
        self._busy.clear()
        self._begun = False
        self._journal.forget_outputs()
        self.over = _EVER
        self._keep("over", self.over)

    def answered(self, message: Message) -> None:
        """Note what the kernel told of itself."""
        if message.type == "kernel_info_reply":
            self._keep("kernel_info", message.said)

    def hear(self, message: Message, at: float) -> None:
        """Take a message of the kernel's iopub channel."""
        self._name = message.session
        if message.type == "status":
            self._hear_status(message, at)
            return
        self._greets = self._greets or message.type == _GREETING
        if message.type in _NO_OUTPUT or message.asker == self.session:
            self._journal.skip(message)
            return
        one = self._running.get(message.parent)
        if one is not None and message.type == "execute_input":
            count = message.said.get("execution_count")
            one.began, one.count = True, count if type(count) is int else None
        elif one is not None and message.type == "error":
            one.error = message.said
        elif one is not None and message.type == _QUESTION:
            one.asks, self._tells = _read_question(message.said.get("asks")), True
            self._keep_executing()
        self._activity = at
        self._journal.add(message, at)

    def _hear_status(self, message: Message, at: float) -> None:
        state, parent = message.said.get("execution_state"), message.parent
        own = message.asker == self.session
        if state == "busy" and len(self._busy) < _MOST:
            self._busy.add(parent)
        elif state == "idle":
            self._busy.discard(parent)
            self._begun = True
        if message.parent_type not in _NO_USE and not own:
            self._activity = at
        if own and state == "idle":
            self._finish_old(at)
        if own:
            self._journal.skip(message)
            return
        executes = message.parent_type == _EXECUTE and parent != ""
        if executes and state == "busy" and len(self._running) < _MOST:
            self._begun = True
            self._running[parent] = one = Execution(message.parent_header, at)
            one.asks = self._early.pop(parent, None)
            self._keep_executing()
        self._journal.add(message, at)
        if executes and state == "idle":
            self._finish(parent, at)

    def _finish_old(self, at: float) -> None:
        """End what began before the recorder did, and has ended, since the kernel was idle."""
        for number in [number for number, one in self._running.items() if one.is_old]:
            self._journal.add(self._make(self._running[number], "status", "idle"), at)
            self._finish(number, at)

    def _finish(self, number: str, at: float) -> None:
        """Write an execution's reply, which only its asker was sent."""
        one = self._running.pop(number, None)
        if one is not None:
            if one.asks is not None:
                self._journal.add(self._make(one, _QUESTION, "answered"), at)
            self._journal.add(self._make(one, "execute_reply", "reply"), at)
            self._keep_executing()

    def _make(self, one: Execution, kind: str, number: str) -> Message:
        """Make what a kernel says of an execution, but to others, or would if it still could."""
        contents = {
            "status": {"execution_state": "idle"},
            "execute_reply": one.outcome(),
            _QUESTION: {"asks": None},
        }
        began = {"started": heard.date(one.since)} if kind == "execute_reply" else {}
        parent = json.loads(one.header)
        content = contents[kind]
        return heard.make(kind, parent, content, number, session=self._name, metadata=began)

    def _keep_executing(self) -> None:
        running = [(one.header, one.since, one.count, one.asks) for one in self._running.values()]
        self._keep("executing", running)
        self._keep("activity", self._activity)

    def _keep(self, name: str, value: Any) -> None:
        self._facts[name] = self._journal.fresh.facts[name] = value


def _read_facts(journal: Journal) -> dict[str, Any]:
    """Read what an earlier recorder knew; code in the session can write into its file, too."""
    facts = {}
    for name, value in journal.shelf.read(_FACTS, _LONGEST_FACT, _MOST_FACTS):
        try:
            facts[name] = json.loads(value)
        except (ValueError, RecursionError):
            continue
    return facts


def _read_execution(told: Any) -> tuple[str, Execution] | None:
    """Read what was under way; None when it makes no sense."""
    try:
        header, since, count, asks = told
        request = json.loads(header)["msg_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(request, str) or not 0 < len(request) <= heard.MAX_ID:
        return None
    one = Execution(header, _number(since, _LATEST), count if type(count) is int else None)
    one.is_old, one.began, one.asks = True, True, asks if isinstance(asks, dict) else None
    return request, one


def _number(value: Any, most: float) -> float:
    """Read a number up to `most`; 0 when it is none."""
    return value if type(value) in (int, float) and 0 <= value <= most else 0


def _read_question(asks: Any) -> dict[str, Any] | None:
    """Read what a person is asked to type; None: nothing."""
    if not isinstance(asks, dict) or not isinstance(asks.get("prompt"), str):
        return None
    return {"prompt": asks["prompt"][:_MOST_PROMPT], "password": asks.get("password") is True}
