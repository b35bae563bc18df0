"""What messages do to outputs, so that what is replaced or cleared need not be kept."""

from __future__ import annotations

import json
from collections import OrderedDict

from .lines import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .changes import Changes
    from .heard import Message

#: Outputs that are followed, and requests whose output is captured.
_MOST = 64


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


class Outputs:
    """Follows the outputs of a kernel's requests."""

    def __init__(self) -> None:
        self._areas: OrderedDict[tuple[str, str], Area] = OrderedDict()
        #: Which widget captures what a request says.
        self._captured: dict[str, str] = {}

    def show(self, seq: int, message: Message, changes: Changes) -> tuple[str, str, str]:
        """Do to an output what a message does.

        Returns the widget whose output it is, the message's mark, and the content to keep.
        """
        parent, kind, content = message.parent, message.type, message.content
        widget = self._captured.get(parent, "")
        if kind == "update_display_data":
            return widget, _display(message), content
        area = self._area(parent, widget)
        if kind == "clear_output" and message.said.get("wait"):
            if area.clear_at:
                changes.drop(area.clear_at)
            area.clear_at = seq
            return widget, "", content
        cleared_at = seq if kind == "clear_output" else area.clear_at
        if cleared_at:
            changes.clear_output(parent, widget, cleared_at)
            area.clear_at = 0
            area.end_stream()
        if kind == "stream":
            content = _write(seq, message, area, changes)
        else:
            area.end_stream()
        return widget, "", content

    def update(self, message: Message) -> str:
        """Mark a widget's new state, which supersedes the same that it had; "" for all else."""
        data = message.said.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        comm = "%.256s" % message.said.get("comm_id")
        if isinstance(data, dict) and data.get("method") == "update_states":
            return "states"  # of all widgets, for a page that asked
        if not isinstance(state, dict) or message.buffers:
            return ""
        if "msg_id" not in state:
            return ("comm %s %s" % (comm, " ".join(sorted(state))))[:1000]
        # from here on the widget captures what this request says, or no more
        kept = {request: one for request, one in self._captured.items() if one != comm}
        request = state["msg_id"]
        if isinstance(request, str) and request and len(kept) < _MOST:
            kept[request] = comm
        self._captured = kept
        return ""

    def _area(self, parent: str, widget: str) -> Area:
        key = parent, widget
        if key not in self._areas:
            self._areas[key] = Area()
            if len(self._areas) > _MOST:
                self._areas.popitem(last=False)
        self._areas.move_to_end(key)
        return self._areas[key]


def _display(message: Message) -> str:
    """Mark the new content of a display, which supersedes the one before."""
    shown = message.said.get("transient")
    number = shown.get("display_id") if isinstance(shown, dict) else None
    return "display %.256s" % number if number else ""


def _write(seq: int, message: Message, area: Area, changes: Changes) -> str:
    """Write text to an output; returns the content to keep."""
    name, text = message.said.get("name"), message.said.get("text")
    if not isinstance(text, str) or not isinstance(name, str):
        return message.content
    if area.stream != name:
        area.end_stream(name)
    kept, replaced = area.line.write(seq, text)
    for number, left in replaced:
        if left:
            changes.rewrite(number, json.dumps({"name": name, "text": left}))
        else:
            changes.drop(number)
    return message.content if kept == text else json.dumps({"name": name, "text": kept})
