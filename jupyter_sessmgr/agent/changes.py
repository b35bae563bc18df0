"""What of the journal is not on the disk yet, and how it comes there."""

from __future__ import annotations

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Iterable

#: What is kept is dropped in this order, the oldest first: text, then the rest. What tells of
#: executions has a budget of its own.
LIFECYCLE, STREAM, OUTPUT, OTHER = range(4)
#: Bytes of the file for each id that readers may tell their position by: a quarter is theirs.
_BYTES_PER_SEEN = 256
_MOST_LIFECYCLE = 5000
_MOST_REQUESTS = 10_000
_MOST_LOSSES = 1000
#: Messages that are dropped at a time.
_BATCH = 500
#: Of the file's pages, those that may be in use, and those that are left when some were dropped.
_HIGH, _LOW = 0.8, 0.75

_INSERT = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: Which messages are dropped for want of room: the first of these that finds any.
_OLDEST = (
    "SELECT seq, parent, size FROM message WHERE kind = 1 ORDER BY seq LIMIT ?",
    "SELECT seq, parent, size FROM message WHERE kind > 1 ORDER BY seq LIMIT ?",
)
_TOO_OLD = "SELECT seq, parent, size FROM message WHERE time < ? ORDER BY seq LIMIT ?"


class Changes:
    """Waits to be written, all at once."""

    def __init__(self) -> None:
        #: Messages by number, as the table has them.
        self.rows: dict[int, list[Any]] = {}
        #: The number of the row with a mark, of which there is one.
        self.marks: dict[str, int] = {}
        self.seen: list[tuple[int, str]] = []
        #: Requests' headers by id, and which cells they are of.
        self.requests: dict[str, str] = {}
        self.notes: dict[str, tuple[str | None, str | None]] = {}
        self.gaps: list[tuple[int, float, float, str]] = []
        #: What was dropped: number, request, messages, bytes.
        self.losses: list[tuple[int, str, int, int]] = []
        #: Rows that go: conditions and their values.
        self.drops: dict[tuple[str, tuple[Any, ...]], None] = {}
        self.rewrites: dict[int, str] = {}
        self.facts: dict[str, Any] = {}

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return any(vars(self).values())

    def add(self, row: list[Any]) -> None:
        """Keep a message; the one before with the same mark goes."""
        seq, mark = row[0], row[4]
        if mark:
            self.rows.pop(self.marks.get(mark, 0), None)
            self.marks[mark] = seq
            self.drops["mark = ?", (mark,)] = None
        self.rows[seq] = row

    def drop(self, seq: int) -> None:
        """Drop a message that another one replaces."""
        if self.rows.pop(seq, None) is None:
            self.drops["seq = ?", (seq,)] = None

    def clear_output(self, parent: str, area: str, before: int) -> None:
        """Drop what an output has."""
        for seq, row in list(self.rows.items()):
            if seq < before and row[2:4] == [parent, area] and row[1] in (STREAM, OUTPUT):
                del self.rows[seq]
        where = "parent = ? AND area = ? AND kind IN (1, 2) AND seq < ?"
        self.drops[where, (parent, area, before)] = None

    def rewrite(self, seq: int, content: str) -> None:
        """Change what a message says."""
        row = self.rows.get(seq)
        if row is not None:
            row[9] = content
        else:
            self.rewrites[seq] = content

    def shrink(self, most_bytes: int) -> None:
        """Keep the newest within bounds, for as long as they cannot be written."""
        size = sum(row[6] for row in self.rows.values())
        for kinds in ((STREAM,), (LIFECYCLE, OUTPUT, OTHER)):
            for seq in [seq for seq, row in self.rows.items() if row[1] in kinds]:
                if size <= most_bytes:
                    break
                row = self.rows.pop(seq)
                size -= row[6]
                self.losses.append((seq, row[2], 1, row[6]))
        del self.seen[: -most_bytes // _BYTES_PER_SEEN]
        if len(self.losses) > _MOST_LOSSES:
            self.losses = list(_merged(self.losses))
        if len(self.drops) > _MOST_LOSSES:
            self.drops.clear()  # what is shown after them shows the same

    def write(self, base: sqlite3.Connection) -> None:
        """Write all of it; part of a transaction."""
        for where, values in self.drops:
            base.execute("DELETE FROM message WHERE " + where, values)
        base.executemany(
            "UPDATE message SET content = ? WHERE seq = ?",
            ((content, seq) for seq, content in self.rewrites.items()),
        )
        base.executemany(_INSERT, self.rows.values())
        base.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", self.seen)
        base.execute(
            "DELETE FROM seen WHERE seq <= (SELECT MAX(seq) FROM seen) - ?", (_seen(base),)
        )
        base.executemany(
            "INSERT OR IGNORE INTO request (id) VALUES (?)",
            [(one,) for one in {**self.requests, **self.notes}],
        )
        base.executemany(
            "UPDATE request SET header = ? WHERE id = ?",
            ((header, one) for one, header in self.requests.items()),
        )
        base.executemany(
            "UPDATE request SET cell = ?, path = ? WHERE id = ?",
            ((*note, one) for one, note in self.notes.items()),
        )
        base.executemany("INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?)", self.gaps)
        base.executemany("INSERT OR REPLACE INTO loss VALUES (?, ?, ?, ?)", _merged(self.losses))
        base.executemany(
            "INSERT OR REPLACE INTO fact VALUES (?, ?)",
            ((name, json.dumps(value)) for name, value in self.facts.items()),
        )
        make_room(base, _HIGH, _LOW)


def make_room(base: sqlite3.Connection, high: float, low: float) -> None:
    """Drop the oldest when the file is fuller than `high`, until it is no fuller than `low`."""
    if _used(base) <= high:
        return
    while _used(base) > low:
        for query in _OLDEST:
            if _forget(base, base.execute(query, (_BATCH,)).fetchall()):
                break
        else:
            return


def tidy(base: sqlite3.Connection, max_age: float) -> None:
    """Drop what is too old, and what tells of executions long gone."""
    while max_age:
        if not _forget(base, base.execute(_TOO_OLD, (time.time() - max_age, _BATCH)).fetchall()):
            break
    base.execute(
        "DELETE FROM message WHERE kind = 0 AND seq <= "
        "(SELECT seq FROM message WHERE kind = 0 ORDER BY seq DESC LIMIT 1 OFFSET ?)",
        (_MOST_LIFECYCLE,),
    )
    base.execute(
        "DELETE FROM request WHERE number <= (SELECT MAX(number) FROM request) - ? "
        "AND id NOT IN (SELECT parent FROM message)",
        (_MOST_REQUESTS,),
    )
    losses = base.execute("SELECT * FROM loss ORDER BY seq").fetchall()
    if len(losses) > _MOST_LOSSES:
        old = losses[: len(losses) // 2]
        base.execute("DELETE FROM loss WHERE seq <= ?", (old[-1][0],))
        total = (old[-1][0], "", sum(one[2] for one in old), sum(one[3] for one in old))
        base.execute("INSERT INTO loss VALUES (?, ?, ?, ?)", total)


def _seen(base: sqlite3.Connection) -> int:
    """Say how many ids may be kept for those who tell their position by one."""
    (pages,), (size,) = (
        base.execute("PRAGMA " + name).fetchone() for name in ("max_page_count", "page_size")
    )
    return int(pages) * int(size) // _BYTES_PER_SEEN


def _used(base: sqlite3.Connection) -> float:
    """Say how much of the file is in use."""
    (pages,), (free,), (most,) = (
        base.execute("PRAGMA " + name).fetchone()
        for name in ("page_count", "freelist_count", "max_page_count")
    )
    return float(pages - free) / float(most)


def _forget(base: sqlite3.Connection, rows: list[tuple[int, str, int]]) -> bool:
    """Drop messages, and note that they were; returns whether there were any."""
    base.executemany("DELETE FROM message WHERE seq = ?", ((row[0],) for row in rows))
    losses = ((seq, parent, 1, size) for seq, parent, size in rows)
    base.executemany("INSERT OR REPLACE INTO loss VALUES (?, ?, ?, ?)", _merged(losses))
    return bool(rows)


def _merged(losses: Iterable[tuple[int, str, int, int]]) -> Iterable[tuple[int, str, int, int]]:
    """Sum losses up by request; each counts as where its last message was."""
    found: dict[str, tuple[int, str, int, int]] = {}
    for seq, parent, messages, size in losses:
        last, _, before, bytes_before = found.get(parent, (0, "", 0, 0))
        found[parent] = max(last, seq), parent, before + messages, bytes_before + size
    return found.values()
