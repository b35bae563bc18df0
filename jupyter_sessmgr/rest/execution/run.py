"""One piece of code on its way through a kernel, as far as its client knows."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jupyter_sessmgr.rest.execution.console import Budget, Console, Item, items_of, shown

#: Characters of output in one answer.
ANSWER = 2**19
#: Seconds that a kernel's last output may come after its reply, or its reply after that.
LAST_WORDS = 5.0
#: Seconds after which a kernel that is busy with a run is taken to be in its code.
BEGUN = 1.0
#: Seconds that what a kernel sent before its death may still be on its way.
LAST_MESSAGES = 0.25
#: The exit code of a run whose kernel went away; as upstream.
GONE = 130


class RunStatus(StrEnum):
    """How a run stands; as the API spells it."""

    CONTINUED = "continued"
    WAITING_INPUT = "waiting-input"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a client is told of a run, once."""

    run_id: str
    status: RunStatus
    #: None until it has finished. An exception in the code is no failure of the run.
    exit_code: int | None
    console: tuple[Item, ...]
    #: Whether the input that it waits for should not be seen.
    is_password: bool


class Run:
    """One run: hears what its kernel says, and keeps it until a client asks.

    Parameters
    ----------
    run_id : str
        How its client calls it.
    code : str
        What is run; the same code under the same id is the same run.
    budget : Budget
        Bounds the unread output of all runs.
    """

    def __init__(self, run_id: str, code: str, budget: Budget) -> None:
        self.id = run_id
        #: What is still to be sent to the kernel.
        self.code = code
        self.fingerprint = fingerprint(code)
        #: Whether the kernel is in its code (or was). ipykernel says that it is busy before it is
        #: ready to be interrupted.
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self._looked_at = time.monotonic()
        self._console = Console(budget)
        self._exit_code: int | None = None
        self._password: bool | None = None
        #: Whether a client knows that it waits for input.
        self._asked = False
        self._reply: Mapping[str, Any] | None = None
        self._idle = False
        self._dying = False
        self._last_words: asyncio.TimerHandle | None = None
        #: Set while there is anything that was not told yet.
        self.news = asyncio.Event()
        #: Set while a client should not be kept waiting.
        self._due = asyncio.Event()

    @property
    def waits_for_input(self) -> bool:
        """Whether its code waits for a line of input."""
        return self._password is not None

    @property
    def unasked(self) -> float:
        """Seconds since its client last asked for it."""
        return time.monotonic() - self._looked_at

    def hear(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a message that the kernel sent about this run."""
        if self.ended.is_set():
            return
        match kind:
            case "status":
                state = content.get("execution_state")
                self._idle = self._idle or state == "idle"
                if state == "busy":
                    _later(BEGUN, self.started.set)
            case "execute_input":
                self.started.set()
            case "execute_reply":
                self._hear_reply(content)
            case "input_request":
                self._console.add(*items_of("stream", {"text": content.get("prompt")}))
                self._password, self._asked = bool(content.get("password")), False
            case _:
                self._console.add(*items_of(kind, content))
        if self._idle and self._reply is not None:
            self._finish()
        elif self._last_words is None and (self._idle or self._reply is not None):
            self._last_words = _later(LAST_WORDS, self._finish)
        self._tell()

    def answered(self) -> None:
        """Note that the input it waited for was sent."""
        self._password = None
        self._tell()

    def end(self, exit_code: int, words: str = "") -> None:
        """Finish it, and say why when that is no news of its kernel. Harmless when it is."""
        if not self._dying:
            self._end(exit_code, words)

    def die(self, exit_code: int, words: str) -> None:
        """Finish it as soon as the last that its dead kernel said has come."""
        self._dying = True
        _later(LAST_MESSAGES, self._end, exit_code, words)

    def _end(self, exit_code: int, words: str) -> None:
        if self.ended.is_set():
            return
        self._console.add(*items_of("stream", {"name": "stderr", "text": words and f"{words}\n"}))
        self._exit_code, self._password = exit_code, None
        if self._last_words is not None:
            self._last_words.cancel()
        self.started.set()
        self.ended.set()
        self._tell()

    async def wait(self, timeout: float) -> None:
        """Wait until it ends, wants input or has written much, at most `timeout` seconds."""
        self._looked_at = time.monotonic()
        await within(self._due, timeout)

    def take(self) -> Progress:
        """Hand over what nobody has read yet; never twice."""
        self._looked_at = time.monotonic()
        console = tuple(self._console.take(ANSWER))
        status = self._status()
        self._asked = status is RunStatus.WAITING_INPUT
        self._tell()
        return Progress(
            run_id=self.id,
            status=status,
            exit_code=self._exit_code if status is RunStatus.FINISHED else None,
            console=console,
            is_password=bool(self._password),
        )

    def forget(self) -> None:
        """Drop what nobody will read any more."""
        self._console.clear()

    def _status(self) -> RunStatus:
        if self._console.size:
            return RunStatus.CONTINUED
        if self.ended.is_set():
            return RunStatus.FINISHED
        return RunStatus.WAITING_INPUT if self.waits_for_input else RunStatus.CONTINUED

    def _hear_reply(self, content: Mapping[str, Any]) -> None:
        self._reply = content
        for page in _pages(content):
            self._console.add(*shown(page))

    def _finish(self) -> None:
        if self._reply is None:
            self.end(GONE, "The kernel gave this run up; it was interrupted as it began, or ended.")
            return
        status = self._reply.get("status")
        if status in {"aborted", "abort"}:
            self.end(GONE, "The kernel dropped this run: one before it was interrupted or failed.")
        else:
            self.end(0)

    def _tell(self) -> None:
        ended, waits = self.ended.is_set(), self.waits_for_input
        _set(self.news, ended or (waits and not self._asked) or self._console.size > 0)
        _set(self._due, ended or waits or self._console.size >= ANSWER)


def _pages(reply: Mapping[str, Any]) -> list[object]:
    """List what a kernel wants shown in a pager: the help of ``print?``."""
    payload = reply.get("payload")
    if not isinstance(payload, list):
        return []
    return [one.get("data") for one in payload if isinstance(one, Mapping)]


def fingerprint(code: str) -> bytes:
    """Tell code from other code, without keeping it."""
    return hashlib.sha256(code.encode()).digest()


async def within(event: asyncio.Event, timeout: float) -> bool:
    """Wait at most `timeout` seconds for an event, and say whether it came."""
    try:
        async with asyncio.timeout(timeout):
            return await event.wait()
    except TimeoutError:
        return False


def _later(seconds: float, do: Callable[..., object], *args: object) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, do, *args)


def _set(event: asyncio.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()
