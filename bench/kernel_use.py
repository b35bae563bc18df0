"""What a remote kernel costs in use: executions, output and restarts, through a websocket.

A local kernel and a session's are asked in turn, of one server, which sets TCP_NODELAY on both
websockets. Bars: an execution takes <= 1.1 x a local kernel's, output comes at >= 0.8 x, and the
first reply after a restart <= 0.3 x.

    python bench/kernel_use.py [ROUNDS] [process|docker]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.sync.client import connect

from tests.plugins.server import Servers

KERNELS = {"local": "python3", "ours": "sessmgr-python"}
#: Executions in a round, and what a round prints: a thousand characters a line.
EXECUTIONS, LINES = 100, 10_000
PRINTS = f"for _ in range({LINES}): print('x' * 999)"
ROUND_TRIP, OUTPUT, RESTART = 1.1, 0.8, 0.3
#: Seconds between restarts, so that none pays for the one before.
PAUSE = 1.0


def execute(socket, code, awaits=("execute_reply", "idle")):
    """Run code; returns when what is awaited of it is here."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False}
    message = {"channel": "shell", "header": header, "content": content}
    socket.send(json.dumps({**message, "parent_header": {}, "metadata": {}}))
    awaited = set(awaits)
    while awaited:
        answer = json.loads(socket.recv(120))
        if answer["parent_header"].get("msg_id") == header["msg_id"]:
            awaited -= {answer["msg_type"], answer["content"].get("execution_state")}


def restart(server, kernel, socket):
    """Restart a kernel; returns when what it was asked at once is answered.

    What a local one puts out of that is lost: its reply comes before its output channel.
    """
    reply = server.ask("POST", f"api/kernels/{kernel}/restart", timeout=120)
    assert reply.status_code == 200, reply.text
    execute(socket, "1", ["execute_reply"])


def opened(server, name, stack):
    """Start a kernel as JupyterLab does, and open its websocket; returns its id and that."""
    reply = server.ask("POST", "api/kernels", json={"name": name}, timeout=120)
    assert reply.status_code == 201, reply.text
    kernel = reply.json()["id"]
    url = f"ws{server.url.removeprefix('http')}api/kernels/{kernel}/channels"
    headers = {"Authorization": f"token {server.token}"}
    socket = stack.enter_context(connect(url, additional_headers=headers, max_size=2**26))
    execute(socket, "1")
    return kernel, socket


def timed(work, *args):
    """Return how long something took, in seconds."""
    begin = time.perf_counter()
    work(*args)
    return time.perf_counter() - begin


def measure(server, kernels, rounds):
    """Ask each kernel in turn; returns medians of seconds by what and kernel."""
    trips, prints, restarts = ({label: [] for label in kernels} for _ in range(3))
    for _ in range(rounds):
        for _ in range(EXECUTIONS):
            for label, (_, socket) in kernels.items():
                trips[label].append(timed(execute, socket, "1"))
        for label, (_, socket) in kernels.items():
            prints[label].append(timed(execute, socket, PRINTS))
    for _ in range(rounds):
        for label, (kernel, socket) in kernels.items():
            restarts[label].append(timed(restart, server, kernel, socket))
            time.sleep(PAUSE)
    return [
        {label: statistics.median(values) for label, values in one.items()}
        for one in (trips, prints, restarts)
    ]


def main(rounds="5", engine="process"):
    """Measure, print, and fail when a bar is missed."""
    limits = {"iopub_data_rate_limit": 0, "iopub_msg_rate_limit": 0}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = Servers(Path(folder))
        stack.callback(servers.clean)
        server = servers.start(engine, config={"ZMQChannelsWebsocketConnection": limits})
        kernels = {label: opened(server, name, stack) for label, name in KERNELS.items()}
        trips, prints, restarts = measure(server, kernels, int(rounds))
    trip, output = trips["ours"] / trips["local"], prints["local"] / prints["ours"]
    print(f"execution: ours {trips['ours'] * 1e3:.2f} ms, local {trips['local'] * 1e3:.2f} ms")
    print(f"  ratio {trip:.2f} (bar <= {ROUND_TRIP})")
    rates = {label: LINES / 1000 / seconds for label, seconds in prints.items()}
    print(f"output: ours {rates['ours']:.1f} MB/s, local {rates['local']:.1f} MB/s")
    print(f"  ratio {output:.2f} (bar >= {OUTPUT})")
    again = restarts["ours"] / restarts["local"]
    print(f"restart: {', '.join(f'{one} {value * 1e3:.0f} ms' for one, value in restarts.items())}")
    print(f"  ratio {again:.2f} (bar <= {RESTART})")
    return int(trip > ROUND_TRIP or output < OUTPUT or again > RESTART)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
