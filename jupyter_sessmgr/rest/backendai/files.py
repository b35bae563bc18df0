"""Handlers of files inside sessions.

They ask the authorizer for "execute": a place's files include what its code runs on, so whoever
reads and writes them may as well run code there (THREATS E3).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

from jupyter_core.utils import ensure_async
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated, stream_request_body

from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    InvalidRequest,
    LimitExceeded,
    NoSuchFile,
    NotAllowed,
    NotRunning,
    SessionNotFound,
    SessmgrError,
)
from jupyter_sessmgr.rest.backendai import file_types as types
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.file_wire import (
    download_paths,
    plain_path,
    render_files,
    upload_path,
)
from jupyter_sessmgr.rest.base import AUTH_RESOURCE
from jupyter_sessmgr.rest.multipart import Begin, Data, End, Event, MultipartReader
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute

#: Bytes that a form's own lines may have, besides the files.
FORM_ROOM = 2**20
#: Bytes over the limit that are read and thrown away, so that the answer is heard.
PASSED_OVER = 2**26
#: Bytes of a form that are read to their end before a stranger is refused.
SMALL_FORM = 2**16
_READING = (InvalidRequest, SessionNotFound, NoSuchFile, NotAllowed, NotRunning, AgentError)
_READING_NOW = (*_READING, AgentUnavailable)


class FilesHandler(BackendAIHandler):
    """``{root}/session/:id/files``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(
            Parameter("path", str, "The folder; stock clients put it into a JSON body."),
            OWNER_PARAMETER,
        ),
        replies={200: Reply("A folder's entries.", types.FilesReply)},
        errors=_READING_NOW,
    )
    async def get(self, reference: str) -> None:
        """List a folder in a running session."""
        body = await self.read_body()
        path = plain_path(body.get("path", self.get_query_argument("path", ".")))
        session = self.find_live(reference)
        where, found = await self.sessions.files.survey(session.id, path)
        self.reply(render_files(where, found))


class _SendingHandler(BackendAIHandler):
    """Base of those that answer with pieces, as they come."""

    async def send_pieces(self, pieces: AsyncGenerator[bytes, None], media: str) -> None:
        """Answer with these. What is wrong with the first is answered as an error.

        When it goes wrong later, the connection is cut: its client must not take it for whole.
        """
        try:
            async with contextlib.aclosing(pieces) as source:
                first = await anext(source, b"")
                self.set_header("Content-Type", media)
                self.set_header("Content-Disposition", "attachment")
                self.set_header("Cache-Control", "no-store")
                self.write(first)
                await self.flush()
                async for piece in source:
                    self.write(piece)
                    await self.flush()
        except StreamClosedError:
            self.log.debug("A client that downloads is gone.")
        except SessmgrError as error:
            if not self._headers_written:
                raise
            self.log.warning("A download was cut: %s", json.dumps(error.message)[:500])
            connection: Any = self.request.connection
            connection.stream.close()
            return
        self.finish()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """End the answer; what was sent has its type already."""
        if self._headers_written:
            kwargs["set_content_type"] = self._headers.get("Content-Type", "")
        return super().finish(*args, **kwargs)


class DownloadHandler(_SendingHandler):
    """``{root}/session/:id/download``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(
            Parameter("files", list[str], "Paths; stock clients put them into a JSON body."),
            OWNER_PARAMETER,
        ),
        replies={200: Reply("A tar archive for each path.", media="multipart/mixed")},
        errors=_READING_NOW,
    )
    async def get(self, reference: str) -> None:
        """Download files and folders, each as a tar archive."""
        await self._send(reference)

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.DownloadBody,
        examples={"two": {"files": ["numbers.csv", "results"]}},
        replies={200: Reply("A tar archive for each path.", media="multipart/mixed")},
        errors=_READING_NOW,
    )
    async def post(self, reference: str) -> None:
        """Download files and folders, each as a tar archive."""
        await self._send(reference)

    async def _send(self, reference: str) -> None:
        body = await self.read_body()
        if "files" not in body:
            body["files"] = self.get_query_arguments("files")
        paths = download_paths(body)
        session = self.find_live(reference)
        self.touch(session)
        boundary = uuid4().hex
        media = f"multipart/mixed; boundary={boundary}"
        await self.send_pieces(self._parts(session.id, paths, boundary), media)

    async def _parts(
        self, session_id: str, paths: list[str], boundary: str
    ) -> AsyncGenerator[bytes, None]:
        """Write one part for each path."""
        for path in paths:
            name = PurePosixPath(path).name.encode("ascii", "replace").decode().replace('"', "_")
            head = (
                f"--{boundary}\r\nContent-Type: application/x-tar\r\n"
                f"Content-Encoding: identity\r\n"
                f'Content-Disposition: attachment; filename="{_printable(name)}.tar"\r\n\r\n'
            ).encode()
            async for piece in self.sessions.files.archive(session_id, path):
                yield head + piece
                head = b""
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()


class DownloadSingleHandler(_SendingHandler):
    """``{root}/session/:id/download_single``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(
            Parameter("file", str, "Its path; it may be in a JSON body as well."),
            OWNER_PARAMETER,
        ),
        replies={200: Reply("The file, as it is.", media="application/octet-stream")},
        errors=_READING_NOW,
    )
    async def get(self, reference: str) -> None:
        """Download one file, as it is."""
        await self._send(reference)

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.SingleBody,
        examples={"a table": {"file": "numbers.csv"}},
        replies={200: Reply("The file, as it is.", media="application/octet-stream")},
        errors=_READING_NOW,
    )
    async def post(self, reference: str) -> None:
        """Download one file, as it is."""
        await self._send(reference)

    async def _send(self, reference: str) -> None:
        body = await self.read_body()
        path = plain_path(body.get("file", self.get_query_argument("file", "")), "file")
        session = self.find_live(reference)
        self.touch(session)
        pieces = self.sessions.files.read(session.id, path)
        await self.send_pieces(pieces, "application/octet-stream")


