"""Files inside running sessions, read and written as the session's own user."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.agents.stream import BUFFER, AgentStream
from jupyter_sessmgr.manager.inside.reach import Inside
from jupyter_sessmgr.model.errors import (
    AgentError,
    InvalidRequest,
    LimitExceeded,
    NoSuchFile,
    NotAllowed,
)
from jupyter_sessmgr.model.naming import is_text
from jupyter_sessmgr.traits import ByteSize

#: Bytes of a path.
MAX_PATH = 4096
#: Bytes of a folder's list.
_MAX_LIST = 32 * 2**20
#: What to do about a file that was refused; the first that fits counts.
_REMEDIES = (
    (NoSuchFile, "List its folder to see what is there."),
    (NotAllowed, "Change its permissions in the session, or choose another path."),
    (LimitExceeded, "Remove something in the session, or send less."),
)
_JUNK = "The session's agent said something of a file that makes no sense."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A file or folder inside a session."""

    name: str
    #: Bytes.
    size: int
    #: Type and permissions, as `os.stat` has them.
    mode: int
    #: Seconds since the epoch, as the next two.
    mtime: float
    ctime: float = 0.0
    atime: float = 0.0

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)


class SessionFiles(LoggingConfigurable):
    """Lists, reads and writes. Called by the doors.

    Paths are relative to the session's working folder; absolute ones are those of the session. The
    session's user is the bound: what its code may read and write, its owner may.

    Every method raises `InvalidRequest` for a path that makes no sense, `NoSuchFile`,
    `NotAllowed` where permissions say no, `LimitExceeded` where there is no room, `NotRunning`,
    and `AgentError`.
    """

    max_upload_size = ByteSize(
        2**30,
        config=True,
        help="""Bytes that one upload into a session may have, such as 512m or 4g. Lower it where
        sessions share a small disk.""",
    )

    def __init__(self, inside: Inside, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inside = inside

    async def list(self, session_id: str, path: str = ".") -> Sequence[FileInfo]:
        """List a folder, sorted by name; a file is listed by itself."""
        return (await self.survey(session_id, path))[1]

    async def survey(self, session_id: str, path: str) -> tuple[str, Sequence[FileInfo]]:
        """List a folder, and say where it is inside the session."""
        text = bytearray()
        async with self._open(session_id, "list", path=path) as stream:
            where = stream.facts.get("path")
            async for data in _all_of(stream):
                text += data
                if len(text) > _MAX_LIST:
                    raise AgentError(_JUNK)
        return (where if isinstance(where, str) else path)[:MAX_PATH], read_list(bytes(text))

    async def read(self, session_id: str, path: str) -> AsyncGenerator[bytes, None]:
        """Read a file, piece by piece. What is wrong with it is raised before the first."""
        async with self._open(session_id, "read", path=path) as stream:
            async for data in _all_of(stream):
                yield data

    async def archive(self, session_id: str, path: str) -> AsyncGenerator[bytes, None]:
        """Read a file, or a folder with all in it, as a tar archive, piece by piece."""
        async with self._open(session_id, "archive", path=path) as stream:
            async for data in _all_of(stream):
                yield data

    async def write(self, session_id: str, path: str, content: AsyncIterator[bytes]) -> int:
        """Write a file, and the folders above it; returns its size.

        It is there whole or, when anything goes wrong, not at all; one of this name is replaced.

        Raises
        ------
        LimitExceeded
            also when it is larger than `max_upload_size`.
        """
        limit = int(self.max_upload_size)
        await self._inside.wake(session_id)
        async with self._open(session_id, "write", path=path, limit=limit) as stream:
            with contextlib.suppress(ConnectionError):  # the agent says why, below
                async for data in content:
                    stream.writer.write(data)
                    await stream.writer.drain()
                    if stream.words:  # it is refused; more of it is of no use
                        break
                stream.transport.write_eof()
            await stream.reader.read()
            stream.check_whole()
            size = stream.words.get("written")
        if type(size) is not int or size < 0:
            raise AgentError(_JUNK)
        return size

    async def make_folder(self, session_id: str, path: str) -> None:
        """Make a folder, and those above it; harmless when it is there."""
        checked = check_path(path)
        with _told_of(path):
            await self._inside.link(session_id).make_folder(checked)

    @contextlib.asynccontextmanager
    async def _open(
        self, session_id: str, kind: str, *, path: str, **more: int
    ) -> AsyncIterator[AgentStream]:
        link, checked = self._inside.link(session_id), check_path(path)
        with _told_of(path):
            stream = await link.open_stream(kind, path=checked, **more)
            try:
                yield stream
            finally:
                stream.transport.abort()


@contextlib.contextmanager
def _told_of(path: str) -> Iterator[None]:
    """Have refusals say which file they are about, and what to do."""
    try:
        yield
    except (InvalidRequest, NotAllowed, LimitExceeded) as error:
        remedy = next((words for kind, words in _REMEDIES if isinstance(error, kind)), "")
        words = f"{path!r:.200}: {error.message} {remedy}".rstrip()
        raise type(error)(words, session=error.session, **{"path": path, **error.data}) from None


def check_path(path: str, field: str = "path") -> str:
    """Return `path` when it can be a file's; `field` is where it came from.

    Raises
    ------
    InvalidRequest
        for an empty or over-long one, one with NUL, and half a surrogate pair.
    """
    if not path or "\0" in path or not is_text(path) or len(path.encode()) >= MAX_PATH:
        words = (
            f"{field}: {path!r:.80} is not the path of a file." if path else f"{field}: missing."
        )
        raise InvalidRequest(words, field=field)
    return path


def read_list(text: bytes) -> Sequence[FileInfo]:
    """Check what an agent says of a folder (THREATS F10).

    Raises
    ------
    AgentError
        for what makes no sense.
    """
    try:
        told = json.loads(text)
        return [_read_info(one) for one in told]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise AgentError(_JUNK) from None


def _read_info(told: dict[str, Any]) -> FileInfo:
    name, size, mode = told["name"], told["size"], told["mode"]
    times = [float(told[key]) for key in ("mtime", "ctime", "atime")]
    whole = type(size) is int and type(mode) is int and isinstance(name, str)
    sane = whole and 0 <= size < 2**63 and 0 <= mode < 2**32 and len(name) <= MAX_PATH
    if not sane or not all(abs(moment) < 2**40 for moment in times):
        raise ValueError("file")
    name = name.encode(errors="replace").decode()
    return FileInfo(name=name, size=size, mode=mode, mtime=times[0], ctime=times[1], atime=times[2])


async def _all_of(stream: AgentStream) -> AsyncIterator[bytes]:
    while data := await stream.reader.read(BUFFER):
        yield data
    stream.check_whole()
