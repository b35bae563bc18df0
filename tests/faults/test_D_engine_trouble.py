"""Rows D of FAULTS at the engine's level: a real engine behind a proxy that loses and delays."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from jupyter_sessmgr.engines.base import MISSING
from jupyter_sessmgr.engines.docker.container import INSTALL, PLACE, PURPOSE, SIGNATURE
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.naming import new_place_id, place_name
from tests.plugins.docker import (
    a_place,
    an_engine,
    begin,
    clear,
    containers_of,
    name_of,
    networks_of,
    tell,
    told,
)
from tests.plugins.faultproxy import VERBS
from tests.plugins.processes import secrets_of
from tests.plugins.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("reference_image")]

#: The fault that each mode is, told once or for ever.
MODES = ["reset_before", "reset_after", "hang", "http500", "trunc:20"]
#: What a start asks for, in its order.
START_VERBS = ["image", "network", "create", "attach", "start", "inspect"]
#: Deadlines of calls, for tests that have to wait for one; also without any fault a slow machine
#: may miss them.
SHORT = {"inspect_timeout": 1.0, "create_timeout": 1.0, "start_timeout": 3.0}


@asynccontextmanager
async def behind(proxy, folder, **traits):
    """Open an engine behind the proxy; no fault is left when it closes."""
    async with an_engine(folder, proxy.host, **traits) as engine:
        try:
            yield engine
        finally:
            proxy.clear()
            await asyncio.to_thread(proxy.wait_for_delayed)
            engine._connected.client._breaker.succeeded()
            await clear(engine, folder)


async def again(engine, folder, place, timeout=30):
    """Start a place again and again, as the manager does."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return await begin(engine, folder, place)
        except EngineUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def only_place(api, folder):
    """Check that the engine has one container of ours, and return its name."""
    (name,) = await asyncio.to_thread(containers_of, api, secrets_of(folder).install_id)
    return name


@pytest.mark.parametrize("mode", ["reset_after", "trunc:20"])
async def test_D1_reply_lost_after_create(fault_proxy, docker_api, state_dir, mode):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        fault_proxy.inject("create", mode, times=1)
        last = await begin(engine, state_dir, place)
        assert fault_proxy.count("create") == 2
        assert fault_proxy.count("remove") == 0, "the one that was made is taken, not replaced"
        assert await only_place(docker_api, state_dir) == name_of(state_dir, place)
        assert (await engine.look([place]))[place.id].endpoints == last.endpoints


async def test_D2_request_lost_before_create(fault_proxy, docker_api, state_dir):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        fault_proxy.inject("create", "reset_before", times=2)
        await begin(engine, state_dir, place)
        assert fault_proxy.count("create") == 3
        assert await only_place(docker_api, state_dir) == name_of(state_dir, place)


async def test_D3_a_container_that_comes_late_is_seen_and_removed(
    fault_proxy, docker_api, state_dir
):
    async with behind(fault_proxy, state_dir, **SHORT) as engine:
        place = a_place(engine)
        fault_proxy.inject("create", "delay:2.5", times=1)
        with pytest.raises(EngineUnavailable):
            await begin(engine, state_dir, place)
        install = secrets_of(state_dir).install_id
        assert await asyncio.to_thread(containers_of, docker_api, install) == []

        async def late():
            return [one for one in await engine.survey() if one.place_id == place.id]

        (found,) = await eventually(late)
        assert (found.signed, found.running) == (True, False)
        await engine.stop(place, 0.0)
        assert await engine.look([place]) == {place.id: MISSING}


async def test_D3_a_container_that_comes_after_its_place_was_removed_is_refused(
    fault_proxy, docker_api, state_dir
):
    async with behind(fault_proxy, state_dir, **SHORT) as engine:
        place = a_place(engine)
        fault_proxy.inject("create", "delay:2.5", times=1)
        with pytest.raises(EngineUnavailable):
            await begin(engine, state_dir, place)
        await engine.stop(place, 0.0)
        await asyncio.to_thread(fault_proxy.wait_for_delayed)
        # The folder that it was to see went with the place.
        install = secrets_of(state_dir).install_id
        assert await asyncio.to_thread(containers_of, docker_api, install) == []


async def test_D3_a_container_that_comes_late_does_not_disturb_the_next_start(
    fault_proxy, docker_api, state_dir
):
    async with behind(fault_proxy, state_dir, **SHORT) as engine:
        place = a_place(engine)
        fault_proxy.inject("create", "delay:1.2", times=1)
        with pytest.raises(EngineUnavailable):
            await begin(engine, state_dir, place)
        await again(engine, state_dir, place)
        # the late one has come by now, if it was not refused
        await asyncio.to_thread(fault_proxy.wait_for_delayed)
        assert await only_place(docker_api, state_dir) == name_of(state_dir, place)
        assert (await engine.look([place]))[place.id].running


