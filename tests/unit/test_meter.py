"""How the meter asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.manager.agents.words import ERRORS
from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.use.meter import Measured, UsageMeter, _percent
from jupyter_sessmgr.model.errors import AgentUnavailable
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.testing import make_session
from tests.plugins.waiting import eventually


class Agents:
    """The agents of many sessions; every seventh does not answer, or refuses what it can."""

    def __init__(self, many):
        self.rows = {
            f"place{number}": make_session(status=SessionStatus.RUNNING, place_id=f"place{number}")
            for number in range(many)
        }
        self.asked = self.now = self.most = 0
        self.refusal = AgentUnavailable
        self.bus = EventBus(logging.getLogger("meter"))
        self.store = SimpleNamespace(
            sessions=lambda: list(self.rows.values()),
            get=lambda key: next((row for row in self.rows.values() if row.id == key), None),
        )
        self.links = SimpleNamespace(get=self.link)

    def silent(self):
        return {row.id for place, row in self.rows.items() if int(place[5:]) % 7 == 0}

    def link(self, place_id):
        async def usage():
            self.asked += 1
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.002)
            self.now -= 1
            if int(place_id[5:]) % 7 == 0:
                raise self.refusal("It does not answer.")
            return Usage(cpu_ms=self.asked, mem_bytes=7)

        return SimpleNamespace(usage=usage)


@contextlib.asynccontextmanager
async def metered(agents, **traits):
    board = Activity()
    meter = UsageMeter(board, **traits)
    meter.start(agents)
    try:
        yield meter, board
    finally:
        await meter.stop()


async def test_all_are_asked_a_few_at_a_time():
    agents = Agents(50)
    async with metered(agents, interval=0.2, at_once=4) as (meter, board):
        talking = [row for row in agents.rows.values() if row.id not in agents.silent()]
        await eventually(lambda: all(meter.of(row.id) for row in talking))
        assert agents.most <= 4
        assert not any(meter.of(one) for one in agents.silent())
        assert board.stamp(talking[0]).usage.mem_bytes == 7
        await eventually(lambda: meter.of(talking[0].id).cpu_percent is not None)


@pytest.mark.parametrize("refusal", ERRORS.values())
async def test_F10_an_agent_that_refuses_with_whatever_it_likes_ends_no_measuring(refusal):
    agents = Agents(9)
    agents.refusal = refusal
    async with metered(agents, interval=0.01) as (meter, _):
        await eventually(lambda: agents.asked > 30)
        assert meter.of(agents.rows["place1"].id)


async def test_one_that_ended_is_forgotten_and_one_that_does_not_run_is_not_asked():
    agents = Agents(3)
    one = agents.rows["place1"]
    async with metered(agents, interval=0.02) as (meter, _):
        await eventually(lambda: meter.of(one.id))
        del agents.rows["place1"]
        ended = make_session(id=one.id, status=SessionStatus.TERMINATED)
        agents.bus.publish(StatusChanged(ended, SessionStatus.TERMINATING))
        assert meter.of(one.id) is None
        asked = agents.asked
        await eventually(lambda: agents.asked > asked + 4)
        assert meter.of(one.id) is None


@pytest.mark.parametrize(
    ("before", "now", "passed", "percent"),
    [(1000, 2000, 2.0, 50.0), (1000, 5000, 2.0, 200.0), (1000, 500, 2.0, 0.0), (0, 0, 1.0, 0.0)],
)
def test_percent_of_a_processor(before, now, passed, percent):
    earlier = Measured(Usage(cpu_ms=before), None, 0.0, 10.0)
    assert _percent(earlier, Usage(cpu_ms=now), 10.0 + passed) == percent
    assert _percent(None, Usage(cpu_ms=now), 1.0) is None
    assert _percent(earlier, Usage(cpu_ms=now), 10.0) is None
