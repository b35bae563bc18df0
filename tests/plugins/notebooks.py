"""A notebook's side of a kernel's websocket, as JupyterLab speaks it."""

from __future__ import annotations

import itertools
import json
import struct
import time
import uuid
from urllib.parse import urlencode

from jupyter_server.services.kernels.connection.base import deserialize_binary_message
from websockets.sync.client import connect

V1 = "v1.kernel.websocket.jupyter.org"


class Notebook:
    """One open websocket to one kernel; every message that arrived is kept in `heard`."""

    def __init__(self, client, kernel_id, *, v1=False, session="", replay=()):
        self.session = session or uuid.uuid4().hex
        self.heard = []
        self._v1 = v1
        query = urlencode({"session_id": self.session, "replay": replay}, doseq=True)
        url = f"ws{client.url.removeprefix('http')}api/kernels/{kernel_id}/channels"
        self._connecting = connect(
            f"{url}?{query}",
            additional_headers={"Authorization": f"token {client.token}"},
            subprotocols=[V1] if v1 else None,
            max_size=2**24,
            open_timeout=60,
        )

    def __enter__(self):
        self._socket = self._connecting.__enter__()
        return self

    def __exit__(self, *exc):
        self._connecting.__exit__(*exc)

    def send(self, msg_type, content, channel="shell", *, msg_id="", metadata=None, above=None):
        """Send a message, which may have another one's header `above` it; return its id."""
        header = {
            "msg_id": msg_id or uuid.uuid4().hex,
            "msg_type": msg_type,
            "username": "",
            "session": self.session,
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        if self._v1:
            parts = [
                json.dumps(part).encode() for part in (header, above or {}, metadata or {}, content)
            ]
            self._socket.send(_pack(channel, parts))
        else:
            message = {
                "channel": channel,
                "header": header,
                "parent_header": above or {},
                "metadata": metadata or {},
                "content": content,
                "buffers": [],
            }
            self._socket.send(json.dumps(message))
        return header["msg_id"]

    def hear(self, wanted, timeout=60):
        """Return the first message from now on for which `wanted(message)` is true."""
        deadline = time.monotonic() + timeout
        while True:
            raw = self._socket.recv(deadline - time.monotonic())
            message = self._read(raw)
            self.heard.append(message)
            if wanted(message):
                return message

    def _read(self, raw):
        if self._v1:
            return _unpack(raw)
        if isinstance(raw, str):
            return json.loads(raw)
        message = deserialize_binary_message(raw)
        return {**message, "buffers": [bytes(one) for one in message["buffers"]]}

    @property
    def position(self):
        """Say the last that was heard, as ``replay=`` takes it."""
        last = next(m for m in reversed(self.heard) if m["channel"] == "iopub" and not is_made(m))
        return f"msg:{last['header']['msg_id']}"

    def reattach(self, msg_id):
        """Ask to hear of an execution of before, as a page does that was loaded again."""
        metadata = {"sessmgr": {"reattach": True}}
        content = {"code": "", "silent": True, "store_history": False}
        return self.send("execute_request", content, msg_id=msg_id, metadata=metadata)

    def ask(self, code, **content):
        """Ask for an execution; return its message id."""
        return self.send("execute_request", {"code": code, "silent": False, **content})

    def finish(self, msg_id, timeout=60):
        """Wait until an execution is idle; return what it printed, showed or raised."""
        self.hear(lambda m: is_status(m, "idle") and parent(m) == msg_id, timeout)
        return self.output(msg_id)

    def run(self, code, timeout=60):
        """Execute code and return its output; kernels drop what comes right after an error."""
        deadline = time.monotonic() + timeout
        while True:
            asked = self.ask(code)
            output = self.finish(asked, deadline - time.monotonic())
            if self.reply(asked, deadline - time.monotonic())["status"] != "aborted":
                return output

    def reply(self, msg_id, timeout=60):
        """Return what a request's reply says, which comes before or after the rest."""
        known = (message for message in self.heard if is_reply(message, msg_id))
        found = next(known, None) or self.hear(lambda m: is_reply(m, msg_id), timeout)
        return found["content"]

    def output(self, msg_id):
        """Return what is known of an execution's output."""
        text = ""
        for message in self.heard:
            content = message["content"]
            if parent(message) == msg_id and message["channel"] == "iopub":
                text += content.get("text", "") + content.get("data", {}).get("text/plain", "")
                text += "\n".join(content.get("traceback", []))
        return text


def parent(message):
    return message["parent_header"].get("msg_id")


def is_made(message):
    """Tell whether a message is of the server, not of the kernel."""
    return bool(message["metadata"].get("sessmgr", {}).get("made"))


def is_reply(message, msg_id):
    return message["header"]["msg_type"] == "execute_reply" and parent(message) == msg_id


def is_status(message, state):
    kind = message["header"]["msg_type"]
    return kind == "status" and message["content"]["execution_state"] == state


def _pack(channel, parts):
    pieces = [channel.encode(), *parts]
    offsets = [8 * (len(pieces) + 2)]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(pieces)


def _unpack(raw):
    (count,) = struct.unpack_from("<Q", raw)
    offsets = struct.unpack_from(f"<{count}Q", raw, 8)
    pieces = [raw[start:end] for start, end in itertools.pairwise(offsets)]
    header, parent_header, metadata, content = (json.loads(piece) for piece in pieces[1:5])
    return {
        "channel": pieces[0].decode(),
        "header": header,
        "parent_header": parent_header,
        "metadata": metadata,
        "content": content,
        "buffers": pieces[5:],
    }
