"""The journal: what a kernel said, within bounds, and what of it need not be kept."""

from __future__ import annotations

import json
import time
from collections import OrderedDict

from .changes import LIFECYCLE, OTHER, OUTPUT, STREAM, Changes, make_room, tidy
from .lines import Line
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
    "stream": STREAM,
    "display_data": OUTPUT,
    "execute_result": OUTPUT,
    "error": OUTPUT,
    "update_display_data": OUTPUT,
    "clear_output": OUTPUT,
}
#: Outputs that are followed, and requests that are known to be written down.
_MOST_AREAS, _MOST_KNOWN = 64, 256
#: Bytes that wait in memory while there is no room on the disk.
_MOST_WAITING = 4 * 2**20
#: Bytes of one message that is kept.
_LONGEST = 24 * 2**20
#: Seconds between looks for what is too old.
_TIDY = 30.0


class Area:
    """One output: of a cell, or of a widget that captures a cell's output."""

    def __init__(self) -> None:
        #: The stream it ends with; "" when it ends with something else.
        self.stream = ""
        self.line = Line()
        #: The message that clears it when the next output comes.
        self.clear_at = 0

    def end_stream(self, name: str = "") -> None:
        """Note that something else, or another stream, was added to it."""
        self.stream, self.line = name, Line()


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
        self._max_age = max_age
        self._areas: OrderedDict[tuple[str, str], Area] = OrderedDict()
        #: Which widget captures what a request says.
        self._captured: dict[str, str] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._tidied = time.monotonic()
        self._told_salvage: int | None = None
        rows = shelf.read("SELECT MAX(seq) FROM seen UNION ALL SELECT MAX(seq) FROM message")
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
        widget = self._captured.get(parent, "") if kind in (STREAM, OUTPUT) else ""
        mark, content = "", message.content
        if kind == STREAM:
            content = self._write_line(seq, message, self._area(parent, widget))
        elif kind == OUTPUT:
            mark = self._show(seq, message, self._area(parent, widget), widget)
        elif message.type == "comm_msg":
            mark = self._update(message)
        elif message.type == "status":
            mark = "status " + parent
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
        self._areas.clear()
        self._captured.clear()

    def commit(self) -> bool:
        """Write what is new to the disk; False when there is no room, and it waits."""
        if not self.fresh:
            return True
        try:
            if not self._try(self._write) and not (
                self._try(lambda base: make_room(base, 0.0, 0.6)) and self._try(self._write)
            ):
                self.problem = "There is no room on the disk: the newest output is in memory."
                self.fresh.shrink(_MOST_WAITING)
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

    def _area(self, parent: str, widget: str) -> Area:
        key = parent, widget
        if key not in self._areas:
            self._areas[key] = Area()
            if len(self._areas) > _MOST_AREAS:
                self._areas.popitem(last=False)
        self._areas.move_to_end(key)
        return self._areas[key]

    def _show(self, seq: int, message: Message, area: Area, widget: str) -> str:
        """Do to an output what a message does; returns the message's mark."""
        if message.type == "update_display_data":
            shown = message.said.get("transient")
            display = shown.get("display_id") if isinstance(shown, dict) else None
            return "display %.256s" % display if display else ""
        if message.type == "clear_output" and message.said.get("wait"):
            if area.clear_at:
                self.fresh.drop(area.clear_at)
            area.clear_at = seq
        elif message.type == "clear_output":
            self._clear(seq, message.parent, area, widget)
        else:
            self._clear(area.clear_at, message.parent, area, widget)
        return ""

    def _clear(self, seq: int, parent: str, area: Area, widget: str) -> None:
        """Drop what an output had before message `seq`; 0 drops nothing."""
        area.end_stream()
        area.clear_at = 0
        if seq:
            self.fresh.clear_output(parent, widget, seq)

    def _write_line(self, seq: int, message: Message, area: Area) -> str:
        """Write text to an output; returns the content to keep."""
        name, text = message.said.get("name"), message.said.get("text")
        if not isinstance(text, str) or not isinstance(name, str):
            return message.content
        if area.clear_at:
            self._clear(area.clear_at, message.parent, area, self._widget(message))
        if area.stream != name:
            area.end_stream(name)
        kept, replaced = area.line.write(seq, text)
        for number, left in replaced:
            if left:
                self.fresh.rewrite(number, json.dumps({"name": name, "text": left}))
            else:
                self.fresh.drop(number)
        return message.content if kept == text else json.dumps({"name": name, "text": kept})

    def _widget(self, message: Message) -> str:
        return self._captured.get(message.parent, "")

    def _update(self, message: Message) -> str:
        """Mark a widget's new state, which supersedes the same that it had; "" for all else."""
        data = message.said.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        comm = "%.256s" % message.said.get("comm_id")
        if not isinstance(state, dict) or message.buffers or "outputs" in state:
            return ""
        if "msg_id" not in state:
            return ("comm %s %s" % (comm, " ".join(sorted(state))))[:1000]
        # from here on the widget captures what this request says, or no more
        kept = {request: one for request, one in self._captured.items() if one != comm}
        request = state["msg_id"]
        if isinstance(request, str) and request and len(kept) < _MOST_AREAS:
            kept[request] = comm
        self._captured = kept
        return ""
