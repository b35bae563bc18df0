"""What a run wrote: as its client reads it, and no more than the server can keep. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from jupyter_sessmgr.model.naming import is_text

#: What a thing that a run wrote can be; clients know ``log`` too, and no kernel says it.
Kind = Literal["stdout", "stderr", "media", "html", "log"]
#: One thing that a run wrote: what it is, and the thing.
Item = tuple[Kind, Any]

#: Characters that are kept of a run's output until somebody reads it.
RUN_LIMIT = 2**22
#: The same of all runs together.
TOTAL_LIMIT = 2**26
#: What an item costs besides its characters.
_OVERHEAD = 128

#: These are text that comes in pieces.
_STREAMS = frozenset({"stdout", "stderr"})
#: The best ways to show something first. Jupyter sends these in base64 …
_BASE64 = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
#: … and these as they are.
_MEDIA = ("image/svg+xml", "text/markdown", "text/latex")


def items_of(kind: str, content: Mapping[str, Any]) -> list[Item]:
    """Turn a message of a kernel's iopub channel into console items.

    A kernel is data from outside: whatever is not shaped as Jupyter says is left out.
    """
    match kind:
        case "stream":
            name = content.get("name")
            return _texts("stderr" if name == "stderr" else "stdout", content.get("text"))
        case "error":
            return _texts("stderr", _traceback(content))
        case "display_data" | "execute_result" | "update_display_data":
            return shown(content.get("data"))
    return []


def shown(bundle: object) -> list[Item]:
    """Choose how to show what a kernel offers in several formats."""
    if not isinstance(bundle, Mapping):
        return []
    texts = {mime: data for mime, data in bundle.items() if isinstance(data, str)}
    for mime in _BASE64:
        if mime in texts:
            data = "".join(texts[mime].split())
            return [("media", [mime, f"data:{mime};base64,{_clean(data)}"])]
    if "text/html" in texts:
        return _texts("html", texts["text/html"])
    for mime in _MEDIA:
        if mime in texts:
            return [("media", [mime, _clean(texts[mime])])]
    plain = texts.get("text/plain")
    return _texts("stdout", f"{plain}\n" if plain else None)


def _traceback(content: Mapping[str, Any]) -> str:
    lines = content.get("traceback")
    if isinstance(lines, list) and lines:
        return "\n".join(line for line in lines if isinstance(line, str)) + "\n"
    return f"{content.get('ename', 'Error')}: {content.get('evalue', '')}\n"


def _texts(kind: Kind, text: object) -> list[Item]:
    return [(kind, _clean(text))] if isinstance(text, str) and text else []


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which no client could read."""
    return text if is_text(text) else text.encode("utf-8", "replace").decode()


class Budget:
    """What all runs together have waiting to be read."""

    def __init__(self, limit: int = TOTAL_LIMIT) -> None:
        self._limit = limit
        self.used = 0

    @property
    def is_over(self) -> bool:
        """Whether whoever writes now has to drop something."""
        return self.used > self._limit


class Console:
    """What one run wrote and nobody has read yet. Over a bound the oldest is dropped, and counted.

    Parameters
    ----------
    budget : Budget
        Shared with the other runs.
    limit : int
        Characters of this run.
    """

    def __init__(self, budget: Budget, limit: int = RUN_LIMIT) -> None:
        self._budget = budget
        self._limit = limit
        self._items: deque[Item] = deque()
        self._dropped = 0
        self.size = 0

    def add(self, *items: Item) -> None:
        """Keep what was written."""
        for item in items:
            self._add(item)

    def take(self, most: int) -> list[Item]:
        """Hand over at least one item, and about `most` characters; neighbouring text in one."""
        taken: list[tuple[Kind, list[Any]]] = []
        if self._dropped:
            words = f"[{self._dropped} characters were dropped: nobody read them in time]\n"
            taken.append(("stderr", [words]))
            self._dropped = 0
        while self._items and most > 0:
            kind, value = self._pop()
            if kind in _STREAMS and len(value) > most:
                rest: Item = (kind, value[most:])
                self._items.appendleft(rest)
                self._count(_cost(rest))
                value = value[:most]
            most -= _length((kind, value))
            if kind in _STREAMS and taken and taken[-1][0] == kind:
                taken[-1][1].append(value)
            else:
                taken.append((kind, [value]))
        return [
            (kind, "".join(values)) if kind in _STREAMS else (kind, values[0])
            for kind, values in taken
        ]

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._count(-self.size)

    def _add(self, item: Item) -> None:
        kind, value = item
        if kind in _STREAMS and len(value) > self._limit:
            self._dropped += len(value) - self._limit
            item = (kind, value[-self._limit :])
        self._items.append(item)
        self._count(_cost(item))
        while self._items and (self.size > self._limit + _OVERHEAD or self._budget.is_over):
            self._dropped += _length(self._pop())

    def _pop(self) -> Item:
        item = self._items.popleft()
        self._count(-_cost(item))
        return item

    def _count(self, change: int) -> None:
        self.size += change
        self._budget.used += change


def _length(item: Item) -> int:
    kind, value = item
    return sum(map(len, value)) if kind == "media" else len(value)


def _cost(item: Item) -> int:
    return _length(item) + _OVERHEAD
