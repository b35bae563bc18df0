"""What is left of a kernel and its output when the only Jupyter server ends and is started again.

Side by side in one run: this extension (process engine), and jupyter-server-synchronizer in front of
a kernel gateway. A cell prints numbered lines; meanwhile the server gets SIGTERM or SIGKILL and is
started again on the same folder. A client with the same session id as before, and a new one, say
what they got of the lines. Bars, for ours: the same kernel, its variables, 0 lines missing, 0 doubled.

    python bench/survival.py [LINES] [LINES_PER_SECOND]
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bench.service_peers import free_port, start
from tests.plugins.server import ROOT, Servers

#: Seconds without a server.
AWAY = 2.0
CODE = """
import sys, time
seen = 41
begin = time.monotonic()
for number in range({lines}):
    sys.stdout.write(f"line {{number}}\\n")
    sys.stdout.flush()
    time.sleep(max(0.0, begin + (number + 1) / {rate} - time.monotonic()))
"""


@dataclass
class Found:
    """What a client has after all that."""

    same_kernel: bool
    variable: bool
    missing: int
    doubled: int
    ended: bool

    @property
    def whole(self):
        return self == Found(True, True, 0, 0, True)


class Listener:
    """A client of one kernel's websocket, which notes lines and where it is."""

    def __init__(self, client_id):
        self.client_id = client_id
        self.lines = []
        self.position = ""
        self.ended = False

    def open(self, server, kernel, stack, replay=""):
        """Open the kernel's websocket; `replay` tells ours from where."""
        query = f"session_id={self.client_id}" + (f"&replay={replay}" if replay else "")
        url = f"ws{server.url.removeprefix('http')}api/kernels/{kernel}/channels?{query}"
        headers = {"Authorization": f"token {server.token}"}
        opened = connect(url, additional_headers=headers, max_size=2**26, open_timeout=30)
        return stack.enter_context(opened)

    def take(self, socket, parent, seconds):
        """Note what comes, until the cell's end, the socket's end, or out of time."""
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            try:
                message = json.loads(socket.recv(max(0.01, deadline - time.monotonic())))
            except (ConnectionClosed, TimeoutError):
                return
            if message["parent_header"].get("msg_id") != parent:
                continue
            if message.get("channel") == "iopub":
                self.position = message["header"]["msg_id"]
            text = message["content"].get("text", "") if message["msg_type"] == "stream" else ""
            self.lines += [int(number) for number in re.findall(r"line (\d+)\n", text)]
            self.ended = message["content"].get("execution_state") == "idle"


def request(code, client_id, **metadata):
    """Make a request to execute code; returns its id and its text."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": client_id,
        "username": "bench",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = {"channel": "shell", "header": header, "content": content, "parent_header": {}}
    return header["msg_id"], json.dumps({**message, "metadata": metadata})


def survive(system, how, new_client, lines, rate):
    """Run it once; returns what was found."""
    with ExitStack() as stack:
        server = system.start()
        reply = server.ask("POST", "api/kernels", json={"name": system.kernel}, timeout=120)
        assert reply.status_code == 201, reply.text
        kernel = reply.json()["id"]
        first = Listener(uuid.uuid4().hex)
        parent, text = request(CODE.format(lines=lines, rate=rate), first.client_id)
        socket = first.open(server, kernel, stack)
        socket.send(text)
        first.take(socket, parent, lines / rate / 4)
        server.process.send_signal(how)
        first.take(socket, parent, 20)
        server.process.wait(30)
        time.sleep(AWAY)
        server = system.again(server)
        listed = {one["id"] for one in server.ask("GET", "api/kernels").json()}
        if kernel not in listed:
            return Found(False, False, lines - len(set(first.lines)), 0, False)
        client = Listener(uuid.uuid4().hex) if new_client else first
        # A new client begins where the cell does; an old one goes on after what it had last.
        replay = f"msg:{client.position}" if client.position else "0"
        socket = client.open(server, kernel, stack, replay if system.replays else "")
        client.take(socket, parent, lines / rate + 5)
        counted = set(client.lines)
        return Found(
            same_kernel=True,
            variable=has_variable(server, kernel),
            missing=lines - len(counted),
            doubled=len(client.lines) - len(counted),
            ended=client.ended,
        )


def has_variable(server, kernel):
    """Tell whether the kernel still knows what it was told before."""
    try:
        return "42" in server.execute(kernel, "seen + 1", timeout=15)
    except (TimeoutError, ConnectionClosed, AssertionError):
        return False


class Ours:
    """This extension."""

    name, kernel, replays = "ours", "sessmgr-python", True

    def __init__(self, folder, _stack):
        self._servers = Servers(folder)

    def start(self):
        return self._servers.start()

    def again(self, server):
        return self._servers.start(state_dir=server.state_dir)

    def clean(self):
        self._servers.clean()


class Synchronizer:
    """jupyter-server-synchronizer, with its kernels in a kernel gateway that goes on."""

    name, kernel, replays = "synchronizer + gateway", "python3", False

    def __init__(self, folder, stack):
        self._servers = Servers(folder)
        self._folder = folder
        self._started = []
        port = free_port()
        self._gateway = f"http://127.0.0.1:{port}"
        options = [
            f"--KernelGatewayApp.port={port}",
            "--JupyterWebsocketPersonality.list_kernels=True",
        ]
        command = [sys.executable, "-m", "kernel_gateway", "--KernelGatewayApp.allow_root=True"]
        start(stack, [*command, *options], port)

    def start(self, database=""):
        database = database or str(self._folder / f"{uuid.uuid4().hex}.db")
        config = {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_sessmgr": False},
                "session_manager_class": "jupyter_server_synchronizer.SynchronizerSessionManager",
            },
            "SessionManager": {"database_filepath": database},
            "SynchronizerSessionManager": {"autosync": True, "syncing_interval": 1.0},
            "GatewayClient": {"url": self._gateway},
        }
        environ = {"PYTHONPATH": ":".join([str(ROOT), *sys.path])}
        self._started.append(self._servers.start(config=config, environ=environ))
        return self._started[-1]

    def again(self, server):
        again = self.start(server.config["SessionManager"]["database_filepath"])
        again.ask("GET", "api/sessions")  # its listing is what synchronizes
        return again

    def clean(self):
        for server in self._started:  # there are no sessions of ours to end
            server.stop()


def main(lines="600", rate="100"):
    """Measure, print, and fail when ours lost anything."""
    lost = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        systems = [Ours(Path(folder) / "ours", stack)]
        if find_spec("jupyter_server_synchronizer") and find_spec("kernel_gateway"):
            systems.append(Synchronizer(Path(folder) / "peer", stack))
        else:
            print("jupyter-server-synchronizer is not installed (make bench does): ours alone")
        for system in systems:
            Path(folder, "ours" if system.name == "ours" else "peer").mkdir(exist_ok=True)
            stack.callback(system.clean)
        for how in (signal.SIGTERM, signal.SIGKILL):
            for new_client in (False, True):
                for system in systems:
                    found = survive(system, how, new_client, int(lines), float(rate))
                    who = "a new client" if new_client else "the same client"
                    print(f"{system.name}, {how.name}, {who}: {found}", flush=True)
                    lost += system.name == "ours" and not found.whole
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
