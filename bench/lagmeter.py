"""A server extension that measures for how long the event loop was away."""

from __future__ import annotations

import asyncio
import json
import time

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

#: Seconds between two looks; a look that comes later than planned shows that the loop was away.
INTERVAL = 0.002
_longest = {"away": 0.0}


def _jupyter_server_extension_points():
    return [{"module": "bench.lagmeter"}]


def _load_jupyter_server_extension(serverapp):
    handlers = [(f"{serverapp.base_url}lag", LagHandler)]
    serverapp.web_app.add_handlers(".*$", handlers)
    serverapp.io_loop.add_callback(_watch)


async def _watch():
    while True:
        planned = time.perf_counter() + INTERVAL
        await asyncio.sleep(INTERVAL)
        _longest["away"] = max(_longest["away"], time.perf_counter() - planned)


class LagHandler(JupyterHandler):
    """Say the longest absence since the last question."""

    @web.authenticated
    async def get(self):
        """Say it, and begin anew."""
        away, _longest["away"] = _longest["away"], 0.0
        self.finish(json.dumps({"away": away}))
