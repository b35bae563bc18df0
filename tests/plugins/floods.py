"""Many requests at once to a real server, from a process of their own, and what it does to others.

python -m tests.plugins.floods URL TOKEN COUNT
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tests.plugins.server import ROOT

MIB = 2**20


@dataclass
class Flooded:
    """What a flood of creations came to."""

    #: How often each status was answered.
    statuses: Counter
    #: Statuses that ask to come back, without saying when.
    unsaid: int
    #: Seconds until all were answered.
    took: float
    #: Seconds of each GET meanwhile, in ascending order.
    gets: list
    #: How much more memory the server had at most, in MiB.
    grew: float

    def get_p99(self):
        return self.gets[int(len(self.gets) * 0.99)]


def flood(server, count):
    """Create `count` sessions at once, not waiting for their start; look at one all the while."""
    process = psutil.Process(server.pid)
    reference = server.create(enqueueOnly=True)["sessionId"]
    before = highest = process.memory_info().rss
    client = subprocess.Popen(
        [sys.executable, "-m", __name__, server.url, server.token, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    base = urlsplit(server.url)
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    path = f"{base.path}sessmgr/session/{reference}"
    gets = []
    try:
        while client.poll() is None:
            gets.append(_time_get(connection, path, server.token))
            highest = max(highest, process.memory_info().rss)
            time.sleep(0.005)
        told = json.loads(client.stdout.read())
    finally:
        connection.close()
        client.kill()
        client.wait()
        client.stdout.close()
    return Flooded(
        statuses=Counter({int(status): n for status, n in told["statuses"].items()}),
        unsaid=told["unsaid"],
        took=told["took"],
        gets=sorted(gets),
        grew=(highest - before) / MIB,
    )


def _time_get(connection, path, token):
    began = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"token {token}"})
    reply = connection.getresponse()
    reply.read()
    assert reply.status == 200
    return time.perf_counter() - began


async def _create_all(url, token, count):
    client = SimpleAsyncHTTPClient(force_instance=True, max_clients=count)
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    body = json.dumps({"enqueueOnly": True}).encode()

    async def create():
        reply = await client.fetch(
            f"{url}sessmgr/session",
            method="POST",
            headers=headers,
            body=body,
            raise_error=False,
            connect_timeout=120,
            request_timeout=120,
        )
        return reply.code, "Retry-After" in reply.headers

    began = time.perf_counter()
    answers = await asyncio.gather(*(create() for _ in range(count)))
    return {
        "statuses": Counter(code for code, _ in answers),
        "unsaid": sum(code in {429, 503} and not said for code, said in answers),
        "took": time.perf_counter() - began,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_create_all(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
