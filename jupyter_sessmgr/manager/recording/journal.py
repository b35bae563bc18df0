"""What kernels said, kept beside them: read by doors, whoever listened at the time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from traitlets import Float
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.agents.stream import BUFFER, AgentStream
from jupyter_sessmgr.manager.agents.wire import ANSWER_TIMEOUT
from jupyter_sessmgr.manager.agents.words import Junk, clean
from jupyter_sessmgr.manager.inside.reach import Inside
from jupyter_sessmgr.manager.recording.executions import (
    MOST_PATH,
    MOST_PROMPT,
    Execution,
    Question,
    read_executions,
)
from jupyter_sessmgr.manager.recording.notes import Notes
from jupyter_sessmgr.manager.recording.sharing import Shared
from jupyter_sessmgr.manager.recording.words import (
    MOST_ID,
    MOST_NUMBER,
    MOST_PARTS,
    Gap,
    JournalPage,
    KernelNow,
    Lost,
    PageFoot,
    Recorded,
    as_args,
    count_parts,
    read_position,
    read_recorded,
    read_state,
)
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable, InvalidRequest
from jupyter_sessmgr.model.naming import is_text
from jupyter_sessmgr.traits import ByteSize

__all__ = [
    "Execution",
    "Gap",
    "JournalPage",
    "KernelNow",
    "Lost",
    "OutputJournal",
    "Question",
    "Recorded",
]

#: Bytes of a page at most, one longer message aside; the same for that message.
MOST_PAGE, MOST_MESSAGE = 16 * 2**20, 32 * 2**20
#: Bytes of an execution that is brought back.
EXECUTION = 8 * 2**20
#: Pages of one session that are read at the same time.
_AT_ONCE = 4
#: Requests of all sessions whose cell is remembered here.
_MOST_CELLS = 1024
#: Seconds that a reader may wait for something new.
MOST_WAIT = 600.0
#: Seconds that a page may take to come, once there is something.
_PAGE_TIMEOUT = 30.0
#: Bytes, and lines, that are read in a row before others have their turn.
_IN_A_ROW, _LINES_IN_A_ROW = 64 * 1024, 100
_JUNK = "The session's agent said something of its journal that makes no sense ({})."
_SLOW = "The session's agent takes too long to read its journal."
Checked = TypeVar("Checked")


class OutputJournal(LoggingConfigurable):
    """Reads the journals of running sessions. Called by the doors.

    A journal is kept inside the session, by a process beside the kernel, from before the first
    execution on and also while no server runs; it ends with the place that the session runs in.
    Sequence numbers begin at 1 and grow; some are never used. Reading deletes nothing.

    Every method raises `NotRunning`, `AgentError` and `AgentUnavailable`, and `Unsupported` where
    nothing is recorded; the message says why.
    """

    max_bytes = ByteSize(
        32 * 2**20,
        config=True,
        help="""Bytes on disk that a session's output journal may take, such as 128m. When it is
        full the oldest text is dropped first, and readers are told how much. Raise it for long
        runs with much output; in containers it counts as the session's memory, so no more than a
        sixteenth of that is used.""",
    )
    max_age = Float(
        0.0,
        min=0.0,
        config=True,
        help="""Seconds after which output is dropped from a session's journal. 0 keeps it as long
        as there is room. Set it where output must not be kept longer than needed.""",
    )

    def __init__(self, inside: Inside, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inside = inside
        self._notes = Notes(inside, self.log)
        self._listings = Shared(self._list_executions)
        #: The cells of requests that were noted last, by session and id: a reader who waits may
        #: hear of a request before its note is where the journal is.
        self._cells: OrderedDict[tuple[str, str], str | None] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def read(
        self,
        session_id: str,
        since: int = 0,
        *,
        most_bytes: int = 2**20,
        wait: float = 0.0,
    ) -> JournalPage:
        """Return what came after `since`, the number of the last message that is known.

        When there is nothing, wait up to `wait` seconds for something. `next` of the page is where
        to go on; it is lower than `since` when there never was such a number.
        """
        wait = min(max(0.0, wait), MOST_WAIT)
        args = {"since": _checked(since), "most": min(most_bytes, MOST_PAGE)}
        await self._notes.settle(session_id)
        return await self._page(session_id, "journal", wait, **args, wait=int(wait * 1000))

    async def execution(self, session_id: str, msg_id: str, *, since: int = 0) -> JournalPage:
        """Return what is kept of one execution, its reply included once it ended.

        Of more than 8 MiB the rest is read from `next` on.
        """
        args = {"since": _checked(since), "most": EXECUTION, "id": _checked_id(msg_id)}
        await self._notes.settle(session_id)
        return await self._page(session_id, "execution", 0.0, **args)

    async def position(self, session_id: str, message_id: str) -> int | None:
        """Return the sequence number of a message by its own id; None when it is not known."""
        link = self._inside.link(session_id)
        told = await link.call("journal_position", ANSWER_TIMEOUT, id=_checked_id(message_id))
        return _believe(read_position, told)

    async def state(self, session_id: str) -> KernelNow:
        """Return what the kernel does, by what it said last; it is not asked."""
        link = self._inside.link(session_id)
        return _believe(read_state, await link.call("journal_state", ANSWER_TIMEOUT))

    async def executions(self, session_id: str) -> tuple[Execution, ...]:
        """Return what the kernel was asked to execute, the newest last; a thousand at most.

        Those who ask at once share an answer, which is long.
        """
        return await self._listings.get(session_id)

    def note(
        self, session_id: str, msg_id: str, *, cell: str | None, path: str | None = None
    ) -> None:
        """Note which cell, of which notebook, a request is of. Returns at once, and never fails.

        Called before the request is passed on to the kernel; and without a cell, once its output
        is wanted in none any more.
        """
        texts = ((msg_id, MOST_ID), (cell or "-", MOST_ID), (path or "-", MOST_PATH))
        if _are_fit(texts):
            self._cells[session_id, msg_id] = cell or None
            if len(self._cells) > _MOST_CELLS:
                self._cells.popitem(last=False)
            words = {"id": msg_id, "cell": cell or None, "path": path or None}
            self._notes.add(session_id, "note", as_args(words))

    def note_question(self, session_id: str, msg_id: str, asks: Question | None) -> None:
        """Note what an execution asks a person to type; None: it was answered. Never fails."""
        words: dict[str, object] = {"id": msg_id}
        if asks is not None:
            words["asks"] = {
                "prompt": clean(asks.prompt, MOST_PROMPT),
                "password": asks.password,
            }
        if _are_fit(((msg_id, MOST_ID),)):
            self._notes.add(session_id, "asks", words)

    async def close(self) -> None:
        """Let go of what is under way."""
        await self._notes.close()
        await self._listings.close()

    async def _list_executions(self, session_id: str) -> tuple[Execution, ...]:
        await self._notes.settle(session_id)
        link = self._inside.link(session_id)
        return _believe(read_executions, await link.call("journal_executions", ANSWER_TIMEOUT))

    async def _page(self, session_id: str, kind: str, timeout: float, **args: Any) -> JournalPage:
        link, since = self._inside.link(session_id), args["since"]
        turns = self._turns.setdefault(session_id, asyncio.Semaphore(_AT_ONCE))
        stream = await link.open_stream(kind, **args)
        try:
            async with asyncio.timeout(timeout + _PAGE_TIMEOUT):
                first = await stream.reader.read(BUFFER)  # there may be nothing for long
                async with turns:
                    limit = args["most"] + MOST_MESSAGE
                    page = await _read_page(stream, first, since, limit)
                return self._with_cells(session_id, page)
        except TimeoutError:
            raise AgentUnavailable(_SLOW) from None
        except Junk as error:
            raise AgentError(_JUNK.format(error)) from None
        finally:
            stream.transport.abort()

    def _with_cells(self, session_id: str, page: JournalPage) -> JournalPage:
        """Name the cells that were noted while the page was on its way."""
        messages = list(page.messages)
        for number, one in enumerate(messages):
            cell = self._cells.get((session_id, one.parent)) if one.cell is None else None
            if cell is not None:
                messages[number] = replace(one, cell=cell)
        return replace(page, messages=tuple(messages))


async def _read_page(stream: AgentStream, data: bytes, since: int, limit: int) -> JournalPage:
    """Read a page line by line, of which `data` came; others have their turn meanwhile."""
    messages: list[Recorded] = []
    pieces: list[bytes] = []
    last, total, parts = b"", 0, 0
    while data:
        total += len(data)
        if total > limit:
            raise Junk("size")
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join([*pieces, lines[0]])
            pieces = []
        pieces.append(rest)
        for line in lines:
            parts += count_parts(line)
            if parts > MOST_PARTS:
                raise Junk("size")
            if last:
                messages.append(read_recorded(last, messages[-1].seq if messages else since))
            last = line
            if len(line) > _IN_A_ROW or len(messages) % _LINES_IN_A_ROW == 0:
                await asyncio.sleep(0)
        data = await stream.reader.read(BUFFER)
    stream.check_whole()
    if any(pieces):
        raise Junk("its end")
    return PageFoot(last).page(messages)


def _believe(read: Callable[[object], Checked], told: object) -> Checked:
    """Check a short answer."""
    try:
        return read(told)
    except Junk as error:
        raise AgentError(_JUNK.format(error)) from None


def _are_fit(texts: Sequence[tuple[str, int]]) -> bool:
    """Tell whether texts are there, and no longer than so many characters."""
    return all(text and len(text) <= most and is_text(text) for text, most in texts)


def _checked(since: int) -> int:
    if type(since) is not int or not 0 <= since <= MOST_NUMBER:
        raise InvalidRequest("since: not a sequence number.", field="since")
    return since


def _checked_id(text: str) -> str:
    if not text or len(text) > MOST_ID or not is_text(text):
        raise InvalidRequest("This is not the id of a message.", field="id")
    return text
