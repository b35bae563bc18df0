"""Services are started, watched, stopped and reached in the same way on every engine."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NotAllowed,
    NotRunning,
    ServiceNotFound,
    ServiceStarting,
)
from tests.plugins.managers import managed, running
from tests.plugins.services import DEFINITIONS, WRITTEN, a_manager, listen_inside, say
from tests.plugins.waiting import eventually

PORT = 24701


async def starts(manager, session):
    return [piece async for piece in manager.files.read(session.id, "starts")]


async def test_fifty_who_want_a_service_at_once_start_one_process(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        services = manager.services
        ports = await asyncio.gather(*(services.port_of(session.id, "app") for _ in range(50)))
        assert len(set(ports)) == 1
        assert await starts(manager, session) == [b"x"]
        assert await say(manager, session, ports[0]) == b"app"


async def test_a_service_that_dies_says_why_rests_and_is_started_by_its_next_use(
    state_dir, engine_name
):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        services = manager.services
        port = await services.port_of(session.id, "app", {"--colour": "red"})
        await say(manager, session, port, b"die")
        await eventually(lambda: services.states(session.id)["app"].state == "failed")
        state = services.states(session.id)["app"]
        assert "exit code 1" in state.error
        assert "I was told to die" in state.log_tail
        # those who only look at its page start no storm
        with pytest.raises(NotRunning, match="exit code 1") as refused:
            await services.port_of(session.id, "app")
        assert "I was told to die" in refused.value.data["log"]
        assert await starts(manager, session) == [b"x"]

        async def again():
            try:
                return await services.port_of(session.id, "app")
            except NotRunning:
                return None

        port = await eventually(again, 10, 0.1)
        assert await say(manager, session, port) == b"app"
        log = await services.log(session.id, "app")
        assert log.count("'--colour', 'red'") == 2, "as it was started before"


async def test_a_service_that_fails_again_and_again_is_left_alone_longer(state_dir):
    async with a_manager(state_dir, "process") as manager:
        session = await running(manager)
        services = manager.services
        tried_at = []
        while len(tried_at) < 3:
            state = await services.start(session.id, "broken", on_use=True)
            assert state.state == "failed"
            tries = (await services.log(session.id, "broken")).count("no <b>data")
            if tries > len(tried_at):
                assert tries == len(tried_at) + 1
                tried_at.append(time.monotonic())
            await asyncio.sleep(0.05)
        first, second, third = tried_at
        assert second - first > 0.9
        assert third - second > 1.9
        # whoever asks for it by name does not wait
        await services.start(session.id, "broken")
        assert (await services.log(session.id, "broken")).count("no <b>data") == 4


async def test_a_service_is_stopped_restarted_and_read(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        services = manager.services
        waiting = await services.start(session.id, "app", {}, {"SLOW": "1.5"}, patience=0)
        assert (waiting.state, waiting.source) == ("starting", "admin")
        services.start_timeout = 0.2
        with pytest.raises(ServiceStarting):
            await services.port_of(session.id, "app")
        services.start_timeout = 30
        assert (await services.start(session.id, "app")).running
        assert (await services.stop(session.id, "app")).state == "stopped"
        assert (await services.stop(session.id, "app")).state == "stopped"
        assert "arguments: []" in await services.log(session.id, "app"), "of one that ended"
        begun = await services.restart(session.id, "app", {"--colour": "blue"}, {})
        assert begun.running
        assert await say(manager, session, begun.port) == b"app"
        assert "blue" in await services.log(session.id, "app")
        for verb in (services.start, services.stop, services.restart, services.log):
            with pytest.raises(ServiceNotFound):
                await verb(session.id, "nobody")
            with pytest.raises(ServiceNotFound):
                await verb(session.id, "../app")


async def test_a_service_is_given_no_secret_of_the_servers(state_dir, engine_name):
    async with a_manager(state_dir, engine_name) as manager:
        session = await running(manager)
        await manager.services.start(session.id, "app")
        told = await manager.services.log(session.id, "app")
        assert "PATH=" in told
        secrets, place = manager._parts.secrets, session.place_id
        _, private = secrets.agent_certificate(place)
        hidden = [
            secrets.agent_token(place),
            secrets.kernel_key(place),
            secrets.curve_keys(place)[1],
            private.splitlines()[1],
            manager.services.token(session.id, "app"),
            manager.services.token(session.id, "jupyter"),
            manager.services.ticket_key(session.id, "app"),
        ]
        for secret in hidden:
            assert secret not in told
            assert secret not in json.dumps(told)


async def test_the_owner_opens_a_port_and_closes_it(state_dir, engine_name):
    async with a_manager(state_dir, engine_name, keep=True) as manager:
        session = await running(manager)
        services = manager.services
        await listen_inside(manager, session, "127.0.0.1", PORT, b"mine")
        with pytest.raises(NotAllowed):
            await services.open_stream(session.id, PORT)
        state = await services.promise_port(session.id, PORT)
        assert (state.name, state.state, state.protocol) == (str(PORT), "running", "preopen")
        assert (await services.promise_port(session.id, str(PORT))).running, "harmless"
        assert await say(manager, session, PORT) == b"mine"
        for bad in (0, 80, 65535, 70000, -1, True, "\uff18\uff10\uff18\uff10", "8080 ", 1.5, None):
            with pytest.raises(InvalidRequest):
                await services.promise_port(session.id, bad)
        with pytest.raises(ServiceNotFound):
            await services.withdraw_port(session.id, PORT + 1)
    # another server knows it still
    async with a_manager(state_dir, engine_name) as manager:
        services = manager.services
        await eventually(lambda: manager._parts.links.kernel(session.place_id))
        assert await services.port_of(session.id, str(PORT)) == PORT
        assert await say(manager, session, PORT) == b"mine"
        await services.withdraw_port(session.id, PORT)
        with pytest.raises(NotAllowed):
            await services.open_stream(session.id, PORT)
        assert str(PORT) not in services.states(session.id)
        for port in range(30000, 30032):
            await services.promise_port(session.id, port)
        with pytest.raises(InvalidRequest, match="32"):
            await services.promise_port(session.id, 30032)


@pytest.mark.docker
async def test_what_an_image_defines_is_in_effect_and_never_trusted(state_dir, build_image):
    own = {
        "prestart": WRITTEN,
        "command": ["{runtime_path}", "{program}", "{ports[0]}", "{base_url}"],
        "authorization": "token {token}",
    }
    image = build_image(
        "USER root",
        "COPY jupyter.json notes.json broken.json /etc/backend.ai/service-defs/",
        "USER 1000:1000",
        files={
            "jupyter.json": json.dumps(own),
            "notes.json": json.dumps({**own, "command": own["command"][:3], "trusted": True}),
            "broken.json": "{",
        }.items(),
    )
    async with managed(state_dir, "docker") as manager:
        manager.admission.allowed_images = [image]
        session = await running(manager, image=image)
        services = manager.services
        seen = await services.look(session.id)
        assert {name: seen[name].trusted for name in ("jupyter", "notes", "tensorboard")} == {
            "jupyter": False,
            "notes": False,
            "tensorboard": True,
        }
        assert not await services.is_trusted(session.id, "jupyter")
        assert await services.is_trusted(session.id, "tensorboard")
        started = await services.start(session.id, "jupyter")
        assert (started.source, started.running, started.trusted) == ("image", True, False)
        manners = services.manners(session.id, "jupyter")
        token = services.token(session.id, "jupyter")
        assert (manners.whole_paths, manners.authorization) == (True, f"token {token}")
        assert (await services.start(session.id, "notes")).running
        assert not services.manners(session.id, "notes").whole_paths
        assert not await services.is_trusted(session.id, "notes")
        # an admin's goes first, and says itself
        services.definitions = {"notes": {**DEFINITIONS["app"], "trusted": True}}
        assert await services.is_trusted(session.id, "notes")
        assert (await services.restart(session.id, "notes")).source == "admin"
