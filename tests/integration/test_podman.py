"""The Docker engine on Podman's socket: the same sessions, and an honest word on what is missing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import textwrap

import pytest
from docker import APIClient

from jupyter_sessmgr.engines.base import MISSING
from jupyter_sessmgr.manager.agents.boot import make_boot
from jupyter_sessmgr.manager.agents.bootconfig import connection_info, kernel_config
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.model.errors import EngineError, ImageNotFound
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import ComputeSession
from tests.plugins.docker import (
    a_place,
    a_spec,
    an_engine,
    begin,
    name_of,
    networks_of,
    tell,
    violations,
)
from tests.plugins.managers import run_code
from tests.plugins.processes import orders_for, secrets_of
from tests.plugins.waiting import eventually
from tests.security.test_F_containers import LISTEN, addresses_of_this_machine, reach

pytestmark = [pytest.mark.podman]


async def test_a_kernel_runs_is_interrupted_and_ends(podman_host, state_dir):
    secrets = secrets_of(state_dir)
    async with an_engine(state_dir, podman_host) as engine:
        place, spec = a_place(engine), a_spec(kernel="python3", resources=Resources(mem=512 << 20))
        session = ComputeSession(
            id="s", name="name", owner="me", spec=spec, created_at=0.0, place_id=place.id
        )
        layout = engine.layout(place, spec)
        orders = orders_for(
            engine, state_dir, place, spec, kernel=kernel_config(session, place, layout, secrets)
        )
        checkpoints = [one async for one in engine.start(place, spec, make_boot(orders))]
        endpoints = checkpoints[-1].endpoints
        link = await AgentLink.connect(endpoints[0], place_id=place.id, secrets=secrets, timeout=20)
        try:
            await eventually(lambda: link.kernel.state == "bound", timeout=30)
            session = ComputeSession(
                id="s", name="name", owner="me", spec=spec, created_at=0.0, place_id=place.id,
                endpoints=endpoints, encrypted=link.kernel.encrypted,
            )  # fmt: skip
            info = connection_info(session, secrets)
            reply, written = await run_code(info, "import os; print(os.getuid(), 6 * 7)")
            assert reply["status"] == "ok"
            assert written.split() == [str(engine.capabilities.runs_as[0]), "42"]
            code, on = "print('on', flush=True); import time; time.sleep(60)", asyncio.Event()
            running = asyncio.create_task(run_code(info, code, on=on))
            await asyncio.wait_for(on.wait(), 30)
            await link.interrupt()
            reply, _ = await asyncio.wait_for(running, 30)
            assert reply["ename"] == "KeyboardInterrupt"
        finally:
            await link.close()
        (found,) = [one for one in await engine.survey() if one.install_id == secrets.install_id]
        assert (found.signed, found.running, found.place_id) == (True, True, place.id)
        await engine.stop(place, 5.0)
        assert await engine.look([place]) == {place.id: MISSING}


async def test_podman_says_who_it_is(podman_host, state_dir):
    async with an_engine(state_dir, podman_host) as engine:
        identity = engine.engine_id
        notes = " ".join(engine.notes())
        assert "Podman" in notes
        assert "cannot keep sessions of one network from connecting" in notes
        image = await engine.image("jupyter-sessmgr/python")
        assert image.runtime_path
        assert "jupyter-sessmgr/python:latest" in [one.reference for one in await engine.images()]
        with pytest.raises(ImageNotFound):
            await engine.image("not/here:1")
        await engine.open(secrets_of(state_dir), state_dir)
        assert engine.engine_id == identity, "though Podman itself gives another each time"
        await engine.survey()


async def test_what_podman_makes_is_hardened(podman_host, state_dir):
    api = APIClient(base_url=podman_host, version="auto", timeout=30)
    async with an_engine(state_dir, podman_host) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(resources=Resources(mem=256 << 20)))
        seen = await asyncio.to_thread(api.inspect_container, name_of(state_dir, place))
        act = """
        def act(orders):
            status = dict(l.split(":", 1) for l in open("/proc/self/status"))
            try:
                open("/etc/x", "w")
                root = True
            except OSError:
                root = False
            with open("/home/work/x", "w"), open("/tmp/x", "w"):
                pass
            return [status["CapEff"].strip(), status["CapBnd"].strip(),
                    status["NoNewPrivs"].strip(), status["Seccomp"].strip(), root,
                    os.getuid(), os.getpid(), resource.getrlimit(resource.RLIMIT_CORE),
                    resource.getrlimit(resource.RLIMIT_NOFILE), socket.gethostname()]
        """
        told = await tell(engine, state_dir, "import resource" + textwrap.dedent(act))
        assert told[:5] == ["0" * 16, "0" * 16, "1", "2", False]
        assert told[5:9] == [1000, 1, [0, 0], [16384, 16384]]
        assert told[9] != socket.gethostname()
        host = seen["HostConfig"]
        assert host["Memory"] == host["MemorySwap"] == 256 << 20
        assert host["PidsLimit"] == Resources().pids
        # Podman's answers spell a few things in another way; what it does was tried above.
        spelled = {
            "capabilities are kept", "shared memory", "string mounts", "an endless log",
            "a network that is not ours", "environment", "devices", "a health check",
            "files without number", "the host's name", "the host's processes", "core dumps",
        }  # fmt: skip
        assert set(violations(seen)) <= spelled
    api.close()


async def test_sessions_are_reached_by_published_ports_too(podman_host, state_dir):
    async with an_engine(state_dir, podman_host, reach="published") as engine:
        assert engine.capabilities.networks == {"egress"}
        place, spec = a_place(engine), a_spec()
        boot = make_boot(orders_for(engine, state_dir, place, spec))
        checkpoints = [one async for one in engine.start(place, spec, boot)]
        endpoint = checkpoints[-1].endpoints[0]
        assert endpoint.host == "127.0.0.1"
        link = await AgentLink.connect(
            endpoint, place_id=place.id, secrets=secrets_of(state_dir), timeout=20
        )
        await link.close()
        assert (await engine.look([place]))[place.id].endpoints == checkpoints[-1].endpoints


async def test_a_session_that_ends_is_seen_and_hinted_at(podman_host, state_dir):
    api = APIClient(base_url=podman_host, version="auto", timeout=30)
    async with an_engine(state_dir, podman_host) as engine:
        hints = []

        async def listen():
            async for hint in engine.watch():
                hints.append(hint)  # noqa: PERF401 - read while it grows

        listening = asyncio.create_task(listen())
        try:
            await asyncio.sleep(0.5)
            place = a_place(engine)
            await begin(engine, state_dir, place)
            await asyncio.to_thread(api.kill, name_of(state_dir, place), signal.SIGKILL)

            async def dead():
                seen = (await engine.look([place]))[place.id]
                return None if seen.running else seen

            seen = await eventually(dead)
            assert seen.exit_code == 137
            await eventually(lambda: place.id in hints or listening.done())
        finally:
            listening.cancel()
            await asyncio.wait([listening])
    api.close()


async def test_suspended_and_resumed(podman_host, state_dir):
    async with an_engine(state_dir, podman_host) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place)
        await engine.suspend(place)
        assert (await engine.look([place]))[place.id].paused
        await engine.resume(place)
        assert not (await engine.look([place]))[place.id].paused
        await engine.suspend(place)
        await engine.stop(place, 1.0)
        assert await engine.look([place]) == {place.id: MISSING}


async def test_bad_starts_are_said_and_leave_nothing(podman_host, state_dir):
    async with an_engine(state_dir, podman_host) as engine:
        place = a_place(engine)
        with pytest.raises(ImageNotFound):
            await begin(engine, state_dir, place, a_spec(image="not/here:1"))
        with pytest.raises(EngineError):
            await begin(engine, state_dir, place, a_spec(resources=Resources(mem=1)))
        await engine.stop(place, 0.0)
        await begin(engine, state_dir, place)
        await begin(engine, state_dir, place)
        assert len([one for one in await engine.survey() if one.signed]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sets the packet filter")
async def test_F2_the_host_is_out_of_reach_on_podman_too(podman_host, state_dir):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        async with an_engine(state_dir, podman_host) as engine:
            await begin(engine, state_dir, a_place(engine))
            targets = [(one, port) for one in addresses_of_this_machine()]
            answer = await tell(engine, state_dir, reach(targets))
            assert answer == [False] * len(targets)


async def test_F1_isolated_sessions_reach_nobody_outside(podman_host, state_dir):
    async with an_engine(state_dir, podman_host) as engine:
        victim = a_place(engine)
        last = await begin(engine, state_dir, victim, act=LISTEN)
        address = last.endpoints[0].host
        spec = a_spec(network="isolated")
        assert await tell(engine, state_dir, reach([(address, 21000)]), spec) == [False]


async def test_networks_are_removed_when_nothing_uses_them(podman_host, state_dir):
    api = APIClient(base_url=podman_host, version="auto", timeout=30)
    install = secrets_of(state_dir).install_id
    async with an_engine(state_dir, podman_host) as engine:
        await begin(engine, state_dir, a_place(engine))
        assert len(await asyncio.to_thread(networks_of, api, install)) == 1
    assert await asyncio.to_thread(networks_of, api, install) == []
    api.close()
