"""Streams that list, read and write files, as the session's user.

The system's own permissions are the only bounds: this is the user's own place. What a disk takes
long for is done on threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

from .frames import Sink
from .refusals import Absent, Denied, Full, Invalid, Refused
from .relay import LooseRelay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Mapping

    from .frames import Frames
    from .premises import Premises

MAX_PATH = 4096
MAX_ENTRIES = 50_000
_CHUNK = 256 * 1024
#: Bytes of a client that wait for the disk, before it is held back.
_WAITING = 2**20
#: Files, and archives, at a time; more of them wait.
_THREADS, _ARCHIVES = 8, 4
_REFUSALS: dict[int, type[Refused]] = {
    errno.ENOENT: Absent,
    errno.ENOTDIR: Absent,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EROFS: Denied,
    errno.ENOSPC: Full,
    errno.EDQUOT: Full,
    errno.EFBIG: Full,
    errno.EISDIR: Invalid,
    errno.ENAMETOOLONG: Invalid,
    errno.ELOOP: Invalid,
}
_pool = ThreadPoolExecutor(_THREADS, "sessmgr-files")
#: Of their own: they wait for their readers.
_writers = ThreadPoolExecutor(_ARCHIVES, "sessmgr-archives")


class Mailbox(Sink):
    """A client's bytes, for a coroutine that takes them when it can."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._waiting: list[bytes] = []
        self._size = 0
        self._ended = False
        self._lost = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def data(self, data: memoryview) -> None:
        """Keep bytes until they are asked for."""
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size > _WAITING:
            self._frames.pause_reading()
        self._news.set()

    def end(self) -> None:
        """Note the end."""
        self._ended = True
        self._news.set()

    def lost(self) -> None:
        """Let nobody wait any more."""
        self._lost = True
        self._news.set()
        self._room.set()

    def pause(self) -> None:
        """Let `put` wait."""
        self._room.clear()

    def resume(self) -> None:
        """Let `put` go on."""
        self._room.set()

    async def get(self) -> bytes:
        """Return what came meanwhile; b"" at the end."""
        while not (self._waiting or self._ended or self._lost):
            self._news.clear()
            await self._news.wait()
        if self._lost:
            raise ConnectionResetError("the client is gone")
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self._frames.resume_reading()
        return data

    async def put(self, data: bytes) -> None:
        """Send bytes as fast as the client reads."""
        await self._room.wait()
        if self._lost:
            raise ConnectionResetError("the client is gone")
        self._frames.send(data)


async def serve_list(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Send a folder's entries as one JSON list."""
    path = resolve(args, premises)
    entries = await _on_disk(list_folder, path)
    box = Mailbox(frames)
    frames.open(box, path=path)
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8", "replace")
    for start in range(0, len(text), _CHUNK):
        await box.put(text[start : start + _CHUNK])
    _finish(frames)


async def serve_read(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Send a file."""
    path = resolve(args, premises)
    source = await _on_disk(open_file, path)
    try:
        box = Mailbox(frames)
        frames.open(box, **describe(os.path.basename(path), os.fstat(source)))
        await _send_all(source, box)
    finally:
        os.close(source)
    _finish(frames)


async def serve_archive(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Send a file, or a folder with all that is in it, as a tar archive."""
    from .archive import write_archive  # noqa: PLC0415 - a start must not wait for it

    path = resolve(args, premises)
    await _on_disk(os.stat, path)
    loop = asyncio.get_running_loop()
    source, target = os.pipe()
    writing = loop.run_in_executor(_writers, write_archive, path, target)
    relay = LooseRelay(frames)
    try:
        await loop.connect_read_pipe(lambda: relay, os.fdopen(source, "rb", 0))
        frames.open(relay)
        await asyncio.wait({relay.drained, frames.gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        relay.lost()  # a writer that is not done fails then, and ends
    try:
        await writing
    except OSError as error:
        raise refusal(error) from None
    _finish(frames)


async def serve_write(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Write what the client sends; the file is there whole, or not at all."""
    path = resolve(args, premises)
    limit = args.get("limit")
    if type(limit) is not int or limit < 0:
        raise Invalid("limit: not a number of bytes")
    draft, handle = await _on_disk(open_draft, path)
    try:
        box = Mailbox(frames)
        frames.open(box)
        size = 0
        while True:
            data = await box.get()
            if not data:
                break
            size += len(data)
            if size > limit:
                raise Full("The file is larger than the %d bytes that are allowed." % limit)
            await _on_disk(_write_all, handle, data)
        await _on_disk(os.replace, draft, path)
        draft = ""
    finally:
        os.close(handle)
        if draft:
            with contextlib.suppress(OSError):
                os.unlink(draft)
    frames.say({"written": size})
    _finish(frames)


async def make_folder(args: Mapping[str, Any], premises: Premises) -> None:
    """Make a folder, and those above it."""
    path = resolve(args, premises)
    await _on_disk(lambda: os.makedirs(path, exist_ok=True))


def resolve(args: Mapping[str, Any], premises: Premises) -> str:
    """Read a path, relative to the working folder."""
    path = args.get("path")
    if not isinstance(path, str) or not path or "\0" in path:
        raise Invalid("path: missing, or not the name of a file")
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise Invalid("path: not the name of a file") from None
    if size >= MAX_PATH:
        raise Invalid("path: longer than %d bytes" % MAX_PATH)
    return os.path.normpath(os.path.join(premises.folder(), path))


def list_folder(path: str) -> list[dict[str, Any]]:
    """Describe what is in a folder; a file is described itself."""
    if not stat.S_ISDIR(os.stat(path).st_mode):
        return [describe(os.path.basename(path), os.lstat(path))]
    found: list[dict[str, Any]] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if len(found) >= MAX_ENTRIES:
                raise Invalid("The folder has more than %d entries." % MAX_ENTRIES)
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found.append(describe(entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found, key=lambda one: str(one["name"]))


def describe(name: str, seen: os.stat_result) -> dict[str, Any]:
    """Write down what is known of a file."""
    return {
        "name": name.encode("utf-8", "replace").decode(),
        "size": seen.st_size,
        "mode": seen.st_mode,
        "mtime": seen.st_mtime,
        "ctime": seen.st_ctime,
        "atime": seen.st_atime,
    }


def open_file(path: str) -> int:
    """Open a file to read; nothing that could block for ever, or never end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise Invalid("It is a folder." if stat.S_ISDIR(mode) else "It is not a plain file.")
    return handle


def open_draft(path: str) -> tuple[str, int]:
    """Make the file that becomes `path` when all of it is there."""
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        raise Invalid("There is a folder of this name.")
    os.makedirs(folder, exist_ok=True)
    mode = 0o666
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.stat(path).st_mode)
    draft = os.path.join(folder, ".%s.%s" % (name[:100], os.urandom(6).hex()))
    return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


async def _send_all(source: int, box: Mailbox) -> None:
    while True:
        data = await _on_disk(os.read, source, _CHUNK)
        if not data:
            return
        await box.put(data)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _finish(frames: Frames) -> None:
    frames.end()
    frames.close()


def _on_disk(work: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Do something on a thread; what the system refuses is told in words."""

    def done() -> Any:
        try:
            return work(*args)
        except OSError as error:
            raise refusal(error) from None

    return asyncio.get_running_loop().run_in_executor(_pool, done)


def refusal(error: OSError) -> Refused:
    """Put a refusal of the system into words; the path is the asker's own."""
    kind = _REFUSALS.get(error.errno or 0, Refused)
    return kind("%s." % (error.strerror or "It cannot be read or written"))