async def test_D3_a_network_that_comes_when_nobody_waits_any_more_is_removed(
    fault_proxy, docker_api, state_dir
):
    async with an_engine(state_dir, fault_proxy.host) as engine:
        before = fault_proxy.count("network")
        fault_proxy.inject("network", "delay:0.5", times=2)  # looked for, and made
        start = asyncio.create_task(begin(engine, state_dir, a_place(engine)))
        await eventually(lambda: fault_proxy.count("network") == before + 2)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
    await asyncio.to_thread(fault_proxy.wait_for_delayed)
    install = secrets_of(state_dir).install_id
    assert await asyncio.to_thread(networks_of, docker_api, install) == []


async def test_D5_a_hanging_engine_holds_nobody_up(fault_proxy, state_dir):
    async with behind(fault_proxy, state_dir, **{**SHORT, "create_timeout": 2.0}) as engine:
        places = [a_place(engine) for _ in range(20)]
        await again(engine, state_dir, places[0])
        fault_proxy.inject("create", "hang")
        starts = [asyncio.create_task(begin(engine, state_dir, place)) for place in places[1:]]
        await eventually(lambda: fault_proxy.count("create") > 12)
        # All threads for changes hang, and yet the engine can be asked.
        began = time.monotonic()
        assert (await engine.look(places[:1]))[places[0].id].running
        assert time.monotonic() - began < 1.8
        ended = await asyncio.gather(*starts, return_exceptions=True)
        assert {type(one).__mro__[1] for one in ended} == {EngineUnavailable}
        assert time.monotonic() - began < 20


async def test_D5_an_engine_that_hangs_in_everything_is_left_alone(fault_proxy, state_dir):
    async with behind(fault_proxy, state_dir, **{**SHORT, "inspect_timeout": 0.3}) as engine:
        fault_proxy.inject("*", "hang")
        for _ in range(5):
            with pytest.raises(EngineUnavailable):
                await engine.survey()
        calls, began = len(fault_proxy.calls), time.monotonic()
        for _ in range(50):
            with pytest.raises(EngineUnavailable, match="asked again"):
                await engine.survey()
        assert time.monotonic() - began < 1.0
        assert len(fault_proxy.calls) - calls <= 2
        fault_proxy.clear()

        async def answers():
            try:
                await engine.survey()
            except EngineUnavailable:
                return False
            return True

        assert await eventually(answers, timeout=10)


@pytest.mark.parametrize("verb", ["list", "inspect", "create", "start", "remove", "image"])
async def test_D6_a_failure_is_tried_again(fault_proxy, state_dir, verb):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        fault_proxy.inject(verb, "http500", times=2)
        await begin(engine, state_dir, place)
        assert (await engine.look([place]))[place.id].running
        await engine.stop(place, 0.0)
        assert await engine.look([place]) == {place.id: MISSING}
        assert fault_proxy.count(verb) >= 3


@pytest.mark.parametrize("verb", ["create", "start"])
async def test_D6_a_failure_that_stays_is_said_with_its_reason(fault_proxy, state_dir, verb):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        fault_proxy.inject(verb, "http500")
        with pytest.raises(EngineError, match="a proxy's word") as raised:
            await begin(engine, state_dir, place)
        assert not isinstance(raised.value, EngineUnavailable)
        assert fault_proxy.count(verb) == 3, "tried again, but not for ever"
        fault_proxy.clear()
        await engine.stop(place, 0.0)
        assert await engine.look([place]) == {place.id: MISSING}


@pytest.mark.parametrize("mode", ["http500", "trunc:1", "reset_before", "reset_after", "hang"])
@pytest.mark.parametrize("verb", ["list", "info"])
async def test_I7_no_full_answer_means_unknown(fault_proxy, state_dir, verb, mode):
    async with behind(fault_proxy, state_dir, **{**SHORT, "inspect_timeout": 0.5}) as engine:
        place = a_place(engine)
        await again(engine, state_dir, place)
        fault_proxy.inject(verb, mode)
        with pytest.raises(EngineUnavailable):
            await engine.survey()
        missing = replace(place, id=new_place_id())
        with pytest.raises(EngineUnavailable):
            await engine.look([place, missing])
        fault_proxy.clear()
        engine._connected.client._breaker.succeeded()
        seen = await engine.look([place, missing])
        assert seen[place.id].running
        assert seen[missing.id] == MISSING


