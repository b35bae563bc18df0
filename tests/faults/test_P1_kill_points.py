"""P1, P3: killed at any point, nothing is lost and nothing leaks."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins import killpoints
from tests.plugins.managers import without_spares
from tests.plugins.waiting import eventually

ROOT = Path(__file__).parents[2]
CASES = [
    *(("create", point) for point in killpoints.CREATE),
    *(("restart", point) for point in killpoints.RESTART),
    *(("destroy", point) for point in killpoints.DESTROY),
]


def run_until_killed(state_dir, engine, point, scenario):
    """Run the harness; it must really have died at the point. Returns what it acknowledged."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.plugins.killpoints", str(state_dir), engine, point, scenario],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, (
        f"{point} was never reached:\n{ran.stdout}{ran.stderr}"
    )
    return ran.stdout


async def recover(state_dir, engine, told, scenario):
    """Start a manager on what is left, let it come to rest, and check the invariants."""
    manager = ComputeSessionManager(
        state_dir=str(state_dir),
        engine=engine,
        log=logging.getLogger("recovery"),
        config=without_spares(),
    )
    await manager.open()
    try:
        reconciler = manager._reconciler
        for _ in range(2):  # P3: reconciling twice does no harm
            await reconciler.sweep()
            await eventually(lambda: _calm(manager), timeout=60, what="recovery")
        await _check(manager, told, scenario)
        for session in manager.list("me"):
            await manager.destroy(session.id)
        assert not await _places(manager), "something is left after the end"
    finally:
        await manager.close()


def _calm(manager):
    return manager._reconciler.is_idle and all(
        session.status is SessionStatus.RUNNING
        and session.observed_generation >= session.generation
        for session in manager.list("me")
    )


async def _places(manager):
    found = await manager._parts.engine.survey()
    mine = manager._parts.secrets.install_id
    return {one.place_id: one.running for one in found if one.install_id == mine}


async def _check(manager, told, scenario):
    every = manager.list("me", live=False)
    live = manager.list("me")
    if "created" in told:
        session_id = told.split("created ")[1].split()[0]
        assert session_id in {one.id for one in every}, "I1: an acknowledged session is lost"
    assert {one.place_id: True for one in live} == await _places(manager), "I2, I3"
    if scenario == "destroy":
        assert not live
        assert every[0].status is SessionStatus.TERMINATED
    else:
        assert len(live) == 1
    if scenario == "restart":
        assert live[0].observed_generation == 2
    if live:
        assert (await manager.usage(live[0].id)).pids >= 1, "its agent cannot be asked"


@pytest.mark.parametrize(("scenario", "point"), CASES)
async def test_P1_P3_I1_I2_I3_I4_killed_as_a_process_is_made_a_session(tmp_path, scenario, point):
    state = tmp_path / "s"
    told = await asyncio.to_thread(run_until_killed, state, "process", point, scenario)
    await recover(state, "process", told, scenario)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize(("scenario", "point"), CASES)
async def test_P1_P3_I1_I2_I3_I4_killed_as_a_container_is_made_a_session(
    tmp_path, scenario, point, attempt, reference_image
):
    state = tmp_path / "s"
    told = await asyncio.to_thread(run_until_killed, state, "docker", point, scenario)
    await recover(state, "docker", told, scenario)
