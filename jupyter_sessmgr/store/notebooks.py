"""The file in which a Jupyter server keeps its notebook sessions: its own, private, and whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import closing
from logging import Logger, LoggerAdapter
from pathlib import Path

from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.store.database import set_aside
from jupyter_sessmgr.store.dbfile import Damaged, connect, in_words, secure_file

#: The files' folder in the state folder.
FOLDER = "notebooks"
#: How many servers may show the same folder of notebooks at once, each with a file of its own.
MOST_SERVERS = 64
#: What Jupyter keeps of a notebook session.
COLUMNS = ["session_id", "path", "name", "type", "kernel_id"]
#: Seconds to wait for another program, such as a backup, that holds the file.
_LOCK_WAIT = 2.0


class NotebookFile:
    """One server's file, which is nobody else's as long as that server lives.

    Jupyter deletes rows whose kernels it does not know, so two servers must not share a file. They
    are told apart by the folder of notebooks they show, since paths in the rows are relative to
    it; of several servers that show the same one, each takes the first file that is free. A port
    would not do: where a hub starts servers, it is another one each time.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def take(cls, state: Path, root: str, log: Logger | LoggerAdapter[Logger]) -> NotebookFile:
        """Take the file for the server that shows the folder `root`. Blocks.

        Called by the extension before Jupyter opens the file. A damaged one is moved aside.

        Raises
        ------
        StoreError
            when there is none that could be used; notebook sessions are kept in memory then.
        """
        folder = state / FOLDER
        with in_words(folder, opening=True):
            folder.mkdir(mode=0o700, exist_ok=True)
            name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
            for count in range(MOST_SERVERS):
                path = folder / f"{name}-{count}.db"
                lock = _lock(path.with_suffix(".lock"))
                if lock is not None:
                    break
            else:
                raise StoreError(f"More than {MOST_SERVERS} servers show {root}.")
        try:
            _make_whole(path, log)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    def close(self) -> None:
        """Leave the file to the next server."""
        os.close(self._lock)


def _lock(path: Path) -> int | None:
    """Lock a file as long as this process lives; None when another one has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _make_whole(path: Path, log: Logger | LoggerAdapter[Logger]) -> None:
    secure_file(path, log)
    try:
        _check(path)
    except Damaged as damage:
        copy = set_aside(path)
        text = "%s It was moved to %s. Kernels go on; notebooks ask which kernel they had."
        log.error(text, damage, copy)  # noqa: TRY400 - for people
        secure_file(path, log)
        _check(path)


def _check(path: Path) -> None:
    """See that Jupyter can use the file: it would not start with another one."""
    with in_words(path, opening=True), closing(connect(path, _LOCK_WAIT)) as connection:
        # A change is one write to the disk then, not three: Jupyter makes it on its event loop.
        connection.execute("PRAGMA journal_mode = WAL")
        complaints = connection.execute("PRAGMA quick_check").fetchone()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(session)")]
    if complaints != ("ok",) or columns not in ([], COLUMNS):
        raise Damaged(f"{path} does not hold notebook sessions.", reason="damaged")
