"""What running sessions use, from memory, and after an unclean end."""

from __future__ import annotations

import os
import signal

import pytest
from traitlets.config import Config

from jupyter_sessmgr.model.naming import place_name
from tests.plugins.managers import managed, run_code, running
from tests.plugins.processes import agent_pid
from tests.plugins.waiting import eventually

QUICK = Config({"UsageMeter": {"interval": 0.2}, "SessionReconciler": {"sweep_interval": 1.0}})
WORK = "import time; ends = time.monotonic() + 1.5; data = bytearray(50_000_000)\nwhile time.monotonic() < ends: pass"


@pytest.fixture
def end_unclean(request, engine_name, state_dir):
    """End a session's place behind the manager's back."""

    def end(manager, session):
        if engine_name == "process":
            os.kill(agent_pid(state_dir, session.place_id), signal.SIGKILL)
        else:
            name = place_name(manager._parts.secrets.install_id, session.place_id)
            request.getfixturevalue("docker_api").kill(name, "SIGKILL")

    return end


async def test_usage_is_known_while_it_runs_and_after_an_unclean_end(
    state_dir, engine_name, end_unclean
):
    async with managed(state_dir, engine_name, config=QUICK) as manager:
        session = await running(manager)
        await eventually(lambda: manager.meter.of(session.id))
        await run_code(manager.connection_info(session.id), WORK)
        used = manager.meter.of(session.id).usage.cpu_ms
        await eventually(lambda: manager.meter.of(session.id).usage.cpu_ms >= max(used, 500))
        measured = manager.meter.of(session.id)
        assert measured.usage.mem_max_bytes > 50_000_000
        assert measured.cpu_percent is not None
        assert manager.find(session.id, "me").usage.cpu_ms >= 500
        end_unclean(manager, session)
        await eventually(lambda: manager.find(session.id, "me").status == "ERROR", 30)
        ended = manager.find(session.id, "me")
        assert ended.usage.cpu_ms >= 500
        assert ended.cpu_ms >= 500
        await eventually(lambda: manager.meter.of(session.id) is None)
