"""Takes a multipart/form-data body apart while it comes, keeping next to nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, unquote

from jupyter_sessmgr.model.errors import InvalidRequest

#: Bytes of the lines before a part's content.
MAX_HEAD = 16 * 1024
#: Characters of a boundary, as its standard has it.
MAX_BOUNDARY = 70


@dataclass(frozen=True, slots=True)
class Begin:
    """A part begins. `filename` is "" for a plain field."""

    name: str
    filename: str


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The part that began last is whole."""


Event = Begin | Data | End


class MultipartReader:
    """Reads a body, chunk by chunk.

    Parameters
    ----------
    content_type : str
        The request's header.

    Raises
    ------
    InvalidRequest
        when that is not multipart/form-data with a boundary.
    """

    def __init__(self, content_type: str) -> None:
        head = Message()
        head["Content-Type"] = content_type
        boundary = head.get_boundary()
        fits = boundary is not None and 0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii()
        if head.get_content_type() != "multipart/form-data" or not fits:
            raise InvalidRequest("Send multipart/form-data, with a boundary.", field="Content-Type")
        self._mark = b"\r\n--" + str(boundary).encode()
        #: As if a line ended before the body, so that the first mark is like the others.
        self._kept = bytearray(b"\r\n")
        self._in_part = False
        #: The mark that ends the whole was seen.
        self.ended = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes, and tell what they are.

        Raises
        ------
        InvalidRequest
            for what is no multipart body.
        """
        self._kept += chunk
        while not self.ended:
            end = self._kept.find(self._mark)
            if end < 0:
                yield from self._pass_on(len(self._kept) - len(self._mark) + 1)
                return
            yield from self._pass_on(end)
            head = self._take_head()
            if head is None:
                return
            if self._in_part:
                self._in_part = False
                yield End()
            if head == b"--":
                self.ended = True
                self._kept.clear()
                return
            self._in_part = True
            yield read_head(head)

    def _pass_on(self, size: int) -> Iterator[Event]:
        """Give the first bytes that are kept away; before the first part they mean nothing."""
        if size <= 0:
            return
        data = bytes(self._kept[:size])
        del self._kept[:size]
        if self._in_part:
            yield Data(data)

    def _take_head(self) -> bytes | None:
        """Take the mark and what follows it, up to a part's content; None while it is not whole."""
        start = len(self._mark)
        if self._kept[start : start + 2] == b"--":
            return b"--"
        end = self._kept.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._kept) > start + MAX_HEAD:
                raise InvalidRequest("The head of a part of the body is too long.")
            return None
        head = bytes(self._kept[start:end])
        del self._kept[: end + 4]
        return head


def read_head(head: bytes) -> Begin:
    """Read the lines before a part's content.

    Raises
    ------
    InvalidRequest
        unless they name the part.
    """
    lines = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            lines["Content-Disposition"] = value.strip()
    field = lines.get_param("name", header="content-disposition")
    if field is None or lines.get_content_disposition() != "form-data":
        raise InvalidRequest("A part of the body has no name.")
    return Begin(str(field), plain_name(lines.get_filename() or ""))


def plain_name(filename: str) -> str:
    """Undo the quoting of clients that quote every special character, as aiohttp's do."""
    plain = unquote(filename)
    return plain if quote(plain, "") == filename else filename
