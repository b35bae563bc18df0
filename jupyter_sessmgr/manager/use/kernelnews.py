"""Reads what kernels say of themselves: Jupyter's messages, as far as busy and idle go. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_DELIMITER = b"<IDS|MSG>"
#: Frames of a message after the delimiter: signature, header, parent header, metadata, content.
_FRAMES = 5
#: A status message has some 1,000 bytes; one with more is not read.
_MOST_BYTES = 2**14
#: Executions of one kernel that may be under way at once; a kernel that says more is not believed.
_MOST_PARENTS = 256
#: Asked for by whoever connects, so no use of a session.
_NO_USE = frozenset({"kernel_info_request", ""})
_EXECUTE = "execute_request"


class KernelNews:
    """Follows one kernel's status messages.

    Parameters
    ----------
    key : bytes
        The kernel's; signs the questions.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._own = uuid.uuid4().hex
        self._parents: set[str] = set()
        #: Whether what it did before it was listened to is known to be over.
        self._caught_up = False
        #: The topic of its status messages; b"" until one was an answer to ours.
        self.topic = b""
        #: Whether it executes something; None: it did not say yet.
        self.busy: bool | None = None

    def question(self) -> list[bytes]:
        """Make a message to its shell channel that it answers as soon as it is idle."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "kernel_info_request",
            "session": self._own,
            "username": "sessmgr",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.3",
        }
        parts = [json.dumps(one).encode() for one in (header, {}, {}, {})]
        signature = hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest()
        return [_DELIMITER, signature.encode(), *parts]

    def answered(self) -> None:
        """Note that it answered the question: it has done all that was asked before."""
        self._parents.clear()
        self._caught_up, self.busy = True, False

    def take(self, frames: Sequence[bytes]) -> bool:
        """Read one message of its iopub channel; returns whether it means use of the session.

        What makes no sense is skipped: code in a session can speak for its kernel.
        """
        status = _status(frames)
        if status is None:
            return False
        topics, parent, state = status
        message_id, kind = str(parent.get("msg_id", "")), str(parent.get("msg_type", ""))
        own = parent.get("session") == self._own
        if own:
            self.topic = topics[0] if len(topics) == 1 else b""
        if state == "busy" and len(self._parents) < _MOST_PARENTS:
            self._parents.add(message_id)
        elif state == "idle":
            # In line behind all else, as our question is; what comes on the control channel is not.
            in_line = own or (kind == _EXECUTE and message_id in self._parents)
            self._caught_up = self._caught_up or in_line
            self._parents.discard(message_id)
        elif state == "starting":
            self._parents.clear()
        self.busy = True if self._parents else False if self._caught_up else None
        return kind not in _NO_USE


def _status(frames: Sequence[bytes]) -> tuple[list[bytes], dict[str, Any], str] | None:
    """Take a status message apart: its topics, its parent's header and the state."""
    try:
        if sum(map(len, frames)) > _MOST_BYTES:
            return None
        start = list(frames).index(_DELIMITER)
        _, header, parent, _, content = frames[start + 1 : start + 1 + _FRAMES]
        if b'"status"' not in header:
            return None
        told = [json.loads(one) for one in (header, parent, content)]
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(one, dict) for one in told) or told[0].get("msg_type") != "status":
        return None
    return list(frames[:start]), told[1], str(told[2].get("execution_state", ""))
