"""Real servers with crowds of sessions: all is real but the engine, which has them in memory.

The server imports this module by the engine's name, `ENGINE`.
"""

from __future__ import annotations

import math
import time
import zlib

from jupyter_sessmgr.manager.installation import opening
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeLinks
from tests.plugins.browser import until
from tests.plugins.fakes import LatestEngine

ENGINE = f"{__name__}.CrowdEngine"
#: No limit of how many there may be.
_NAMES = ("max_running", "max_running_per_owner", "max_sessions", "max_sessions_per_owner")
CONFIG = {
    "AdmissionControl": {
        **dict.fromkeys(_NAMES),
        "max_cpu_per_owner": None,
        "max_mem_per_owner": None,
        "allowed_images": [FAKE_IMAGE],
        "default_mem": "64m",
    },
    "StartQueue": {"memory_overcommit": 1000.0, "cpu_overcommit": 1000.0},
}


class CrowdEngine(LatestEngine):
    """An engine in memory, whose sessions use something."""


class CrowdLinks(FakeLinks):
    """Links to agents that say what their sessions use, and tell of it as time goes by."""

    def __init__(self, _secrets, on_change, log):
        super().__init__(CrowdEngine.latest, on_change, log)

    def get(self, place_id):
        link = super().get(place_id)
        link.usage = lambda: _usage(place_id)
        link.logs = _logs
        link.services = {}
        return link


async def _logs(_tail):
    return "What a session of the crowd wrote.\n"


async def _usage(place_id):
    phase = zlib.crc32(place_id.encode()) % 100
    now = time.time()
    busy = 400 * now + 1200 * math.sin(now / 7 + phase)  # what a curve of a processor integrates to
    memory = (60 + phase + 20 * math.sin(now / 11 + phase)) * 2**20
    return Usage(cpu_ms=int(busy), mem_bytes=int(memory), pids=3)


opening.AgentLinks = CrowdLinks  # in servers that have this engine


def gather(server, count, prefix="crowd"):
    """Start sessions that have no kernel, and wait until all run; return their ids."""
    wish = {"image": FAKE_IMAGE, "kernel": "", "enqueueOnly": True}
    ids = [
        server.create(clientSessionToken=f"{prefix}-{number:03d}", **wish)["sessionId"]
        for number in range(count)
    ]

    def all_run():
        return sum(one["status"] == "RUNNING" for one in server.sessions()) >= count

    until(all_run, what="all of the crowd run")
    return ids
