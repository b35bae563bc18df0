"""F10: a kernel whose channels turn into nonsense holds the server up nowhere."""

from __future__ import annotations

from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook

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


def test_F10_a_kernel_without_a_control_channel_can_be_ended(servers):
    server = servers.start()
    made = server.ask("POST", "api/kernels", json={"name": KERNEL})
    kernel_id = made.json()["id"]
    with Notebook(server, kernel_id) as notebook:
        assert "taken" in notebook.run(TAKE_CONTROL)
    ended = server.ask("DELETE", f"api/kernels/{kernel_id}", timeout=30)
    assert ended.status_code == 204, ended.text
    assert server.info(kernel_id)["status"] == "TERMINATED"
