"""Rows D12, D13, D15 and D16 of FAULTS: an engine of the test's own is killed, ended and cut off."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import docker
import pytest
from traitlets.config import Config

from jupyter_sessmgr.engines.docker.networks import bridge_name, network_name
from jupyter_sessmgr.manager.agents import bootconfig, links
from jupyter_sessmgr.model.errors import EngineUnavailable
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.invariants import at_rest
from tests.plugins.managers import managed, places, run_code, running
from tests.plugins.privateengine import SMALL_IMAGE, a_private_engine, import_small_image
from tests.plugins.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow]
S = SessionStatus


@pytest.fixture(scope="module")
def private(docker_host, reference_image):
    """Give an engine whose containers outlive it (``live-restore``)."""
    with a_private_engine() as engine:
        engine.start("--live-restore")
        import_small_image(docker_host, engine)
        yield engine


def on(private, tmp_path):
    """Open a manager on the private engine."""
    config = Config(
        {
            "DockerEngine": {"docker_host": private.host, "inspect_timeout": 2.0},
            "AdmissionControl": {"allowed_images": [SMALL_IMAGE]},
            "SessionReconciler": {"sweep_interval": 0.5},
        }
    )
    return managed(tmp_path / "s", "docker", config=config)


def bridge_of(manager):
    return bridge_name(network_name("sessmgr", manager._parts.secrets.install_id, "egress"))


async def run(manager, session, code):
    reply, written = await run_code(manager.connection_info(session.id), code)
    assert reply["status"] == "ok", reply
    return written.strip()


def test_D12_a_session_outlives_a_killed_engine(private, tmp_path):
    async def scenario():
        async with on(private, tmp_path) as manager:
            session = await running(manager, image=SMALL_IMAGE)
            assert await run(manager, session, "import os; x = 41; print(os.getpid())")
            await asyncio.to_thread(private.kill)
            await eventually(lambda: not manager.health().available)
            assert manager.find(session.id, "me").status is S.RUNNING
            assert await run(manager, session, "print(x)") == "41", "it needs no engine to run"
            await asyncio.to_thread(private.start, "--live-restore")
            rows = await at_rest(manager, [session.id])
            assert (rows[session.id].status, rows[session.id].place_id) == (
                S.RUNNING,
                session.place_id,
            )
            await eventually(lambda: manager.health().available)
            assert await run(manager, session, "print(x + 1)") == "42"
            await running(manager, image=SMALL_IMAGE)

    private.beside(scenario)


def test_D12_an_engine_killed_in_the_middle_of_a_start(private, tmp_path):
    async def scenario():
        async with on(private, tmp_path) as manager:
            api = docker.APIClient(base_url=private.host, version="auto", timeout=10)
            session, _ = await manager.create(CreateRequest(image=SMALL_IMAGE), "me")
            while not await asyncio.to_thread(api.containers, all=True):
                continue
            await asyncio.to_thread(private.kill)
            api.close()
            await asyncio.to_thread(private.start, "--live-restore")
            rows = await at_rest(manager, [session.id])
            assert rows[session.id].status is S.RUNNING, rows[session.id].failure
            assert await run(manager, rows[session.id], "print(6 * 7)") == "42"

    private.beside(scenario)


@pytest.fixture
def quick_hearts(monkeypatch):
    """Have a lost agent noticed at once."""
    monkeypatch.setattr(links, "HEARTBEAT", 0.3)
    monkeypatch.setattr(links, "PATIENCE", 0.3)


@contextmanager
def cut_off(private, bridge, *, frozen):
    """Have nobody reach the session, nor, if `frozen`, the engine."""
    private.freeze(frozen=frozen)
    private.ip("link", "set", bridge, "down")
    try:
        yield
    finally:
        private.ip("link", "set", bridge, "up")
        private.freeze(frozen=False)


@pytest.mark.usefixtures("quick_hearts")
def test_D15_a_session_that_is_cut_off_is_unknown_and_never_doubled(private, tmp_path):
    async def scenario():
        async with on(private, tmp_path) as manager:
            session = await running(manager, image=SMALL_IMAGE)
            await run(manager, session, "x = 41")
            with cut_off(private, bridge_of(manager), frozen=True):
                await eventually(lambda: not manager.health().available, timeout=20)
                await eventually(lambda: manager._parts.memory.unknown.get(session.id), timeout=20)
                now = manager.find(session.id, "me")
                assert (now.status, now.place_id) == (S.RUNNING, session.place_id)
                assert "The Docker engine at" in now.status_info
                with pytest.raises(EngineUnavailable, match="No session can be made now"):
                    await manager.create(CreateRequest(image=SMALL_IMAGE), "me")
            rows = await at_rest(manager, [session.id])
            assert rows[session.id].place_id == session.place_id
            assert await run(manager, session, "print(x + 1)") == "42"

    private.beside(scenario)


@pytest.mark.usefixtures("quick_hearts")
def test_D15_one_that_was_cut_off_for_longer_than_its_lease_ended_by_itself(
    private, tmp_path, monkeypatch
):
    monkeypatch.setattr(bootconfig, "DURABLE_LEASE", 3.0)

    async def scenario():
        async with on(private, tmp_path) as manager:
            session = await running(manager, image=SMALL_IMAGE)
            with cut_off(private, bridge_of(manager), frozen=False):
                await eventually(lambda: manager.find(session.id, "me").status.is_final, timeout=20)
            rows = await at_rest(manager, [session.id])
            assert "no server was heard from" in rows[session.id].failure
            assert "no server was heard" in rows[session.id].log_tail

    private.beside(scenario)


def test_D16_a_bridge_that_vanished_is_made_anew_when_nobody_is_on_it(private, tmp_path):
    async def scenario():
        async with on(private, tmp_path) as manager:
            cut = await running(manager, image=SMALL_IMAGE)
            bridge = bridge_of(manager)
            private.ip("link", "del", bridge)
            late, _ = await manager.create(CreateRequest(image=SMALL_IMAGE), "me")
            ended = await manager.settled(late.id, 30)
            assert ended.status is S.ERROR
            assert "The bridge of the network" in ended.failure
            assert await places(manager) == {cut.place_id: True}, "its container was removed"
            health = manager.health()
            assert not health.available
            assert "Restart the Docker engine" in health.reason
            assert manager.find(cut.id, "me").status is S.RUNNING, "unknown is not dead"
            await manager.destroy(cut.id)
            rows = await at_rest(manager, [cut.id, late.id])
            assert {one.status for one in rows.values()} == {S.TERMINATED, S.ERROR}
            again = await running(manager, image=SMALL_IMAGE)
            # Once more, with nobody on it.
            await manager.destroy(again.id)
            private.ip("link", "del", bridge)
            again = await running(manager, image=SMALL_IMAGE)
            assert await run(manager, again, "print(6 * 7)") == "42"
            assert manager.health().available

    private.beside(scenario)


def test_D13_an_engine_that_is_ended_takes_its_sessions_along(private, tmp_path):
    private.stop()
    private.start()

    async def scenario():
        async with on(private, tmp_path) as manager:
            session = await running(manager, image=SMALL_IMAGE)
            await asyncio.to_thread(private.stop)
            await asyncio.to_thread(private.start)
            rows = await at_rest(manager, [session.id])
            assert rows[session.id].status is S.ERROR
            assert "the engine was restarted" in rows[session.id].failure
            await running(manager, image=SMALL_IMAGE)

    private.beside(scenario)
