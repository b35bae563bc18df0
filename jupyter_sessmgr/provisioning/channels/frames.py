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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)

V1 = "v1.kernel.websocket.jupyter.org"
#: Longest name of a cell that is noted; a notebook's are up to 64 characters.
_MAX_CELL = 128
_EXECUTE, _INFO = "execute_request", "kernel_info_request"
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
        cell = self.metadata.get("cellId")
        return cell if isinstance(cell, str) and 0 < len(cell) <= _MAX_CELL else None

    @property
    def reattaches(self) -> bool:
        """Whether it only wants to hear of an execution that was asked for under this id."""
        ours = self.metadata.get("sessmgr")
        return self.executes and isinstance(ours, dict) and ours.get("reattach") is True


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


def _v1_parts(message: bytes | str) -> tuple[Any, Any]:
    """Cut header and metadata out of a message to the shell channel, without reading the rest.

    The message begins with the number of offsets, then has offsets of channel, header, parent
    header, metadata, ….
    """
    if isinstance(message, str):
        return None, None
    offsets = [int.from_bytes(message[8 * item : 8 * (item + 1)], "little") for item in range(1, 6)]
    channel, header, _, metadata = (
        message[start:end] for start, end in itertools.pairwise(offsets)
    )
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