@stream_request_body
class UploadHandler(BackendAIHandler):
    """``{root}/session/:id/upload``; files go on into the session while they come."""

    #: What is wrong with the body; the rest of it is passed over then.
    _trouble: SessmgrError | HTTPError | None = None
    _reader: MultipartReader | None = None
    _session_id = ""
    _received = 0
    #: The file that came last.
    _name = ""
    _count = 0
    _file: _Sending | None = None

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler
        """Ask who it is, and whether they may, before any of the body is taken."""
        try:
            await self._admit()
        except (SessmgrError, HTTPError) as error:
            # Told after the body: who still sends does not listen, and would hear of a reset.
            # Nobody unknown gets more than a little read, though.
            is_small = 0 < self._declared() <= SMALL_FORM
            if self.request.method != "POST" or not is_small:
                raise
            self._trouble = error

    def _declared(self) -> int:
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def _admit(self) -> None:
        await super().prepare()
        if self.request.method != "POST":
            return
        if self.current_user is None:
            raise HTTPError(HTTPStatus.FORBIDDEN)
        allowed = self.authorizer.is_authorized(self, self.current_user, "execute", AUTH_RESOURCE)
        if not await ensure_async(allowed):
            raise HTTPError(HTTPStatus.FORBIDDEN)
        connection: Any = self.request.connection
        connection.set_max_body_size(self._most + PASSED_OVER)
        try:
            if self._declared() > self._most:
                raise self._too_large()
            self._reader = MultipartReader(self.request.headers.get("Content-Type", ""))
            self._session_id = self.find_live(self.path_args[0]).id
        except (SessmgrError, HTTPError) as error:
            self._trouble = error  # a known person may be heard to the end

    def _check_content_type(self) -> None:
        """Leave it to the reader. Jupyter's own token against forged requests has to be there."""

    async def data_received(self, chunk: bytes) -> None:
        """Pass the next bytes on; whoever sends them waits meanwhile."""
        if self._trouble is not None or self._reader is None:
            return
        try:
            self._received += len(chunk)
            if self._received > self._most:
                raise self._too_large()
            for event in self._reader.feed(chunk):
                await self._take(event)
        except (SessmgrError, HTTPError) as error:
            self._trouble = error
            await self._drop()

    async def _take(self, event: Event) -> None:
        match event:
            case Begin(filename=filename) if filename:
                self._name = filename
                self._file = _Sending(self, upload_path(filename))
            case Data(data=data) if self._file is not None:
                await self._file.put(data)
            case End() if self._file is not None:
                sent, self._file = self._file, None
                await sent.finish()
                self._count += 1

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.UploadForm,
        body_media="multipart/form-data",
        replies={204: Reply("All files are there.")},
        errors=(*_READING_NOW, LimitExceeded),
    )
    async def post(self, reference: str) -> None:
        """Upload files into the working folder; each is there whole, or not at all."""
        whole = self._reader is not None and self._reader.ended and self._count
        if self._trouble is None and not whole:
            self._trouble = self._not_whole()
        await self._drop()
        if self._trouble is not None:
            raise self._trouble
        self.touch(self.find_live(reference))
        self.reply_nothing()

    def on_finish(self) -> None:
        """Let go of a file whose client went away."""
        if self._file is not None:
            self._file.abandon()
        super().on_finish()

    on_connection_close = on_finish

    async def _drop(self) -> None:
        if self._file is not None:
            sent, self._file = self._file, None
            await sent.drop()

    @property
    def _most(self) -> int:
        return int(self.sessions.files.max_upload_size) + FORM_ROOM

    def _not_whole(self) -> InvalidRequest:
        after = f" after {self._name!r:.200}" if self._name else ": no file came"
        return InvalidRequest(
            f"src: the form ends{after}. Send files as multipart/form-data, and to the end.",
            field="src",
        )

    def _too_large(self) -> HTTPError:
        size = self.sessions.files.max_upload_size
        at = f" It ended in {self._name!r:.200}." if self._name else ""
        words = f"An upload may have {size} bytes at most.{at} Send the files one by one, or less."
        return HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)

    def write_file(self, path: str, content: AsyncIterator[bytes]) -> asyncio.Task[int]:
        """Begin to write a file into the session."""
        writing = self.sessions.files.write(self._session_id, path, content)
        return asyncio.create_task(writing, name="sessmgr-upload")


class _Sending:
    """One file on its way: bytes are put in on one side and taken out on the other."""

    def __init__(self, handler: UploadHandler, path: str) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._writing = handler.write_file(path, self._taken())

    async def put(self, data: bytes) -> None:
        """Hand bytes over; raises what went wrong with the writing."""
        putting = asyncio.ensure_future(self._pieces.put(data))
        try:
            await asyncio.wait({putting, self._writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not putting.done():
                putting.cancel()
        if self._writing.done():
            self._writing.result()

    async def finish(self) -> None:
        """Say that the file is whole, and wait until it is there."""
        await self.put(b"")
        await self._writing

    async def drop(self) -> None:
        """Give the file up."""
        self.abandon()
        await asyncio.wait({self._writing})
        if not self._writing.cancelled():
            self._writing.exception()  # told already, or of no interest

    def abandon(self) -> None:
        """Give the file up, without waiting."""
        self._writing.cancel()

    async def _taken(self) -> AsyncIterator[bytes]:
        while data := await self._pieces.get():
            yield data


def _printable(name: str) -> str:
    """Leave out of a header what is none of its business."""
    return "".join(letter for letter in name if letter.isprintable() and letter != "\\") or "files"
