"""A message of a kernel's iopub channel, as it is kept: Jupyter's wire format, taken apart."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_DELIMITER = b"<IDS|MSG>"
#: What is longer is no id.
MAX_ID = 256
_DECODER = json.JSONDecoder()


class Unreadable(Exception):
    """It is no message of Jupyter's."""


class Message:
    """One message. The texts are JSON.

    Parameters
    ----------
    header, parent, metadata, content : str
        As the kernel spelled them.
    buffers : str
        Base64.
    """

    def __init__(
        self, header: str, parent: str, metadata: str, content: str, *buffers: str
    ) -> None:
        self.header, self.parent_header, self.metadata = header, parent, metadata
        self.content, self.buffers = content, buffers
        head, above = _object(header), _object(parent)
        self.id = _word(head, "msg_id")
        self.type = _word(head, "msg_type")
        self.parent = _word(above, "msg_id")
        self.parent_type = _word(above, "msg_type")
        self.asker = _word(above, "session")
        #: Who says it: each kernel has a name of its own.
        self.session = _word(head, "session")
        _object(metadata)
        #: The content, taken apart.
        self.said = _object(content)

    @property
    def size(self) -> int:
        """How many bytes it has, its parent's header aside."""
        texts = (self.header, self.metadata, self.content, *self.buffers)
        return sum(map(len, texts))


def read(frames: Sequence[bytes]) -> Message:
    """Take a message apart.

    Raises
    ------
    Unreadable
        when it is none.
    """
    try:
        start = frames.index(_DELIMITER)
        _, header, parent, metadata, content = frames[start + 1 : start + 6]
        texts = [_text(one) for one in (header, parent, metadata, content)]
        buffers = [base64.b64encode(one).decode() for one in frames[start + 6 :]]
        return Message(*texts, *buffers)
    except (ValueError, RecursionError, MemoryError):
        raise Unreadable from None


def make(
    kind: str,
    parent: Mapping[str, Any],
    content: Mapping[str, Any],
    number: str,
    *,
    session: str,
    metadata: Mapping[str, Any] | None = None,
) -> Message:
    """Make a message that the kernel, whose name is `session`, would have sent.

    Its id follows from its parent's.
    """
    header = {
        "msg_id": "%s-%s" % (parent.get("msg_id", ""), number),
        "msg_type": kind,
        "session": session or parent.get("session", ""),
        "username": "sessmgr",
        "date": date(),
        "version": "5.3",
    }
    return Message(*map(json.dumps, (header, parent, metadata or {}, content)))


def new_session() -> str:
    """Make a name for who asks."""
    return os.urandom(16).hex()


def question(key: bytes, session: str) -> list[bytes]:
    """Make a request to tell what the kernel is, signed."""
    header = {
        "msg_id": "%s-%d" % (session, time.monotonic_ns()),
        "msg_type": "kernel_info_request",
        "session": session,
        "username": "sessmgr",
        "date": date(),
        "version": "5.3",
    }
    parts = [json.dumps(header).encode(), b"{}", b"{}", b"{}"]
    signature = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest() if key else ""
    return [_DELIMITER, signature.encode(), *parts]


def date(at: float | None = None) -> str:
    """Spell a time as Jupyter does; by default now."""
    now = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%06dZ" % (now % 1 * 1e6)


def _text(frame: bytes) -> str:
    """Decode a part; numbers that JSON does not have, and some kernels send, become null."""
    text = frame.decode()
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(json.loads(text, parse_constant=lambda _: None))
    return text


def _object(text: str) -> dict[str, Any]:
    value = _DECODER.decode(text)
    if isinstance(value, dict):
        return value
    raise ValueError


def _word(head: Mapping[str, Any], name: str) -> str:
    """Read an id or a type; what is no text, or too long for one, counts as none."""
    value = head.get(name)
    if not isinstance(value, str) or len(value) > MAX_ID:
        return ""
    return value.encode(errors="replace").decode()
