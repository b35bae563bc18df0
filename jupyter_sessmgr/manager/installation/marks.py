"""Files that say: this process lives.

Each is kept locked by its process. The system lets the lock go when the process ends, however it
ends: so a file that can be locked is of a process that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from jupyter_sessmgr.model.errors import StoreError

_MOST_BYTES = 4096


class Mark:
    """One such file, locked by whoever holds this. The methods block."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def make(cls, folder: Path, name: str, words: str = "") -> Mark:
        """Leave a mark in a subfolder of the state folder.

        Raises
        ------
        StoreError
            when it cannot be written.
        """
        made, path = folder / f".{name}", folder / name
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(handle, words.encode()[:_MOST_BYTES], 0)
            made.rename(path)  # locked before anybody can see it
        except OSError as error:
            raise StoreError(
                f"The state folder {folder.parent} cannot be used now ({error.strerror}). Look "
                "whether its disk is full or broken."
            ) from error
        return cls(path, handle)

    def write(self, words: str) -> None:
        """Write what others may read."""
        os.pwrite(self._handle, words.encode()[:_MOST_BYTES], 0)

    def read(self) -> str:
        """Read what was written."""
        return os.pread(self._handle, _MOST_BYTES, 0).decode("utf-8", "replace")

    def beat(self) -> None:
        """Say that the process not only lives but runs, for those who look at the file's time."""
        os.utime(self._handle)

    def release(self) -> None:
        """Let the lock go; the file stays for whoever looks next."""
        os.close(self._handle)

    def remove(self) -> None:
        """Say that nothing is left."""
        self.path.unlink(missing_ok=True)
        self.release()


def marks_in(folder: Path) -> Iterator[tuple[Path, Mark | None]]:
    """List the marks in a subfolder; each of a process that is gone is the caller's by now.

    With None, the process lives, or somebody else is at its mark.
    """
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(handle)
                    yield path, None
                else:
                    yield path, Mark(path, handle)
