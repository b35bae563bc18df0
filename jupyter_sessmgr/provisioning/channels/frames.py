"""Reads and writes kernel messages as a browser's websocket has them, in both protocols. Pure.

In v1 a message is binary and begins with offsets, so that one part of it is read without the
others; before that it is JSON, or, with buffers, JSON behind offsets of its own.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)

V1 = "v1.kernel.websocket.jupyter.org"
#: Longest name of a cell that is noted; a notebook's are up to 64 characters.
_MAX_CELL = 128
#: Longest path of a notebook that is noted.
_MAX_PATH = 4096
_EXECUTE, _INFO = "execute_request", "kernel_info_request"
_ANSWER = "input_reply"
_to_v1: Callable[[Any, str], bytes] = serialize_msg_to_ws_v1
_to_binary: Callable[[Any], bytes] = serialize_binary_message


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on the shell channel that we look at: to execute, or for the kernel's info."""

    header: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def msg_id(self) -> str:
        """The request's id; what comes of it names it as its parent."""
        return str(self.header["msg_id"])

    @property
    def executes(self) -> bool:
        """Whether the kernel is to execute code; else it is asked about itself."""
        return bool(self.header["msg_type"] == _EXECUTE)

    @property
    def cell(self) -> str | None:
        """The notebook's cell that is executed, as JupyterLab and Notebook tell it."""
        return _short(self.metadata.get("cellId"), _MAX_CELL)

    @property
    def path(self) -> str | None:
        """The notebook that the cell is of, as our part of the browser tells it."""
        return _short(self._ours.get("path"), _MAX_PATH)

    @property
    def reattaches(self) -> bool:
        """Whether it only wants to hear of an execution that was asked for under this id."""
        return self.executes and self._ours.get("reattach") is True

    @property
    def forgets(self) -> bool:
        """Whether it only says that the output of this execution is wanted in no cell any more."""
        return self.executes and self._ours.get("forget") is True

    @property
    def _ours(self) -> dict[str, Any]:
        ours = self.metadata.get("sessmgr")
        return ours if isinstance(ours, dict) else {}


def _short(value: Any, longest: int) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def read_asked(message: bytes | str, *, v1: bool) -> Asked | None:
    """Find out what a browser asks; None for all messages that we do not look at.

    What makes no sense is not judged here: it is forwarded, and answered, as ever.
    """
    try:
        header, metadata = _v1_parts(message) if v1 else _json_parts(message)
    except (ValueError, struct.error, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("msg_type") not in {_EXECUTE, _INFO}:
        return None
    if not isinstance(header.get("msg_id"), str):
        return None
    return Asked(header, metadata if isinstance(metadata, dict) else {})


def read_answered(message: bytes | str, *, v1: bool) -> str | None:
    """Say which question, by its id, a browser answers; None for all other messages."""
    text = message if isinstance(message, str) else message.decode(errors="replace")
    if _ANSWER not in text:
        return None
    try:
        if v1 and isinstance(message, bytes):
            _, header, above, _ = _cut(message)
            kind, question = json.loads(header).get("msg_type"), json.loads(above)
        else:
            whole = json.loads(message)
            kind, question = whole["header"].get("msg_type"), whole["parent_header"]
        return str(question["msg_id"]) if kind == _ANSWER else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _cut(message: bytes) -> Iterator[bytes]:
    """Cut channel, header, parent header and metadata out of a message, without the rest.

    The message begins with the number of offsets, then has those of its parts.
    """
    offsets = [int.from_bytes(message[8 * item : 8 * (item + 1)], "little") for item in range(1, 6)]
    return (message[start:end] for start, end in itertools.pairwise(offsets))


def _v1_parts(message: bytes | str) -> tuple[Any, Any]:
    """Read header and metadata of a message to the shell channel."""
    if isinstance(message, str):
        return None, None
    channel, header, _, metadata = _cut(message)
    if channel != b"shell" or not any(one.encode() in header for one in (_EXECUTE, _INFO)):
        return None, None
    return json.loads(header), json.loads(metadata or b"null")


def _json_parts(message: bytes | str) -> tuple[Any, Any]:
    if isinstance(message, bytes):
        count, start, end = struct.unpack_from("!3I", message + bytes(12))
        text = message[start : end if count > 1 else None].decode()
    else:
        text = message
    if _EXECUTE not in text and _INFO not in text:
        return None, None
    whole = json.loads(text)
    if not isinstance(whole, dict) or whole.get("channel", "shell") != "shell":
        return None, None
    return whole.get("header"), whole.get("metadata")


def write_message(
    message: dict[str, Any], channel: str, *, v1: bool, pack: Callable[[Any], bytes]
) -> bytes | str:
    """Write a message to a browser.

    Parameters
    ----------
    message : dict
        With header, parent_header, metadata, content, and buffers as bytes.
    channel : str
        "iopub" or "shell".
    v1 : bool
        Which protocol the browser chose.
    pack : callable
        Writes JSON.
    """
    if v1:
        parts = [pack(message[name]) for name in ("header", "parent_header", "metadata", "content")]
        return _to_v1([*parts, *message["buffers"]], channel)
    header = message["header"]
    whole = {
        **message,
        "msg_id": header.get("msg_id"),
        "msg_type": header.get("msg_type"),
        "channel": channel,
    }
    return _to_binary(whole) if message["buffers"] else pack(whole).decode()


def unpack_buffers(texts: Any) -> list[bytes]:
    """Read buffers as the journal has them; those that are no base64 are left empty."""
    return [_unpack_buffer(text) for text in texts] if isinstance(texts, list) else []


def _unpack_buffer(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return b""
