"""F10: a kernel whose channels turn into nonsense holds the server up nowhere."""

from __future__ import annotations

import pytest

from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook, is_reply

#: Gives the kernel's control channel up, and greets whoever comes to its address instead with
#: words that no handshake knows.
TAKE_CONTROL = """
import contextlib, os, socket, threading
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
path = f"{app.ip}-{app.control_port}"
closed, came, kept = threading.Event(), threading.Semaphore(0), []
def close():
    app.control_socket.close(linger=0)
    closed.set()
app.control_thread.io_loop.add_callback(close)
closed.wait(10)
with contextlib.suppress(FileNotFoundError):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(20)
def greet():
    while True:
        one, _ = listener.accept()
        kept.append(one)
        nonsense = bytes([255, *bytes(8), 127, 3, 0, *b"NULL", *bytes(48), 4, 255, *b"z" * 300])
        with contextlib.suppress(OSError):
            one.sendall(nonsense)
        came.release()
threading.Thread(target=greet, daemon=True).start()
# The notebook's and the kernel manager's.
print("taken" if came.acquire(timeout=20) and came.acquire(timeout=20) else "they did not come")
"""
#: Says what is no message of Jupyter's on all channels, to the websocket that asks for it.
TALK_NONSENSE = r"""
import threading
from ipykernel.kernelapp import IPKernelApp
kernel = IPKernelApp.instance().kernel
who = kernel._parent_ident["shell"]
who = who if isinstance(who, list) else [who]
header, odd, said = b'{"msg_id": "x", "msg_type": "stream"}', b"[" * 100_000, threading.Event()
nonsense = [[], [b"x"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"s"], *([b"<IDS|MSG>", b"s", *parts] for parts in (
    [b"[", b"[", b"[", b"["],
    [b"\xff", b"7", b"[]", b'"text"'],
    [header, b'{"msg_id": []}', b"{}", odd],
    [odd, odd, odd, odd],
    [b'{"msg_type": "status"}', b'{"msg_id": {}}', b"7", b"[]"],
    [b'{"msg_type": []}', b"null", b"null", b"null"],
    [header, b"[]", b"{}", b"{}", b"more"],
))]
def say():
    for one in nonsense:
        kernel.shell_stream.send_multipart([*who, *one])
    said.set()
kernel.shell_channel_thread.io_loop.add_callback(say)
for one in nonsense:
    kernel.iopub_socket.send_multipart([b"topic", *one])
    kernel.stdin_socket.send_multipart([*who, *one])
print("said" if said.wait(20) else "not said")
"""


class Patient(Notebook):
    """A notebook that passes over what it cannot read, as browsers do."""

    def _read(self, raw):
        parts = ("header", "parent_header", "metadata", "content")
        try:
            message = super()._read(raw)
        except (ValueError, RecursionError):
            message = {}
        if not all(isinstance(message.get(part), dict) for part in parts):
            message = {"channel": "", **{part: {} for part in parts}}
        message["header"].setdefault("msg_type", "")
        return message


@pytest.mark.parametrize("v1", [True, False])
def test_F10_a_kernel_that_talks_nonsense_ends_no_websocket(shared_server, v1):
    kernel_id = shared_server.ask("POST", "api/kernels", json={"name": KERNEL}).json()["id"]
    with Patient(shared_server, kernel_id, v1=v1) as notebook:
        asked = notebook.ask(TALK_NONSENSE)
        notebook.hear(lambda m: is_reply(m, asked))
        assert notebook.run("print(6 * 7)") == "42\n"
    assert "messages that make no sense are not passed on" in shared_server.log()
    shared_server.ask("DELETE", f"api/kernels/{kernel_id}")


def test_F10_a_kernel_without_a_control_channel_can_be_ended(servers):
    server = servers.start()
    made = server.ask("POST", "api/kernels", json={"name": KERNEL})
    kernel_id = made.json()["id"]
    with Notebook(server, kernel_id) as notebook:
        assert "taken" in notebook.run(TAKE_CONTROL)
    ended = server.ask("DELETE", f"api/kernels/{kernel_id}", timeout=30)
    assert ended.status_code == 204, ended.text
    assert server.info(kernel_id)["status"] == "TERMINATED"
