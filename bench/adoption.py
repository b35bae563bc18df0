"""How soon after the server is back all kernels answer: killed, started again, 100 sessions.

Kernels are picked as JupyterLab does it; each gets a variable. The server gets SIGKILL and is
started again. From its first answer on, a client opens the websocket of every kernel and asks for
the variable. The bars: each kernel is listed under its id, all answer within 3 s.

    python bench/adoption.py [SESSIONS] [ENGINE]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.asyncio.client import connect

from tests.plugins.kernels import KERNEL
from tests.plugins.server import Servers

BAR = 3.0
#: Kernels that are started at the same time.
AT_ONCE = 4
#: No limit of how many there may be.
NAMES = ("max_running", "max_running_per_owner", "max_sessions", "max_sessions_per_owner")
CONFIG = {"AdmissionControl": {**dict.fromkeys(NAMES), "max_cpu_per_owner": None}}


def pick(server, number):
    """Start a kernel and leave a variable in it; return its id."""
    name = f"{number}.ipynb"
    wish = {"path": name, "name": name, "type": "notebook", "kernel": {"name": KERNEL}}
    reply = server.ask("POST", "api/sessions", json=wish, timeout=120)
    assert reply.status_code == 201, reply.text
    kernel_id = reply.json()["kernel"]["id"]
    server.execute(kernel_id, f"x = {number}", timeout=120)
    return kernel_id


async def answer(server, kernel_id, began):
    """Ask a kernel for its variable; return it, and when the answer came."""
    url = f"ws{server.url.removeprefix('http')}api/kernels/{kernel_id}/channels"
    headers = {"Authorization": f"token {server.token}"}
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    message = {
        "channel": "shell",
        "header": {**header, "session": uuid.uuid4().hex, "username": "bench"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": "print(x)", "silent": False},
    }
    async with connect(url, additional_headers=headers, open_timeout=60, max_size=2**24) as socket:
        await socket.send(json.dumps(message))
        async for raw in socket:
            heard = json.loads(raw)
            if heard["msg_type"] == "stream":
                return int(heard["content"]["text"]), time.monotonic() - began
    raise AssertionError("the websocket was closed before the answer")


async def ask_all(server, kernels, began):
    """Ask all kernels at once."""
    return await asyncio.gather(*(answer(server, one, began) for one in kernels))


def main(count="100", engine="process"):
    """Measure, print, and fail when the bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(engine, config=CONFIG)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                kernels = list(pool.map(lambda one: pick(server, one), range(int(count))))
            server.kill()
            killed = time.monotonic()
            servers.again(server)
            began = time.monotonic()
            listed = {one["id"] for one in server.ask("GET", "api/kernels").json()}
            notebooks = server.ask("GET", "api/sessions").json()
            answers = asyncio.run(ask_all(server, kernels, began))
            log = server.log()
        finally:
            servers.clean()
    times = [when for _, when in answers]
    print(
        json.dumps(
            {
                "sessions": len(kernels),
                "listed": len(listed & set(kernels)),
                "notebooks": len(notebooks),
                "right": sum(value == number for number, (value, _) in enumerate(answers)),
                "server back after s": round(began - killed, 2),
                "median answer s": round(statistics.median(times), 2),
                "last answer s": round(max(times), 2),
                "tracebacks": log.count("Traceback"),
            }
        )
    )
    whole = listed >= set(kernels) and [value for value, _ in answers] == list(range(len(kernels)))
    return 0 if whole and max(times) <= BAR else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
