"""Row C2 of FAULTS, in the middle of things: somebody removes or kills parts of a session by hand."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

import pytest
from traitlets.config import Config

from jupyter_sessmgr.engines.docker.networks import network_name
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.docker import containers_of
from tests.plugins.invariants import at_rest
from tests.plugins.managers import managed, run_code, running
from tests.plugins.processes import ISOLATIONS, agent_pid, nothing_left
from tests.plugins.waiting import eventually

S = SessionStatus


def behind(proxy, state):
    return managed(state, "docker", config=Config({"DockerEngine": {"docker_host": proxy.host}}))


async def held_back(proxy, manager, verb, **asked):
    """Create a session whose start hangs at `verb`; returns it."""
    before = proxy.count(verb)
    proxy.inject(verb, "delay:1.5", times=1)
    session, _ = await manager.create(CreateRequest(**asked), "me")
    await eventually(lambda: proxy.count(verb) > before)
    return session


@pytest.mark.docker
@pytest.mark.parametrize("verb", ["attach", "start", "inspect"])
async def test_C2_a_container_removed_while_it_is_started(
    tmp_path, fault_proxy, docker_api, reference_image, verb
):
    async with behind(fault_proxy, tmp_path / "s") as manager:
        session = await held_back(fault_proxy, manager, verb)
        install = manager._parts.secrets.install_id
        (name,) = await asyncio.to_thread(containers_of, docker_api, install)
        await asyncio.to_thread(docker_api.remove_container, name, force=True, v=True)
        ended = await manager.settled(session.id, 30)
        assert ended.status is S.ERROR
        assert "Somebody removed its container while it was being started" in ended.failure
        await at_rest(manager, [session.id])


@pytest.mark.docker
async def test_C2_an_image_removed_before_the_start(tmp_path, fault_proxy, docker_api, build_image):
    image = build_image("RUN true")
    config = {
        "DockerEngine": {"docker_host": fault_proxy.host},
        "AdmissionControl": {"allowed_images": [image]},
    }
    async with managed(tmp_path / "s", "docker", config=Config(config)) as manager:
        session = await held_back(fault_proxy, manager, "create", image=image)
        await asyncio.to_thread(docker_api.remove_image, image, force=True, noprune=True)
        ended = await manager.settled(session.id, 30)
        assert ended.status is S.ERROR
        assert ended.failure == f"The image {image} is not here any more."
        await at_rest(manager, [session.id])


@pytest.mark.docker
async def test_C2_a_network_removed_under_a_session(tmp_path, docker_api, reference_image):
    async with managed(tmp_path / "s", "docker") as manager:
        session = await running(manager)
        install = manager._parts.secrets.install_id
        name = network_name("sessmgr", install, "egress")
        (container,) = await asyncio.to_thread(containers_of, docker_api, install)
        await asyncio.to_thread(docker_api.disconnect_container_from_network, container, name, True)
        await asyncio.to_thread(docker_api.remove_network, name)
        other = await running(manager)
        assert manager.find(session.id, "me").status is S.RUNNING, "unknown is not dead"
        # On the network again, it is found where it is now.
        await asyncio.to_thread(docker_api.connect_container_to_network, container, name)
        await at_rest(manager, [session.id, other.id])
        _, said = await run_code(manager.connection_info(session.id), "print(6 * 7)")
        assert said == "42\n"
        await manager.destroy(session.id, forced=True)
        await at_rest(manager, [session.id, other.id])


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_C2_an_agent_killed_while_its_kernel_lives(tmp_path, isolation):
    state = tmp_path / "s"
    config = Config({"ProcessEngine": {"isolation": isolation, "poll_interval": 0.2}})
    async with managed(state, config=config) as manager:
        session = await running(manager)
        code = "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True)"
        await run_code(manager.connection_info(session.id), code)
        os.kill(agent_pid(state, session.place_id), signal.SIGKILL)
        ended = await eventually(lambda: final(manager, session), 20)
        assert ended.status is S.ERROR
        assert "killed from outside (SIGKILL)" in ended.failure
        nothing_left(state, session.place_id)
        await at_rest(manager, [session.id])


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_C2_an_agent_that_stands_still_is_unknown_and_can_be_ended(
    tmp_path, isolation, monkeypatch
):
    monkeypatch.setattr("jupyter_sessmgr.manager.agents.links.HEARTBEAT", 0.3)
    monkeypatch.setattr("jupyter_sessmgr.manager.agents.links.PATIENCE", 0.3)
    state = tmp_path / "s"
    config = Config({"ProcessEngine": {"isolation": isolation, "poll_interval": 0.2}})
    async with managed(state, config=config) as manager:
        goes_on, ends = await running(manager), await running(manager)
        await run_code(manager.connection_info(goes_on.id), "x = 41")
        for one in (goes_on, ends):
            os.kill(agent_pid(state, one.place_id), signal.SIGSTOP)
        await eventually(lambda: len(manager._parts.memory.unknown) == 2, 20)
        assert {one.status for one in manager.list("me")} == {S.RUNNING}
        ended = await manager.destroy(ends.id)
        assert ended.status is S.TERMINATED
        nothing_left(state, ends.place_id)
        os.kill(agent_pid(state, goes_on.place_id), signal.SIGCONT)
        await at_rest(manager, [goes_on.id, ends.id])
        _, said = await run_code(manager.connection_info(goes_on.id), "print(x + 1)")
        assert said == "42\n"


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_C2_a_places_folder_removed_by_hand(tmp_path, isolation):
    state = tmp_path / "s"
    config = Config({"ProcessEngine": {"isolation": isolation, "poll_interval": 0.2}})
    async with managed(state, config=config, keep=True) as manager:
        session = await running(manager)
        place_id = session.place_id
        await asyncio.to_thread(shutil.rmtree, state / "places" / place_id, True)
        await manager._reconciler.sweep()
        assert manager.find(session.id, "me").status is S.RUNNING
    async with managed(state, config=config) as manager:  # which never saw the folder
        ended = await eventually(lambda: final(manager, session), 20)
        assert ended.failure == "What the session ran in was removed from outside."
        nothing_left(state, place_id)
        await at_rest(manager, [session.id])


def final(manager, session):
    now = manager._session(session.id)
    return now if now.status.is_final else None
