"""A server extension that measures for how long the event loop was away."""

from __future__ import annotations

import asyncio
import json
import time

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

#: Seconds between two looks; one that comes late was held up, by the loop or by the machine.
INTERVAL = 0.002
_longest = {"away": 0.0, "late": 0.0}
#: The task that looks, from the first question on: looking costs time, too.
_watching = []


def _jupyter_server_extension_points():
    return [{"module": "bench.lagmeter"}]


def _load_jupyter_server_extension(serverapp):
    handlers = [(f"{serverapp.base_url}lag", LagHandler)]
    serverapp.web_app.add_handlers(".*$", handlers)


def _watch_absences(loop):
    """Note how long the loop is away from its selector: busy with what it was woken for."""
    select = loop._selector.select
    left = time.perf_counter()

    def watched(timeout=None):
        nonlocal left
        _longest["away"] = max(_longest["away"], time.perf_counter() - left)
        try:
            return select(timeout)
        finally:
            left = time.perf_counter()

    loop._selector.select = watched


async def _watch_lateness():
    """Note how late a timer is, which on a machine with too few cores is mostly their lack."""
    while True:
        planned = time.perf_counter() + INTERVAL
        await asyncio.sleep(INTERVAL)
        _longest["late"] = max(_longest["late"], time.perf_counter() - planned)


class LagHandler(JupyterHandler):
    """Say the longest absence since the last question."""

    @web.authenticated
    async def get(self):
        """Say it, and begin anew."""
        if not _watching:
            _watch_absences(asyncio.get_running_loop())
            _watching.append(asyncio.create_task(_watch_lateness()))
        answer = json.dumps(_longest)
        _longest.update(away=0.0, late=0.0)
        self.finish(answer)
