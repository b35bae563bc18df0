"""What every engine promises: one suite for all of them.

To have another engine tested, add a case to `CASES`: how to open it on a folder, and how to end a
place behind its back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from jupyter_sessmgr.engines.base import MISSING
from jupyter_sessmgr.engines.docker.engine import DockerEngine
from jupyter_sessmgr.engines.process import ProcessEngine
from jupyter_sessmgr.manager.agents.boot import make_boot
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.model.errors import EngineUnavailable, ImageNotFound
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.naming import new_place_id, place_name
from jupyter_sessmgr.model.ports import AGENT, KERNEL_CHANNELS
from jupyter_sessmgr.model.session import Place, SessionSpec
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine
from tests.plugins.processes import agent_pid, orders_for, secrets_of
from tests.plugins.waiting import eventually

ORDER = {"pulling": 0, "creating": 1, "booting": 2}


@dataclass
class Case:
    """An engine, as the suite handles it."""

    folder: Any
    make: Any
    #: (engine, place): end a place's main process from outside.
    kill: Any
    image: str = REFERENCE_IMAGE
    #: Places have an agent that answers.
    real: bool = True

    @asynccontextmanager
    async def open(self):
        engine = self.make()
        await engine.open(secrets_of(self.folder), self.folder)
        try:
            yield engine
        finally:
            for found in await engine.survey():
                if found.signed:
                    await engine.stop(Place(id=found.place_id, engine_id=engine.engine_id), 0.0)
            await engine.close()

    def spec(self, **changes):
        return SessionSpec(**{"image": self.image, "kernel": "", **changes})

    def start(self, engine, place, spec=None):
        spec = spec or self.spec()
        return engine.start(place, spec, make_boot(orders_for(engine, self.folder, place, spec)))

    async def begin(self, engine, place=None):
        place = place or a_place(engine)
        return place, [one async for one in self.start(engine, place)]

    async def mine(self, engine):
        install = secrets_of(self.folder).install_id
        return [one for one in await engine.survey() if one.install_id == install]


def process_case(request, folder):
    async def kill(engine, place):
        os.kill(agent_pid(folder, place.id), signal.SIGKILL)
        async with asyncio.timeout(10):  # a busy machine takes a moment
            while (await engine.look([place]))[place.id].running:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    return Case(folder, ProcessEngine, kill)


def docker_case(request, folder):
    host, api = request.getfixturevalue("docker_host"), request.getfixturevalue("docker_api")
    image = request.getfixturevalue("reference_image")

    async def kill(_engine, place):
        name = place_name(secrets_of(folder).install_id, place.id)
        await asyncio.to_thread(api.kill, name, "SIGKILL")

    return Case(folder, lambda: DockerEngine(docker_host=host), kill, image=image)


def fake_case(request, folder):
    made = FakeEngine()

    async def kill(engine, place):
        engine.made[place.id].running = False

    return Case(folder, lambda: made, kill, image=FAKE_IMAGE, real=False)


CASES = {"process": process_case, "docker": docker_case, "fake": fake_case}


@pytest.fixture(
    params=["process", pytest.param("docker", marks=pytest.mark.docker), "fake"],
)
def case(request, state_dir):
    return CASES[request.param](request, state_dir)


@pytest.fixture
def real(case):
    """Give only cases whose places are real."""
    if not case.real:
        pytest.skip("its places are not real")
    return case


def a_place(engine):
    return Place(id=new_place_id(), engine_id=engine.engine_id)


async def test_it_says_which_one_it_is(case):
    async with case.open() as engine:
        first = engine.engine_id
        assert first
        assert engine.name
        assert all(isinstance(note, str) and note for note in engine.notes())
        await engine.open(secrets_of(case.folder), case.folder)
        assert engine.engine_id == first


async def test_it_knows_its_images(case):
    async with case.open() as engine:
        image = await engine.image(case.image)
        assert image.digest
        references = [one.reference.removesuffix(":latest") for one in await engine.images()]
        assert case.image.removesuffix(":latest") in references
        assert await engine.capacity() is not None


async def test_C5_an_image_that_is_not_here_is_said_at_once(case):
    async with case.open() as engine:
        began = time.monotonic()
        with pytest.raises(ImageNotFound):
            await engine.image("not/here:1")
        assert time.monotonic() - began < 1.0


async def test_a_place_is_started_seen_and_removed(case):
    async with case.open() as engine:
        place, checkpoints = await case.begin(engine)
        phases = [ORDER[one.phase] for one in checkpoints]
        assert phases == sorted(phases)
        last = checkpoints[-1]
        assert [one.name for one in last.endpoints[:6]] == [AGENT, *KERNEL_CHANNELS]
        assert last.key
        assert [one for one in checkpoints[:-1] if one.endpoints] == []
        seen = (await engine.look([place]))[place.id]
        assert (seen.exists, seen.running, seen.paused) == (True, True, False)
        assert seen.endpoints == last.endpoints
        (found,) = await case.mine(engine)
        assert found.name == place_name(secrets_of(case.folder).install_id, place.id)
        assert (found.signed, found.running, found.place_id) == (True, True, place.id)
        await engine.stop(place, 3.0)
        assert await engine.look([place]) == {place.id: MISSING}
        assert await case.mine(engine) == []


async def test_the_agent_answers_where_the_engine_says(real):
    async with real.open() as engine:
        place, checkpoints = await real.begin(engine)
        link = await AgentLink.connect(
            checkpoints[-1].endpoints[0], place_id=place.id, secrets=secrets_of(real.folder)
        )
        try:
            assert link.hello.place_id == place.id
        finally:
            await link.close()


async def test_a_start_that_is_repeated_doubles_nothing(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        _, again = await case.begin(engine, place)
        (found,) = await case.mine(engine)
        assert found.place_id == place.id
        seen = (await engine.look([place]))[place.id]
        assert (seen.running, seen.endpoints) == (True, again[-1].endpoints)


async def test_a_start_after_the_places_end_begins_anew(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        await case.kill(engine, place)
        if not case.real:
            await engine.stop(place, 0.0)
        await case.begin(engine, place)
        assert (await engine.look([place]))[place.id].running
        assert len(await case.mine(engine)) == 1


async def test_a_start_that_is_broken_off_leaves_what_stop_removes(case):
    async with case.open() as engine:
        for steps in range(4):
            place = a_place(engine)
            starting = case.start(engine, place)
            for _ in range(steps):
                if await anext(starting, None) is None:
                    break
            await starting.aclose()
            await engine.stop(place, 0.0)
            assert await case.mine(engine) == []


async def test_a_start_that_is_cancelled_anywhere_leaves_what_stop_removes(case):
    async with case.open() as engine:
        for after in (0.0, 0.003, 0.01, 0.03, 0.1, 0.2):
            place = a_place(engine)
            starting = asyncio.create_task(case.begin(engine, place))
            await asyncio.wait([starting], timeout=after)
            starting.cancel()
            await asyncio.wait([starting])
            await engine.stop(place, 0.0)
            assert await engine.look([place]) == {place.id: MISSING}
            assert await case.mine(engine) == []


async def test_a_start_that_was_broken_off_is_taken_up(case):
    async with case.open() as engine:
        for steps in (1, 2):
            place = a_place(engine)
            starting = case.start(engine, place)
            for _ in range(steps):
                await anext(starting, None)
            await starting.aclose()
            await case.begin(engine, place)
            assert (await engine.look([place]))[place.id].running
            await engine.stop(place, 0.0)


async def test_stopping_what_is_not_there_succeeds(case):
    async with case.open() as engine:
        place = a_place(engine)
        await engine.stop(place, 0.0)
        await case.begin(engine, place)
        await engine.stop(place, 0.0)
        await engine.stop(place, 3.0)


async def test_two_who_stop_the_same_place_both_succeed(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        await asyncio.gather(engine.stop(place, 1.0), engine.stop(place, 0.0))
        assert await engine.look([place]) == {place.id: MISSING}


async def test_the_agent_gets_its_grace(real):
    async with real.open() as engine:
        place, checkpoints = await real.begin(engine)
        link = await AgentLink.connect(
            checkpoints[-1].endpoints[0], place_id=place.id, secrets=secrets_of(real.folder)
        )
        await link.close()
        began = time.monotonic()
        await engine.stop(place, 20.0)
        assert time.monotonic() - began < 15.0, "it ends by itself when asked to"


async def test_a_place_that_died_is_there_but_does_not_run(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        await case.kill(engine, place)

        async def dead():
            seen = (await engine.look([place]))[place.id]
            return seen if seen.exists and not seen.running else None

        seen = await eventually(dead)
        assert case.real is False or seen.reason
        (found,) = await case.mine(engine)
        assert (found.signed, found.running) == (True, False)


async def test_a_change_is_hinted_at_or_the_hints_end(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        hints = []

        async def listen():
            async for hint in engine.watch():
                hints.append(hint)  # noqa: PERF401 - read while it grows

        engine.poll_interval = 0.2
        listening = asyncio.create_task(listen())
        try:
            await asyncio.sleep(0.3)
            await case.kill(engine, place)
            await eventually(lambda: listening.done() or {place.id, ""} & set(hints))
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def test_places_outlive_the_engines_closing(case):
    async with case.open() as engine:
        place, checkpoints = await case.begin(engine)
        await engine.close()
        await engine.open(secrets_of(case.folder), case.folder)
        seen = (await engine.look([place]))[place.id]
        assert (seen.running, seen.endpoints) == (True, checkpoints[-1].endpoints)


async def test_another_engine_object_finds_the_same_places(real):
    async with real.open() as first:
        place, checkpoints = await real.begin(first)
        async with real.open() as second:
            assert second.engine_id == first.engine_id
            seen = (await second.look([place]))[place.id]
            assert seen.endpoints == checkpoints[-1].endpoints
        assert await real.mine(first) == []


async def test_an_engine_that_is_not_open_knows_nothing(real):
    engine = real.make()
    place = Place(id=new_place_id(), engine_id="")
    for asked in (engine.look([place]), engine.survey(), engine.stop(place, 0.0)):
        with pytest.raises(EngineUnavailable):
            await asked


async def test_many_start_at_the_same_time(real):
    async with real.open() as engine:
        places = [a_place(engine) for _ in range(8)]
        ended = await asyncio.gather(*(real.begin(engine, place) for place in places))
        endpoints = [checkpoints[-1].endpoints[0] for _, checkpoints in ended]
        assert len(set(endpoints)) == 8
        seen = await engine.look(places)
        assert all(seen[place.id].running for place in places)
        await asyncio.gather(*(engine.stop(place, 0.0) for place in places))
        assert await real.mine(engine) == []


async def test_E6_what_is_fed_is_not_logged(real):
    async with real.open() as engine:
        place, _ = await real.begin(engine)
        secrets = secrets_of(real.folder)
        log = await engine.logs(place, 1 << 16)
        for secret in (secrets.agent_token(place.id), secrets.kernel_key(place.id)):
            assert secret.encode() not in log
        assert len(await engine.logs(place, 5)) <= 5


async def test_a_frozen_place_is_frozen_not_dead(case):
    async with case.open() as engine:
        place, _ = await case.begin(engine)
        if not engine.capabilities.suspend:
            with pytest.raises(NotImplementedError):
                await engine.suspend(place)
            return
        for _ in range(2):
            await engine.suspend(place)
        seen = (await engine.look([place]))[place.id]
        assert (seen.exists, seen.running, seen.paused) == (True, True, True)
        for _ in range(2):
            await engine.resume(place)
        assert not (await engine.look([place]))[place.id].paused
        await engine.suspend(place)
        await engine.stop(place, 2.0)
        assert await engine.look([place]) == {place.id: MISSING}
