"""A notebook's side of a kernel's websocket, as JupyterLab speaks it."""

from __future__ import annotations

import itertools
import json
import struct
import time
import uuid

from websockets.sync.client import connect

V1 = "v1.kernel.websocket.jupyter.org"


class Notebook:
    """One open websocket to one kernel; every message that arrived is kept in `heard`."""

    def __init__(self, client, kernel_id, *, v1=False):
        self.session = uuid.uuid4().hex
        self.heard = []
        self._v1 = v1
        url = f"ws{client.url.removeprefix('http')}api/kernels/{kernel_id}/channels"
        self._connecting = connect(
            f"{url}?session_id={self.session}",
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

    def send(self, msg_type, content, channel="shell"):
        """Send a message; return its id."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "username": "",
            "session": self.session,
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        if self._v1:
            parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
            self._socket.send(_pack(channel, parts))
        else:
            message = {
                "channel": channel,
                "header": header,
                "parent_header": {},
                "metadata": {},
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
            message = _unpack(raw) if self._v1 else json.loads(raw)
            self.heard.append(message)
            if wanted(message):
                return message

    def ask(self, code, **content):
        """Ask for an execution; return its message id."""
        return self.send("execute_request", {"code": code, "silent": False, **content})

    def finish(self, msg_id, timeout=60):
        """Wait until an execution is idle; return what it printed, showed or raised."""
        self.hear(lambda m: is_status(m, "idle") and parent(m) == msg_id, timeout)
        return self.output(msg_id)

    def run(self, code, timeout=60):
        """Execute code and return its output."""
        return self.finish(self.ask(code), timeout)

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
    }
