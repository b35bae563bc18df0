"""A database file at rest: made private, checked, brought to the newest schema; errors in words."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any, TypeVar

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.store.queries import Migration, load_migrations, load_queries
from jupyter_sessmgr.store.rows import Row, Value

T = TypeVar("T")

#: What the first migration writes into the file's header: "SSMG".
APPLICATION_ID = 0x53534D47
#: What SQLite keeps beside a file; belongs to this file and to no other.
SIDE_FILES = ("-wal", "-shm")

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FORBIDDEN = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


class Damaged(StoreError):
    """The file is no database, or not a whole one."""


class Transaction:
    """Runs named queries on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, query: str, values: Row | None = None) -> int:
        """Run a query, and return how many rows it changed."""
        return self._connection.execute(load_queries()[query], values or {}).rowcount

    def rows(self, query: str, values: Row | None = None) -> list[dict[str, Value]]:
        """Run a query, and return its rows."""
        cursor = self._connection.execute(load_queries()[query], values or {})
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, query: str, values: Row | None = None) -> dict[str, Value] | None:
        """Run a query, and return its first row, if any."""
        return next(iter(self.rows(query, values)), None)

    def number(self, query: str) -> int:
        """Run a query that answers one number, and return it; 0 when it answers nothing."""
        row = self.row(query)
        return 0 if row is None else int(next(iter(row.values())) or 0)


def connect(path: Path, lock_wait: float) -> sqlite3.Connection:
    """Open a connection that commits only when told to."""
    return sqlite3.connect(path, timeout=lock_wait, isolation_level=None)


def transact(connection: sqlite3.Connection, work: Callable[[Transaction], T]) -> T:
    """Run `work`, and commit; or change nothing."""
    transaction = Transaction(connection)
    transaction.run("begin")
    try:
        result = work(transaction)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return result


def secure_file(path: Path, log: Logger | LoggerAdapter[Logger]) -> None:
    """Make the file, or see that it is ours and private.

    Raises
    ------
    StoreRefused
        when it is something else than a file, or another user's.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        found = path.lstat()
    else:
        return
    # An existing file is not opened here: closing it would drop the locks of other connections.
    if not stat.S_ISREG(found.st_mode):
        raise StoreRefused(f"{path} is not a plain file; move it away and start again.")
    if found.st_uid != os.geteuid():
        raise StoreRefused(
            f"{path} belongs to another user (uid {found.st_uid}; this server runs as "
            f"{os.geteuid()}); run the server as that user, or choose another state folder."
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        log.warning("%s could be read or changed by others; now it is private.", path)
        path.chmod(0o600)


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Migration] | None = None,
    *,
    follows: bool = False,
) -> bool:
    """Check the file, and bring it to the newest schema. Tell whether no row was ever in it.

    Who `follows` leaves the schema as it is: the server that leads brought it to its own.

    Raises
    ------
    Damaged
        when it is not a whole database.
    StoreRefused
        when it is another program's, or a newer release's.
    """
    if migrations is None:
        migrations = load_migrations()
    plain = Transaction(connection)
    version = _check_ours(plain, path, migrations[-1].number)
    complaints = [row["quick_check"] for row in plain.rows("quick_check")]
    if complaints != ["ok"]:
        raise Damaged(f"{path} is damaged: {complaints[0]}.", reason="damaged")
    plain.run("distrust_schema")
    if plain.row("use_wal") != {"journal_mode": "wal"}:
        raise StoreRefused(
            f"{path}: its file system cannot share memory between programs, which the database "
            "needs; put the state folder on a local disk."
        )
    plain.run("use_full_sync")
    if follows and not version:
        raise StoreError(f"{path} is being made by the server that leads. Try again soon.")
    if follows and version != migrations[-1].number:
        raise StoreRefused(
            f"{path} is of an older release of jupyter_sessmgr (schema {version}; this one has "
            f"{migrations[-1].number}), which still leads here. Stop the servers of that release, "
            "or start this one with the same."
        )
    _migrate(connection, path, version, migrations)
    return plain.number("count_written") == 0


def _check_ours(plain: Transaction, path: Path, newest: int) -> int:
    version = plain.number("user_version")
    if plain.number("application_id") != APPLICATION_ID:
        if version or plain.number("count_tables"):
            raise StoreRefused(
                f"{path} is another program's database; move it away, or choose another state "
                "folder."
            )
    elif version > newest:
        raise StoreRefused(
            f"{path} was written by a newer release of jupyter_sessmgr (schema {version}; this "
            f"one knows {newest}). Install that release again, or choose another state folder; "
            f"a copy from before the change may lie beside it as {path.name}.v{newest}-backup."
        )
    return version


def _migrate(
    connection: sqlite3.Connection, path: Path, version: int, migrations: Sequence[Migration]
) -> None:
    pending = [migration for migration in migrations if migration.number > version]
    if pending and version:
        back_up(connection, path.with_name(f"{path.name}.v{version}-backup"))
    for migration in pending:
        try:
            connection.executescript(migration.script)
        except BaseException:
            connection.rollback()
            raise


def back_up(connection: sqlite3.Connection, copy: Path) -> None:
    """Copy the whole database, private; an older copy of this name is replaced when it is done."""
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(part)) as target:
        connection.backup(target)
    part.replace(copy)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def code_of(error: BaseException) -> int:
    """Give SQLite's primary result code; 0 when the error is not SQLite's own."""
    code: Any = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF


@contextmanager
def in_words(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Turn errors of SQLite and of the operating system into `StoreError`, in words for people.

    Damage has a class of its own, `Damaged`. What forbids to use the file is `StoreRefused`
    when `opening`.
    """
    try:
        yield
    except sqlite3.Error as error:
        if code_of(error) in _DAMAGE:
            raise Damaged(f"{path} is damaged: {error}.", reason="damaged") from error
        raise _worded(error, path, opening=opening) from error
    except OSError as error:
        raise _worded(error, path, opening=opening) from error


def _worded(error: sqlite3.Error | OSError, path: Path, *, opening: bool) -> StoreError:
    code = code_of(error)
    number = error.errno if isinstance(error, OSError) else 0
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"The disk with {path.parent} is full, so nothing was changed. Make room there, and "
            "try again.",
            reason="full",
        )
    if code in _LOCKED:
        return StoreError(
            f"{path} is held by another program, so nothing was changed. Try again; if this "
            "goes on, find that program (fuser names it) and end it.",
            reason="locked",
        )
    if opening and (code in _FORBIDDEN or number):
        return StoreRefused(
            f"{path} cannot be opened for writing ({error}). Let this server's user own the "
            "folder and the file, on a disk that is not read-only, or choose another state folder."
        )
    return StoreError(
        f"{path} could not be read or written ({error}), so nothing was changed. Look after the "
        "disk, and try again.",
        reason="failed",
    )
