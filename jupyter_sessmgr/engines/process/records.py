"""What is written down of each place, in its own folder.

::

    places/<place id>/       0700
        place.json           what it is; there as soon as the folder is (one rename makes both)
        sandbox.json         what the sandbox told of it
        process.json         which process it is; written before the agent gets its orders
        log                  what the agent printed
        run/                 the socket files, unless their path would be too long
        home/                the home folder, when no mount is one
        tmp/                 what a session in a sandbox has as /tmp
        journal/             what its kernel said

The first two stay outside of what a sandbox shows, so code in a session cannot name another
process to be ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_sessmgr.engines.process.processes import Process
from jupyter_sessmgr.model.errors import EngineError

#: Bytes that a socket file's path may have: 104 with its end on macOS, 108 on Linux.
LONGEST_SOCKET = 103
AGENT_SOCKET = "agent.sock"
KERNEL_PREFIX = "kernel"

_RECORD, _PROCESS = "place.json", "process.json"
_NEW, _GONE = ".new-", ".gone-"
#: Seconds after which work that was begun on a folder counts as broken off: tools share the
#: folder with the server.
_BROKEN_OFF = 60.0
#: How often a removal is begun again when somebody else removes the same.
_ATTEMPTS = 5
#: A record is small; what is larger was not written here.
_MOST_BYTES = 16 * 1024


class DamagedRecord(OSError):
    """A record is there but says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a place is; written once, when it is made."""

    place_id: str
    install_id: str
    #: The installation's word that it made this place on this machine.
    signature: str
    machine: str
    boot: str
    pid_space: str
    created_at: float
    #: Whether it runs in a sandbox.
    isolated: bool
    #: Folder of its socket files.
    sockets: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Which processes a place has."""

    agent: Process
    #: The sandbox program that waits for the agent outside; the agent itself without one.
    outer: Process