async def test_D7_a_list_that_is_cut_is_asked_for_again(fault_proxy, state_dir):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place)
        before = fault_proxy.count("list")
        fault_proxy.inject("list", "trunc:20", times=2)
        assert (await engine.look([place]))[place.id].running
        assert fault_proxy.count("list") - before == 3


@pytest.mark.parametrize("mode", ["reset_after", "http500"])
async def test_D8_reply_to_the_removal_lost(fault_proxy, docker_api, state_dir, mode):
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place)
        fault_proxy.inject("remove", mode, times=1)
        await engine.stop(place, 0.0)
        install = secrets_of(state_dir).install_id
        assert await asyncio.to_thread(containers_of, docker_api, install) == []


async def test_D9_the_end_of_the_events_is_told_and_nothing_is_missed(fault_proxy, state_dir):
    async with behind(fault_proxy, state_dir) as engine:
        hints = []

        async def listen():
            async for hint in engine.watch():
                hints.append(hint)  # noqa: PERF401 - read while it grows

        first = a_place(engine)
        listening = asyncio.create_task(listen())
        await eventually(lambda: fault_proxy.count("events") == 1)
        await begin(engine, state_dir, first)
        await eventually(lambda: first.id in hints)
        fault_proxy.cut()
        await asyncio.wait_for(listening, 5)  # it ends by itself, without an exception

        second = a_place(engine)
        await begin(engine, state_dir, second)
        assert second.id not in hints
        listening = asyncio.create_task(listen())
        try:
            # What happened while nobody listened is told again.
            await eventually(lambda: second.id in hints)
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def test_D9_an_engine_without_events_ends_the_hints(fault_proxy, state_dir):
    async with behind(fault_proxy, state_dir) as engine:
        for mode in ("reset_before", "http500", "trunc:0"):
            fault_proxy.inject("events", mode, times=1)
            async with asyncio.timeout(5):
                assert [hint async for hint in engine.watch()] == []


async def test_D10_an_engine_that_is_not_there_yet(fault_proxy, state_dir):
    fault_proxy.refuse()
    engine_gone = pytest.raises(EngineUnavailable, match="Docker")
    with engine_gone:
        async with an_engine(state_dir, fault_proxy.host):
            pass
    fault_proxy.listen()
    async with an_engine(state_dir, fault_proxy.host) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place)
        fault_proxy.refuse()
        for asked in (
            engine.look([place]),
            engine.survey(),
            engine.stop(place, 0.0),
            engine.image("jupyter-sessmgr/python"),
            begin(engine, state_dir, a_place(engine)),
        ):
            with pytest.raises(EngineUnavailable):
                await asked
        fault_proxy.listen()
        engine._connected.client._breaker.succeeded()
        assert (await engine.look([place]))[place.id].running, "it has been there all the time"


async def test_D14_an_older_engine_is_spoken_to_in_its_own_version(
    docker_host, docker_api, state_dir
):
    async with an_engine(state_dir, docker_host) as engine:
        assert engine._connected.client.api.api_version == docker_api.api_version


async def test_D14_an_engine_that_is_too_old_is_said(fault_proxy, docker_api, state_dir):
    version = docker_api.version()["ApiVersion"]
    old = "1.24".ljust(len(version))
    fault_proxy.inject("version", f"swap:{version}={old}")
    with pytest.raises(EngineError, match=r"1\.40"):
        async with an_engine(state_dir, fault_proxy.host):
            pass


async def test_another_engine_at_the_same_address_is_not_believed(
    fault_proxy, docker_api, state_dir
):
    identity = docker_api.info()["ID"]
    async with behind(fault_proxy, state_dir) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place)
        fault_proxy.inject("info", f"swap:{identity}={identity[::-1]}")
        gone = replace(place, id=new_place_id())
        for asked in (engine.survey(), engine.look([gone]), engine.stop(gone, 0.0)):
            with pytest.raises(EngineUnavailable, match="Another engine"):
                await asked
        # After the connection broke off, nothing at all is judged.
        fault_proxy.inject("list", "reset_before", times=3)
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                await engine.look([place])
        fault_proxy.clear()
        assert (await engine.look([place]))[place.id].running
        assert engine.engine_id == identity


