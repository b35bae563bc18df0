"""Widgets in a browser that is brought what it missed of them. Pure.

What a widget shows is kept by the kernel and by browsers. Each time it connects, ipywidgets asks
the kernel what all widgets are like now, and believes it; but of what a browser shows in a widget
the kernel knows no more than that browser told it. So who is brought each change is not told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jupyter_sessmgr.manager.recording.journal import Recorded
from jupyter_sessmgr.provisioning.channels.catchup import kind_of

#: How an output refers to a widget.
_VIEW = "application/vnd.jupyter.widget-view+json"
_OPEN, _TALK = "comm_open", "comm_msg"
_COMMS = frozenset({_OPEN, _TALK, "comm_close"})
_STATES = "update_states"
#: Parts of a message up to its header, and up to its content, behind a topic.
_HEAD, _CONTENT = 4, 7
#: Widgets that are remembered to have been brought.
_MOST = 10_000
_GONE = "The widget that was here is gone with its kernel. Run the cell again."


class Widgets:
    """The widgets of one browser.

    Parameters
    ----------
    returns : bool
        It has them all, and is brought what became of them.
    """

    def __init__(self, *, returns: bool) -> None:
        self._returns = returns
        self._brought: set[str] = set()

    def left_of(self, recorded: Recorded) -> Recorded:
        """Return what a browser is to get of a message that it is brought."""
        kind, content = kind_of(recorded), recorded.message["content"]
        if kind == _OPEN and len(self._brought) < _MOST:
            self._brought.add(str(content.get("comm_id")))
        if kind != _TALK or not tells_states(content):
            return recorded
        return replace(recorded, message={**recorded.message, "content": self.without(content)})

    def without(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out, of what a kernel tells of all widgets, those that the browser is brought."""
        data = content["data"]
        left = {
            one: state
            for one, state in data["states"].items()
            if not self._returns and one not in self._brought
        }
        return {**content, "data": {**data, "states": left}}


def may_tell_states(parts: list[Any]) -> bool:
    """Tell, quickly, whether a live message may tell of all widgets."""
    header, whole = parts[:_HEAD], parts[:_CONTENT]  # not its buffers, which can be large
    return any(b'"comm_msg"' in one for one in header) and any(
        b"update_states" in one for one in whole
    )


def tells_states(content: Mapping[str, Any]) -> bool:
    """Tell whether a message of a comm tells of all widgets."""
    data = content.get("data")
    if not isinstance(data, dict) or data.get("method") != _STATES:
        return False
    return isinstance(data.get("states"), dict)


def without_widgets(recorded: Recorded) -> Recorded | None:
    """Say in words where a widget of a kernel was that is gone; None for what only it heard."""
    if kind_of(recorded) in _COMMS:
        return None
    content = recorded.message["content"]
    data = content.get("data")
    if not isinstance(data, dict) or _VIEW not in data:
        return recorded
    words: dict[str, Any] = {**content, "data": {"text/plain": _GONE}}
    return replace(recorded, message={**recorded.message, "content": words})
