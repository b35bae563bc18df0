"""What GET {root}/session/:id costs, as a multiple of Jupyter's own GET /api/kernels/:id.

Both are asked in turn, of one server with 200 sessions in its store. The bar is 1.3.

    python bench/rest_info.py
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.session import ComputeSession, SessionSpec
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.quota import UNLIMITED
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.server import Servers

SESSIONS, ROUNDS = 200, 1500
BAR = 1.3


async def fill(path, owner, count=SESSIONS):
    """Write rows of sessions that ended, as a server of long standing has them."""
    folder = StateFolder(path)
    folder.open(lock=True)
    store = SqliteStore(keep_ended_most=count)
    await store.open(path, folder.secrets())
    for number in range(count):
        session = ComputeSession(
            id=f"00000000-0000-4000-8000-{number:012d}",
            name=f"old-{number}",
            owner=owner,
            spec=SessionSpec(image="jupyter-sessmgr/python:latest"),
            created_at=time.time(),
        )
        session = await store.add(session, UNLIMITED)
        ended = replace(session, status=SessionStatus.TERMINATED, ended_at=time.time())
        await store.save_facts(ended)
    await store.close()
    folder.close()


def measure(server, reference):
    """Return median seconds of both requests, asked in turn over one connection."""
    paths = {"ours": f"sessmgr/session/{reference}", "jupyter": f"api/kernels/{reference}"}
    seconds = {name: [] for name in paths}
    base = urlsplit(server.url)
    client = http.client.HTTPConnection(base.hostname, base.port)
    headers = {"Authorization": f"token {server.token}"}
    for _ in range(ROUNDS):
        for name, path in paths.items():
            begin = time.perf_counter()
            client.request("GET", base.path + path, headers=headers)
            reply = client.getresponse()
            body = reply.read()
            seconds[name].append(time.perf_counter() - begin)
            assert reply.status == 200, body
    return {name: statistics.median(values[100:]) for name, values in seconds.items()}


def main():
    """Measure, print, and fail when the bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            state = Path(folder) / "state"
            config = {"SessMgrApp": {"owner": "bench"}}
            asyncio.run(fill(state, "bench"))
            server = servers.start(state_dir=state, config=config)
            made = server.create()
            server.until_listed(made["sessionId"])
            medians = measure(server, made["sessionId"])
        finally:
            servers.clean()
    ratio = medians["ours"] / medians["jupyter"]
    print(json.dumps({"ms": {k: round(v * 1000, 3) for k, v in medians.items()}, "ratio": ratio}))
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