class PlaceFolder:
    """The folder of one place. All methods read or write files."""

    def __init__(self, root: Path, place_id: str) -> None:
        self.place_id = place_id
        self.path = root / place_id
        self.log = self.path / "log"
        self.home = self.path / "home"
        self.tmp = self.path / "tmp"
        self.journal = self.path / "journal"

    def make(self, record: Record) -> None:
        """Make the folder and its record, both or neither."""
        fresh = self.path.with_name(_NEW + self.place_id)
        _remove(fresh)
        fresh.mkdir(mode=0o700)
        for name in ("home", "tmp", "run", "journal"):
            (fresh / name).mkdir(mode=0o700)
        _write(fresh / _RECORD, asdict(record))
        fresh.rename(self.path)

    def record(self) -> Record | None:
        """Read what the place is; None when there is no such folder."""
        words = _read(self.path / _RECORD)
        try:
            return None if words is None else Record(**words)
        except TypeError as error:
            raise DamagedRecord(errno.EIO, "damaged", str(self.path / _RECORD)) from error

    def note(self, running: Running) -> None:
        """Write down which processes the place has."""
        _write(self.path / _PROCESS, asdict(running))

    def running(self) -> Running | None:
        """Read which processes the place had at last; None when it never had any."""
        words = _read(self.path / _PROCESS)
        if words is None:
            return None
        try:
            return Running(agent=Process(**words["agent"]), outer=Process(**words["outer"]))
        except (KeyError, TypeError) as error:
            raise DamagedRecord(errno.EIO, "damaged", str(self.path / _PROCESS)) from error

    def open_info(self) -> int:
        """Open a file for the sandbox to write the agent's process number to."""
        return os.open(self.path / "sandbox.json", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def remove(self, record: Record | None) -> None:
        """Remove all of it; harmless when it is gone."""
        if record is not None and Path(record.sockets).name == self.place_id:
            _remove(Path(record.sockets))
            _remove_empty(Path(record.sockets).parent)
        gone = self.path.with_name(_GONE + self.place_id)
        _remove(gone)
        # Renamed first: a removal that is broken off leaves nothing that looks like a place.
        if self.path.exists():
            self.path.rename(gone)
        _remove(gone)
        _remove(self.path.with_name(_NEW + self.place_id))


def prepare(root: Path) -> None:
    """Make the folder of all places, and clear away what broken-off work left there."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in root.iterdir():
        if entry.name.startswith((_NEW, _GONE)) and _age(entry) > _BROKEN_OFF:
            _remove(entry)


def place_ids(root: Path) -> Iterator[str]:
    """List the places that have a folder.

    Raises
    ------
    OSError
        when the folder cannot be read; then nothing is known.
    """
    return (entry.name for entry in root.iterdir() if not entry.name.startswith("."))


def socket_folder(root: Path, install_id: str, place_id: str) -> Path:
    """Choose where a place's socket files are: short enough for every system, and private.

    Pure but for the environment: nothing is made or looked at.
    """
    usual = root / place_id / "run"
    if _fits(usual):
        return usual
    *others, last = (folder / place_id for folder in socket_roots(install_id))
    return next((folder for folder in others if _fits(folder)), last)


def socket_roots(install_id: str) -> list[Path]:
    """List where an installation's places have their sockets, if not in their own folders."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usual = [Path(runtime) / f"sessmgr-{install_id}"] if runtime.startswith("/") else []
    return [*usual, Path(f"/tmp/sessmgr-{os.geteuid()}-{install_id}")]  # noqa: S108 - checked


def make_socket_folder(folder: Path) -> None:
    """Make the folder for socket files and the one above it, if they are to be ours alone.

    Raises
    ------
    EngineError
        when something else stands there, such as a link that somebody planted.
    """
    for one in (folder.parent, folder):
        one.mkdir(mode=0o700, exist_ok=True)
        seen = one.lstat()
        private = seen.st_uid == os.geteuid() and not stat.S_IMODE(seen.st_mode) & 0o077
        if not stat.S_ISDIR(seen.st_mode) or not private:
            raise EngineError(
                f"{one} is to hold private socket files, but it is not a folder of this user "
                "alone. Remove it, or choose a state folder with a shorter path."
            )


def _fits(folder: Path) -> bool:
    names = (AGENT_SOCKET, f"{KERNEL_PREFIX}-5")
    return all(len(os.fsencode(folder / name)) <= LONGEST_SOCKET for name in names)


def _write(path: Path, words: object) -> None:
    half = path.with_name(path.name + ".half")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(words, file)
    half.rename(path)


def _read(path: Path) -> dict[str, Any] | None:
    """Read one of our files; None when it is not there, OSError when it says nothing."""
    try:
        with path.open("rb") as file:
            words = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedRecord(errno.EIO, "damaged", str(path)) from error
    if not isinstance(words, dict):
        raise DamagedRecord(errno.EIO, "damaged", str(path))
    return words


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_ctime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    """Remove a folder and all in it, however its rights were set; links are not followed."""
    for attempt in range(_ATTEMPTS):
        try:
            if path.is_dir() and not path.is_symlink():
                _open_up(path)
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def remove_tree(path: Path) -> list[OSError]:
    """Remove what can be removed of a folder or file; return what stood in the way.

    However rights were set; links are not followed. For ``jupyter sessmgr purge``: what cannot be
    removed keeps nothing else.
    """
    errors: list[OSError] = []

    def note(_function: object, _path: object, error: BaseException) -> None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            errors.append(error)

    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            _open_up(path)
            if sys.version_info >= (3, 12):
                shutil.rmtree(path, onexc=note)
            else:
                shutil.rmtree(path, onerror=lambda what, at, seen: note(what, at, seen[1]))
    except OSError as error:
        errors.append(error)
    except RecursionError:
        errors.append(OSError(errno.ENAMETOOLONG, "folders lie too deep in it", str(path)))
    return errors


def _open_up(path: Path) -> None:
    """Let folders be listed and emptied; what cannot be changed shows when it is removed."""
    _let_in(path)
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = Path(folder, name)
            if not inner.is_symlink():
                _let_in(inner)


def _let_in(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.chmod(0o700)


def _remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return  # other places have their sockets there
