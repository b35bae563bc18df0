"""Brings a websocket from the journal's past to the kernel's present: nothing missing or doubled.

Kernel and journal say the same in the same order; the journal a little later, but from the
beginning. So what arrives live is held back while the journal is read, until one message is known
from both sides: all before it was read, all after it comes live.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from jupyter_sessmgr.manager.recording.journal import JournalPage, Recorded
from jupyter_sessmgr.model.errors import SessmgrError

#: Live messages, and bytes of them, that are held back. What falls out is read in the journal.
MOST_HELD, MOST_HELD_BYTES = 2000, 8 * 2**20
#: Messages from the journal that are remembered, to know them again when they arrive live.
MOST_SENT = 5000
#: Seconds that the journal waits for something new.
PATIENCE = 25.0
#: Seconds until the journal is asked again after it had nothing: whoever speaks for it may answer
#: at once each time.
PAUSE = 0.05
#: Seconds after which a message that arrived live is not expected in the journal any more.
GRACE = 5.0
#: Seconds for which messages from the journal are still known when live ones have taken over.
AFTERMATH = 30.0


class Screen(Protocol):
    """Where messages go."""

    async def replay(self, recorded: Recorded) -> None:
        """Send one from the journal; returns when the browser can take the next."""

    def tell_missing(self, words: str, before: Recorded) -> None:
        """Say that there was more, which the journal does not have."""

    async def caught_up(self) -> None:
        """Say that all that the journal had at first was sent. Called once at most."""

    def deliver(self, held: Any) -> None:
        """Send a live one that was held back."""


class CatchUp:
    """One way from the past to the present.

    Parameters
    ----------
    read : callable
        Reads the journal after a position; waits so many seconds for something to be there.
    screen : Screen
        Where messages go.
    wants : callable
        Says by the id of their request which messages this is about; the others are let pass.
    ends_with : str
        Id of the request whose reply is the end; by default only the present is.
    """

    def __init__(
        self,
        read: Callable[[int, float], Awaitable[JournalPage]],
        screen: Screen,
        *,
        wants: Callable[[str], bool] = lambda _parent: True,
        ends_with: str = "",
    ) -> None:
        self._read = read
        self._screen = screen
        self._wants = wants
        self._ends_with = ends_with
        #: Set when live messages pass again.
        self.live = asyncio.Event()
        #: Why the journal could not be read to the end; "" when it could.
        self.trouble = ""
        self._held: dict[str, tuple[str, int, Any]] = {}
        self._bytes = 0
        self._sent: deque[str] = deque(maxlen=MOST_SENT)
        self._known: set[str] = set()
        self._patience: asyncio.Timeout | None = None
        self._until = 0.0
        #: What was told to be missing: up to which page, and after which messages.
        self._told_lost = False
        self._told_gaps: set[int] = set()

    @property
    def is_silent(self) -> bool:
        """Whether nothing was found yet, neither here nor there."""
        return not (self._sent or self._held or self.live.is_set())

    @property
    def is_over(self) -> bool:
        """Whether nothing that arrives can concern this any more."""
        return self.live.is_set() and (not self._known or self._now() > self._until)

    def take(self, message_id: str, parent: str, size: int, message: Any) -> bool:
        """Say whether a live message is not to be sent now: held back, or sent already.

        Never waits. The oldest are let go of when there are too many.
        """
        if not self._wants(parent):
            return False
        if message_id in self._known:
            self.go_live()
            return True
        if self.live.is_set():
            return False
        if not self._held and self._patience is not None:
            self._patience.reschedule(self._now() + GRACE)
        self._held[message_id] = (parent, size, message)
        self._bytes += size
        while len(self._held) > MOST_HELD or self._bytes > MOST_HELD_BYTES:
            self._drop(next(iter(self._held)))
        return True

    def forget(self, parent: str) -> None:
        """Let go of what is held of one request; somebody else reads it in the journal."""
        for message_id in [one for one, held in self._held.items() if held[0] == parent]:
            self._drop(message_id)

    async def run(self, since: int, first: JournalPage | None = None) -> None:
        """Send what came after `since`, beginning with a page that was read already.

        Returns when live messages pass.
        """
        try:
            if first is not None:
                since = await self._pass(first)
            since = await self._read_all(since)
            if not self.live.is_set():
                await self._screen.caught_up()
            while not self.live.is_set():
                page = await self._wait(since)
                if page is None:
                    break
                since = max(since, await self._pass(page))
        except SessmgrError as error:
            self.trouble = error.message
        except Exception:
            self.go_live()  # whatever it is, the present does not wait for the past
            raise
        self.go_live()

    def give_up(self, trouble: str) -> None:
        """Let live messages pass although the journal was not read to the end; says why."""
        self.trouble = trouble
        self.go_live()

    def go_live(self) -> None:
        """Let live messages pass, those that were held back first."""
        if self.live.is_set():
            return
        self.live.set()
        self._until = self._now() + AFTERMATH
        if self._patience is not None:
            self._patience.reschedule(self._now())  # nothing is waited for any more
        held, self._held = self._held, {}
        for _, _, message in held.values():
            self._screen.deliver(message)

    async def _read_all(self, since: int) -> int:
        page = await self._read(since, 0.0)
        if page.next < since:  # a position in a journal that is no more
            since, page = 0, await self._read(0, 0.0)
        while not self.live.is_set() and page.next > since:
            since = await self._pass(page)
            self._told_lost = True  # the first page says it of all that follow
            page = await self._read(since, 0.0)
        self._told_lost = False
        return since

    async def _wait(self, since: int) -> JournalPage | None:
        """Wait for more; None when there is nothing to wait for.

        That is when live messages pass, or one that arrived has not come within `GRACE` seconds.
        """
        try:
            async with asyncio.timeout(GRACE if self._held else None) as self._patience:
                return await self._read(since, PATIENCE)
        except TimeoutError:
            return None
        finally:
            self._patience = None

    async def _pass(self, page: JournalPage) -> int:
        """Send a page, up to what has arrived live; return where to go on."""
        if not page.messages:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self.live.wait()
        missing = self._missing(page)
        for recorded in page.messages:
            if self.live.is_set():
                break
            if not self._wants(recorded.parent):
                continue
            while missing and missing[0][0] < recorded.seq:
                self._screen.tell_missing(missing.pop(0)[1], recorded)
            message_id = id_of(recorded)
            if message_id in self._held:
                self.go_live()
                break
            self._remember(message_id)
            await self._screen.replay(recorded)
            if is_reply(recorded) and recorded.parent == self._ends_with:
                self.go_live()
        return page.next

    def _missing(self, page: JournalPage) -> list[tuple[int, str]]:
        """List what the journal does not have: after which message, and in words."""
        found = []
        if page.lost.messages and not self._told_lost:
            words = "{0.messages} messages of output ({0.bytes} bytes) are no longer kept."
            found.append((0, words.format(page.lost)))
        for gap in page.gaps:
            if gap.seq < page.next and gap.seq not in self._told_gaps:
                self._told_gaps.add(gap.seq)
                found.append((gap.seq, gap.reason))
        return found

    def _remember(self, message_id: str) -> None:
        if len(self._sent) == MOST_SENT:
            self._known.discard(self._sent[0])
        self._sent.append(message_id)
        self._known.add(message_id)

    def _drop(self, message_id: str) -> None:
        self._bytes -= self._held.pop(message_id)[1]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def id_of(recorded: Recorded) -> str:
    """Say a recorded message's own id."""
    header = recorded.message.get("header")
    return str(header.get("msg_id", "")) if isinstance(header, dict) else ""


def kind_of(recorded: Recorded) -> str:
    """Say a recorded message's type."""
    header = recorded.message.get("header")
    return str(header.get("msg_type", "")) if isinstance(header, dict) else ""


def is_reply(recorded: Recorded) -> bool:
    """Tell whether a recorded message is the answer to its request, not something it put out."""
    return kind_of(recorded) == "execute_reply"
