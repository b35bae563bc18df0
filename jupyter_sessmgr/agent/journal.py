"""The journal: what a kernel said, within bounds, and what of it need not be kept."""

from __future__ import annotations

import json
import time
from collections import OrderedDict

from .changes import LIFECYCLE, OTHER, OUTPUT, STREAM, Changes, make_room, tidy
from .outputs import Outputs
from .shelf import Full, later_than_ever

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    from .heard import Message
    from .shelf import Shelf

_KINDS = {
    "status": LIFECYCLE,
    "execute_reply": LIFECYCLE,
    "sessmgr_question": LIFECYCLE,
    "stream": STREAM,
    "display_data": OUTPUT,
    "execute_result": OUTPUT,
    "error": OUTPUT,
    "update_display_data": OUTPUT,
    "clear_output": OUTPUT,
}
#: Of these the last one of each request is kept.
_LATEST = ("status", "sessmgr_question")
#: Requests that are known to be written down.
_MOST_KNOWN = 256
#: Bytes that wait in memory while there is no room on the disk.
_MOST_WAITING = 4 * 2**20
#: Bytes of one message that is kept.
_LONGEST = 24 * 2**20
#: The number of the last message, whatever else code in the session wrote into the file.
_HIGHEST = 2**53
_LAST = (
    "SELECT MAX(seq) FROM seen WHERE seq < ? UNION ALL SELECT MAX(seq) FROM message WHERE seq < ?"
)
#: Seconds between looks for what is too old.
_TIDY = 30.0


class Journal:
    """Keeps messages.

    Parameters
    ----------
    shelf : Shelf
        Where they are kept.
    most_bytes : int
        A message that takes more than a part of this is not kept.
    max_age : float
        For how long they are kept, in seconds; 0 means for ever.
    """

    def __init__(self, shelf: Shelf, most_bytes: int, max_age: float) -> None:
        #: What is not on the disk yet.
        self.fresh = Changes()
        #: What is wrong, for people.
        self.problem = ""
        self.shelf = shelf
        self._longest = min(most_bytes // 4, _LONGEST)
        self._most_waiting = min(most_bytes // 4, _MOST_WAITING)
        self._max_age = max_age
        self._outputs = Outputs()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._tidied = time.monotonic()
        self._told_salvage: int | None = None
        rows = shelf.read(_LAST, _HIGHEST, _HIGHEST)
        #: The number of the last message.
        self.last: int = max((row[0] or 0 for row in rows), default=0)
        self._notice_damage()

    def add(self, message: Message, at: float) -> None:
        """Keep a message, and drop what it makes superfluous."""
        self.skip(message)
        seq, parent = self.last, message.parent
        if parent and parent not in self._known:
            self._know(message)
        if message.size > self._longest:
            self.lose(parent, message.size)
            return
        kind = _KINDS.get(message.type, OTHER)
        widget, mark, content = "", "", message.content
        if kind in (STREAM, OUTPUT):
            widget, mark, content = self._outputs.show(seq, message, self.fresh)
        elif message.type == "comm_msg":
            mark = self._outputs.update(message)
        elif message.type in _LATEST:
            mark = "%s %s" % (message.type, parent)
        buffers = json.dumps(message.buffers) if message.buffers else "[]"
        texts = (message.header, message.metadata, content, buffers)
        self.fresh.add([seq, kind, parent, widget, mark, at, message.size, *texts])

    def skip(self, message: Message) -> None:
        """Count a message that need not be kept: a reader may tell its position by it."""
        self.last += 1
        self.fresh.seen.append((self.last, message.id))

    def lose(self, parent: str, size: int) -> None:
        """Count a message that is not kept: the last one, or one that is none."""
        self.fresh.losses.append((self.last, parent, 1, size))

    def note(self, request: str, cell: str | None, path: str | None) -> None:
        """Note which cell a request is of."""
        self.fresh.notes[request] = (cell, path)

    def note_gap(self, since: float, until: float, reason: str) -> None:
        """Note that nobody listened for a while."""
        self.fresh.gaps.append((self.last, since, until, reason))

    def forget_outputs(self) -> None:
        """Note that the kernel ended: nothing is added to its outputs."""
        self._outputs = Outputs()

    def commit(self) -> bool:
        """Write what is new to the disk; False when there is no room, and it waits."""
        if not self.fresh:
            return True
        try:
            if not self._try(self._write) and not (
                self._try(lambda base: make_room(base, 0.0, 0.6)) and self._try(self._write)
            ):
                self.problem = "There is no room on the disk: the newest output is in memory."
                self.fresh.shrink(self._most_waiting)
                return False
        finally:
            self._notice_damage()
        self.problem = ""
        self.fresh = Changes()
        return True

    def _try(self, work: Any) -> bool:
        try:
            self.shelf.write(work)
        except Full:
            return False
        return True

    def _write(self, base: sqlite3.Connection) -> None:
        self.fresh.write(base)
        if time.monotonic() > self._tidied + _TIDY:
            self._tidied = time.monotonic()
            tidy(base, self._max_age)

    def _notice_damage(self) -> None:
        """Tell when the file was found damaged; numbers are never used twice."""
        salvaged = self.shelf.salvaged
        if salvaged != self._told_salvage:
            self._told_salvage = salvaged
            words = "The journal's file was damaged; %s messages of it could be read." % salvaged
            self.note_gap(time.time(), time.time(), words)
            self.last = max(self.last, later_than_ever())

    def _know(self, message: Message) -> None:
        """Keep the header of a message's request, once."""
        self.fresh.requests[message.parent] = message.parent_header
        self._known[message.parent] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
