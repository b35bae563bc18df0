"""The journal's file: a SQLite database of bounded size.

A killed process loses nothing that was committed; power loss ends the place and its journal
anyway, so nothing is synced.
"""

from __future__ import annotations

import os
import sqlite3
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Sequence

_SCHEMA = """
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, parent TEXT NOT NULL, area TEXT NOT NULL,
    mark TEXT NOT NULL, time REAL NOT NULL, size INTEGER NOT NULL,
    header TEXT NOT NULL, metadata TEXT NOT NULL, content TEXT NOT NULL, buffers TEXT NOT NULL);
CREATE INDEX message_parent ON message (parent, seq);
CREATE INDEX message_kind ON message (kind, seq, size);
CREATE INDEX message_mark ON message (mark) WHERE mark != '';
-- the seq of every message that was heard, kept or not: readers tell their position by its id
CREATE TABLE seen (seq INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE request (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, header TEXT NOT NULL DEFAULT '{}',
    cell TEXT, path TEXT);
-- what was dropped for want of room, up to seq
CREATE TABLE loss (
    seq INTEGER NOT NULL, parent TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
    UNIQUE (seq, parent));
-- after seq nobody listened for a while
CREATE TABLE gap (
    seq INTEGER NOT NULL UNIQUE, since REAL NOT NULL, until REAL NOT NULL, reason TEXT);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_VERSION = 1
_PAGE = 4096
#: Pages that are written before they go to their place.
_AHEAD = 256
#: Tables that are copied out of a damaged file, as far as they can be read.
_TABLES = ("message", "seen", "request", "loss", "gap", "fact")


class Full(Exception):
    """There is no room on the disk."""


class Shelf:
    """Opens the file, whatever state it is in, and runs transactions.

    Parameters
    ----------
    path : str
        The file.
    most_bytes : int
        How large it may become.
    """

    def __init__(self, path: str, most_bytes: int) -> None:
        self._path = path
        self._pages = max(64, most_bytes // _PAGE)
        #: How many messages a damaged file gave back; None: it was not damaged.
        self.salvaged: int | None = None
        self._base: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, or begin a new one with what can be read of a damaged one.

        Raises
        ------
        Full
            when there is no room to begin one.
        """
        self.close()
        try:
            self._base = self._connect()
        except sqlite3.DatabaseError as error:
            if _is_full(error):
                raise Full from None
            self._salvage()

    def close(self) -> None:
        """Let go of the file."""
        if self._base is not None:
            self._base.close()
            self._base = None

    def write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do work in one transaction.

        Raises
        ------
        Full
            when there is no room; nothing of it was done then.
        """
        for attempt in range(2):
            if self._base is None:
                self.open()
            assert self._base is not None
            try:
                with self._base:
                    self._base.execute("BEGIN")
                    work(self._base)
            except sqlite3.DatabaseError as error:
                if _is_full(error):
                    raise Full from None
                self.close()
                if attempt:
                    raise
                self._salvage()
            else:
                return

    def read(self, query: str, *args: Any) -> Iterator[Sequence[Any]]:
        """Yield rows, the last of them where the file turns out to be damaged."""
        try:
            if self._base is None:
                self.open()
            assert self._base is not None
            yield from self._base.execute(query, args)
        except (sqlite3.DatabaseError, Full):
            return

    def is_full(self) -> bool:
        """Tell whether the file has all the pages it may have."""
        return any(used >= self._pages - _AHEAD for (used,) in self.read("PRAGMA page_count"))

    def _connect(self) -> sqlite3.Connection:
        known = os.path.exists(self._path)
        base = sqlite3.connect(self._path, timeout=2, isolation_level=None)
        try:
            base.execute("PRAGMA page_size=%d" % _PAGE)
            base.execute("PRAGMA locking_mode=EXCLUSIVE")  # no second file of shared memory
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=OFF")
            base.execute("PRAGMA wal_autocheckpoint=%d" % _AHEAD)
            base.execute("PRAGMA journal_size_limit=%d" % (_AHEAD * _PAGE))
            base.execute("PRAGMA cache_size=-512")
            base.execute("PRAGMA temp_store=MEMORY")
            base.execute("PRAGMA max_page_count=%d" % self._pages)
            if known:
                _check(base)
            if base.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                base.executescript(
                    "BEGIN;" + _SCHEMA + "PRAGMA user_version=%d; COMMIT;" % _VERSION
                )
        except BaseException:
            base.close()
            raise
        return base

    def _salvage(self) -> None:
        """Begin a new file with what can be read of the old one."""
        damaged = self._path + ".damaged"
        for end in ("", "-wal"):
            _replace(self._path + end, damaged + end)
        try:
            self._base = self._connect()
            source = sqlite3.connect(damaged, timeout=2)
            try:
                source.execute("PRAGMA writable_schema=ON")  # reads what was cut off, too
                counts = [_copy(source, self._base, table) for table in _TABLES]
            finally:
                source.close()
            self.salvaged = (self.salvaged or 0) + counts[0]
        except sqlite3.DatabaseError as error:
            self.close()
            if _is_full(error):
                raise Full from None
            raise
        finally:
            for end in ("", "-wal", "-shm", "-journal"):
                _remove(damaged + end)


def _check(base: sqlite3.Connection) -> None:
    if base.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("damaged")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy a table's rows from both ends, each as far as it can be read; returns how many."""
    count = 0
    for order in ("ASC", "DESC"):
        try:
            for row in source.execute("SELECT * FROM %s ORDER BY rowid %s" % (table, order)):
                marks = ",".join("?" * len(row))
                added = target.execute("INSERT OR IGNORE INTO %s VALUES (%s)" % (table, marks), row)
                count += added.rowcount
                if not added.rowcount and order == "DESC" and table == "message":
                    break  # met what the first way brought
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            continue
        else:
            break
    return count


def _is_full(error: sqlite3.DatabaseError) -> bool:
    words = str(error)
    return "full" in words or "disk I/O error" in words or "unable to open" in words


def _replace(old: str, new: str) -> None:
    try:
        os.replace(old, new)
    except FileNotFoundError:
        return


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def later_than_ever() -> int:
    """Make a number above any that was given before: there is not a message each millisecond."""
    return int(time.time() * 1000)
