"""The database file in use: opened, written to, and replaced when it is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from logging import Logger
from pathlib import Path
from typing import TypeVar

from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.store.dbfile import (
    SIDE_FILES,
    Damaged,
    Transaction,
    back_up,
    code_of,
    connect,
    in_words,
    prepare,
    secure_file,
    sync_folder,
    transact,
)

T = TypeVar("T")

#: How often a transaction is tried when another program holds the file, or the disk is full.
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening the file found."""

    #: No row was ever in it.
    is_new: bool
    #: Where a damaged file was moved to; "" when there was none.
    corrupt_copy: str = ""


class Database:
    """One file and the connection to it. All of it is called from the store's one thread.

    Parameters
    ----------
    path : Path
        The file. Its folder exists and is private.
    lock_wait : float
        Seconds to wait for another program that holds the file, each of `ATTEMPTS` times.
    restore : callable
        Writes everything that is known into a fresh file; called when the file was lost.
    log : Logger
        Told about everything unusual that is done to the file.
    leads : bool
        Whether to make and mend the file; else another server does.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock_wait: float,
        restore: Callable[[Transaction], None],
        log: Logger,
        leads: bool = True,
    ) -> None:
        self._path = path
        self._lock_wait = lock_wait
        self._restore = restore
        self._log = log
        #: A file that was written anew lies here for a moment, whole.
        self._fresh = path.with_name(f"{path.name}.new")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._leads = leads
        #: What `news` said when all that others had written was taken over; None: never.
        self.seen: int | None = None

    def open(self, load: Callable[[Transaction], T]) -> tuple[Opened, T]:
        """Open or create the file, and `load` what is in it; move a damaged one aside.

        Raises
        ------
        StoreRefused
            when the file must not be used as it is.
        StoreError
            when the disk is full, or another program holds the file for too long.
        """
        with in_words(self._path, opening=True):
            if self._leads and self._fresh.exists():
                self._put_in_place()
            try:
                return self._open(load)
            except Damaged as damage:
                if not self._leads:
                    raise
                copy = set_aside(self._path)
                opened, loaded = self._open(load)
                text = "%s It was moved to %s, and a new one was made."
                self._log.error(text, damage, copy)
                return replace(opened, corrupt_copy=str(copy)), loaded

    def _open(self, load: Callable[[Transaction], T]) -> tuple[Opened, T]:
        is_new = self._connect()
        try:
            with in_words(self._path):
                return Opened(is_new=is_new), self._attempts(load)
        except BaseException:
            self.close()
            raise

    def lead(self, load: Callable[[Transaction], T]) -> tuple[Opened, T]:
        """Open the file anew as its leader; it stays as it was when that fails."""
        self.close()
        self._leads = True
        try:
            return self.open(load)
        except BaseException:
            self._leads = False
            raise

    def news(self) -> int | None:
        """Say which version of the file was not `seen`; None when others wrote nothing since."""
        if self._is_lost():
            if self._leads:
                return None  # the next write mends it
            self._connect()  # to the file that the leader wrote anew
        version = self._reading().number("data_version")
        return None if version == self.seen else version

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the file as it is at one moment."""
        transaction = self._reading()
        with in_words(self._path):
            transaction.run("begin_reading")
            try:
                return work(transaction)
            finally:
                transaction.run("end_reading")

    def _reading(self) -> Transaction:
        if self._connection is None:
            raise StoreError(f"{self._path} is not open now.")
        return Transaction(self._connection)

    def _connect(self) -> bool:
        self.close()
        if self._leads:
            secure_file(self._path, self._log)
        elif not self._path.exists() or not self._path.stat().st_size:
            raise StoreError(
                f"{self._path} is not there (yet): the server that leads makes it. Try again soon."
            )
        self._connection = connect(self._path, self._lock_wait)
        try:
            with in_words(self._path, opening=True):
                is_new = prepare(self._connection, self._path, follows=not self._leads)
            self._inode = self._path.stat().st_ino
        except BaseException:
            self.close()
            raise
        return is_new

    def close(self) -> None:
        """Let go of the file. Harmless when it is not open."""
        connection, self._connection, self.seen = self._connection, None, None
        if connection is not None:
            connection.close()

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that is on disk when this returns.

        A file that was removed, emptied, replaced or damaged behind our back is first written
        anew from what is known (FAULTS S5: SQLite itself goes on writing to a file that has no
        name any more).

        Raises
        ------
        StoreError
            when that cannot be done; then nothing was changed.
        """
        with in_words(self._path):
            if self._is_lost() and self._leads:
                self._write_anew(f"{self._path} was removed, emptied or replaced.")
            elif self._is_lost():
                self._connect()  # to the file that the leader wrote anew
            try:
                with in_words(self._path):
                    return self._attempts(work)
            except Damaged as damage:
                if not self._leads:
                    raise
                self._write_anew(damage.message)
                return self._attempts(work)

    def _attempts(self, work: Callable[[Transaction], T]) -> T:
        connection = self._connection
        if connection is None:
            raise sqlite3.ProgrammingError("the file is not open")
        for _ in range(ATTEMPTS - 1):
            try:
                return transact(connection, work)
            except sqlite3.OperationalError as error:
                if code_of(error) == sqlite3.SQLITE_FULL:
                    Transaction(connection).run("reuse_journal")
                elif code_of(error) == sqlite3.SQLITE_BUSY:
                    self._log.warning("%s is held by another program; trying again.", self._path)
                else:
                    raise
        return transact(connection, work)

    def _is_lost(self) -> bool:
        if self._connection is None:
            return True
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return True
        return found.st_ino != self._inode or found.st_size == 0

    def _write_anew(self, what: str) -> None:
        """Put a whole new file in the place of the old one; a kill at any point loses nothing."""
        part = self._path.with_name(f"{self._path.name}.part")
        for suffix in ("", *SIDE_FILES):
            Path(f"{part}{suffix}").unlink(missing_ok=True)
        secure_file(part, self._log)
        with closing(connect(part, self._lock_wait)) as connection:
            prepare(connection, part)
            transact(connection, self._restore)
        part.replace(self._fresh)
        sync_folder(self._path.parent)
        self.close()
        copy = self._put_in_place()
        self._connect()
        text = "%s It was written anew from memory; what still lay there is now %s."
        self._log.error(text, what, copy)

    def _put_in_place(self) -> Path:
        """Let the whole new file be the file. What lay there is moved to the path returned."""
        copy = set_aside(self._path)
        self._fresh.replace(self._path)
        sync_folder(self._path.parent)
        return copy

    def keep_copy(self) -> Path:
        """Copy the file as it is, before rows that cannot be read are deleted from it."""
        copy = _aside(self._path)
        if self._connection is not None:
            with in_words(self._path):
                back_up(self._connection, copy)
        return copy


def set_aside(path: Path) -> Path:
    """Move a file, if there is one, and what belongs to it out of the way; return where to."""
    copy = _aside(path)
    # The journal goes first: it must never be applied to the file that comes next.
    for suffix in (*SIDE_FILES, ""):
        source = Path(f"{path}{suffix}")
        if source.exists():
            source.replace(f"{copy}{suffix}")
    return copy


def _aside(path: Path) -> Path:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    first = path.with_name(f"{path.name}.corrupt-{moment}")
    copy, count = first, 1
    while copy.exists():
        count += 1
        copy = first.with_name(f"{first.name}-{count}")
    return copy
