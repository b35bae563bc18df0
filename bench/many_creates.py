"""What 1,000 simultaneous creations do to a server: all answered, memory and others' latency.

Sessions are enqueued only, and none is let in, so that the server alone is measured. The bars:
nothing but 201 and 429 with Retry-After, 100 MB more memory, 99 of 100 GETs within 250 ms.

    python bench/many_creates.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.plugins.floods import flood
from tests.plugins.server import Servers

COUNT, ROOM = 1000, 900
MEMORY_BAR, GET_BAR = 100.0, 0.25
CONFIG = {
    "AdmissionControl": {
        "max_running": 0,
        "max_pending": ROOM,
        "max_sessions": None,
        "max_sessions_per_owner": None,
    }
}


def main():
    """Measure, print, and fail when a bar is missed."""
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(config=CONFIG)
            found = flood(server, COUNT)
            waiting = len(server.sessions())
        finally:
            servers.clean()
    print(
        json.dumps(
            {
                "statuses": found.statuses,
                "waiting": waiting,
                "seconds": round(found.took, 2),
                "MiB more": round(found.grew, 1),
                "GET p50 ms": round(found.gets[len(found.gets) // 2] * 1000, 1),
                "GET p99 ms": round(found.get_p99() * 1000, 1),
                "GET slowest ms": round(found.gets[-1] * 1000, 1),
                "GETs": len(found.gets),
            }
        )
    )
    answered = set(found.statuses) <= {201, 429} and found.statuses.total() == COUNT
    fits = found.grew < MEMORY_BAR and found.get_p99() < GET_BAR and not found.unsaid
    return 0 if answered and fits and waiting == ROOM else 1


if __name__ == "__main__":
    sys.exit(main())