@pytest.mark.parametrize(
    ("verb", "mode"),
    [(verb, mode) for verb in START_VERBS for mode in MODES]
    + [("create", "delay:1.5"), ("start", "delay:4")],
)
async def test_every_fault_of_a_start_ends_in_a_known_state(
    fault_proxy, docker_api, state_dir, verb, mode
):
    """Whatever happened: started again it runs, once; stopped it is gone."""
    async with behind(fault_proxy, state_dir, **SHORT) as engine:
        place = a_place(engine)
        fault_proxy.inject(verb, mode, times=1)
        await again(engine, state_dir, place)
        assert await only_place(docker_api, state_dir) == name_of(state_dir, place)
        assert await told(engine, place) is None, "the agent came whole, and once"
        await asyncio.to_thread(fault_proxy.wait_for_delayed)  # a late container ends with it
        await engine.stop(place, 0.0)
        install = secrets_of(state_dir).install_id
        assert await asyncio.to_thread(containers_of, docker_api, install) == []


@pytest.mark.parametrize(
    ("verb", "mode"),
    [(verb, mode) for verb in ("inspect", "kill", "remove") for mode in MODES]
    + [("remove", "delay:1.5")],
)
async def test_every_fault_of_a_stop_ends_in_a_known_state(
    fault_proxy, docker_api, state_dir, verb, mode
):
    async with behind(fault_proxy, state_dir, **SHORT) as engine:
        place = a_place(engine)
        await again(engine, state_dir, place)
        assert await told(engine, place) is None
        fault_proxy.inject(verb, mode, times=1)
        for _ in range(5):
            try:
                await engine.stop(place, 1.0)
            except EngineUnavailable:
                continue
            break
        assert await engine.look([place]) == {place.id: MISSING}


async def test_I5_what_is_not_provably_ours_is_never_touched(docker_host, docker_api, state_dir):
    """Containers with our words in their labels and names, but not with our signature."""
    install = secrets_of(state_dir).install_id
    made = {}
    async with an_engine(state_dir, docker_host) as engine:
        ours = a_place(engine)
        await begin(engine, state_dir, ours)
        theirs = await asyncio.to_thread(docker_api.inspect_container, name_of(state_dir, ours))
        copied = theirs["Config"]["Labels"]
        forged = new_place_id()
        cases = {
            # the labels of a real place under another name
            f"sessmgr-test-{os.urandom(4).hex()}": copied,
            # the right name, and a signature that was made up
            place_name(install, forged): {
                INSTALL: install, PLACE: forged, PURPOSE: "session", SIGNATURE: "0" * 64
            },
        }  # fmt: skip
        try:
            for name, labels in cases.items():
                made[name] = await asyncio.to_thread(_idle, docker_api, name, labels)
            found = {one.name: one for one in await engine.survey()}
            assert [found[name].signed for name in cases] == [False, False]
            assert found[name_of(state_dir, ours)].signed
            place = replace(ours, id=forged)
            await engine.stop(place, 0.0)
            assert await engine.look([place]) == {forged: MISSING}
            with pytest.raises(EngineError, match="by hand"):
                await begin(engine, state_dir, place)
            await engine.stop(ours, 0.0)
            for key in made.values():
                state = (await asyncio.to_thread(docker_api.inspect_container, key))["State"]
                assert state["Running"]
        finally:
            for key in made.values():
                await asyncio.to_thread(docker_api.remove_container, key, force=True, v=True)


def _idle(api, name, labels):
    made = api.create_container(
        "jupyter-sessmgr/python", ["sleep", "300"], name=name, labels=labels,
        host_config=api.create_host_config(network_mode="none"),
    )  # fmt: skip
    api.start(made["Id"])
    return made["Id"]


async def test_P8_two_installations_on_one_engine(docker_host, state_dir, tmp_path):
    async with (
        an_engine(state_dir, docker_host) as one,
        an_engine(tmp_path, docker_host) as other,
    ):
        mine, theirs = a_place(one), a_place(other)
        await begin(one, state_dir, mine)
        await begin(other, tmp_path, theirs)
        assert await one.look([theirs]) == {theirs.id: MISSING}
        await one.stop(theirs, 0.0)
        assert (await other.look([theirs]))[theirs.id].running
        names = {found.name: found.signed for found in await one.survey()}
        assert names[name_of(state_dir, mine)] is True
        assert names[name_of(tmp_path, theirs)] is False


def test_the_proxy_knows_its_verbs():
    """A fault that is injected nowhere would make every test here pass."""
    assert {verb for verb, _ in VERBS} >= {*START_VERBS, "list", "remove", "kill", "events", "info"}


async def test_the_proxy_itself_changes_nothing(fault_proxy, docker_api, state_dir):
    async with behind(fault_proxy, state_dir) as engine:
        answer = await tell(engine, state_dir, "def act(orders): return orders['place_id'][:0]")
        assert answer == ""
        assert set(fault_proxy.calls) >= {*START_VERBS, "remove", "logs"}
        assert networks_of(docker_api, secrets_of(state_dir).install_id)
