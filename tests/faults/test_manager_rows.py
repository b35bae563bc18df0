"""FAULTS rows that concern the manager as a whole, on real engines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_sessmgr.model.errors import EngineUnavailable, NameTaken, StoreError
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import Goal, SessionStatus
from tests.plugins.disks import as_root, fill, tmpfs
from tests.plugins.managers import managed, places, run_code, running, sweep_until
from tests.plugins.waiting import eventually

S = SessionStatus
ROOT = Path(__file__).parents[2]


async def test_S3_I8_on_a_full_disk_nothing_is_made_and_destroy_still_works(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "s", "4m") as state:
        async with managed(state) as manager:
            session = await running(manager)
            ballast = await asyncio.to_thread(fill, state)
            with pytest.raises(StoreError) as caught:
                await manager.create(CreateRequest(), "me")
            assert "disk" in caught.value.message.lower()
            assert list(await places(manager)) == [session.place_id]
            ended = await manager.destroy(session.id)
            assert (ended.status, ended.why) == (S.TERMINATED, "user-requested")
            assert not await places(manager)
            assert manager.find(session.id, "me").status is S.TERMINATED
            ballast.unlink()
            await eventually(lambda: manager._parts.store.get(session.id).status.is_final)
            row = manager._parts.store.get(session.id)
            assert (row.goal, row.stop_reason, row.why) == (Goal.STOP, *2 * ("user-requested",))
            await running(manager)


async def test_S5_sessions_of_a_lost_database_are_taken_back(tmp_path, engine_name):
    state = tmp_path / "s"
    async with managed(state, engine_name, keep=True) as manager:
        before = await running(manager, name="precious", environ={"A": "b"})
    for file in state.glob("sessions.db*"):
        file.unlink()
    async with managed(state, engine_name) as manager:
        await sweep_until(manager, lambda: manager.list("me"))
        after = manager.find("precious", "me")
        assert (after.id, after.place_id) == (before.id, before.place_id)
        assert after.spec == before.spec
        await eventually(lambda: manager._parts.links.kernel(after.place_id))
        assert (await manager.usage(after.id)).pids >= 1


async def test_P10_an_old_copy_of_the_database_costs_no_session(tmp_path, engine_name):
    state = tmp_path / "s"
    async with managed(state, engine_name, keep=True) as manager:
        await running(manager, name="old-one")
    copies = {file: file.read_bytes() for file in state.glob("sessions.db*")}
    async with managed(state, engine_name, keep=True) as manager:
        await running(manager, name="new-one")
    for file in state.glob("sessions.db*"):
        file.unlink()
    for file, content in copies.items():
        file.write_bytes(content)
    async with managed(state, engine_name) as manager:
        await sweep_until(manager, lambda: len(manager.list("me")) == 2)
        assert {one.name for one in manager.list("me")} == {"old-one", "new-one"}


async def test_P8_two_installations_never_touch_each_others_places(tmp_path, engine_name):
    async with (
        managed(tmp_path / "a", engine_name) as one,
        managed(tmp_path / "b", engine_name) as two,
    ):
        mine, yours = await asyncio.gather(running(one), running(two))
        await one._reconciler.sweep()
        await two._reconciler.sweep()
        await one.destroy(mine.id)
        assert await places(two) == {yours.place_id: True}
        assert two.find(yours.id, "me").status is S.RUNNING


async def test_P9_a_second_server_follows_and_says_whom(tmp_path):
    async with managed(tmp_path / "s") as first, managed(tmp_path / "s", keep=True) as second:
        assert (first.leader, second.leader) == (True, False)
        assert first.health().follows == ""
        health = second.health()
        assert health.available
        assert str(os.getpid()) in health.follows
        assert second.offers == first.offers


async def test_P9_a_killed_leader_leaves_no_lock(tmp_path):
    code = (
        "import asyncio,sys,os,signal\n"
        "from jupyter_sessmgr.manager.sessions import ComputeSessionManager\n"
        "async def main():\n"
        "    manager = ComputeSessionManager(state_dir=sys.argv[1], engine='process')\n"
        "    await manager.open()\n"
        "    print('open', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, str(tmp_path / "s")],
        cwd=ROOT,
        capture_output=True,
    )
    assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, b"open\n")
    async with managed(tmp_path / "s") as manager:
        assert manager.health().available


async def test_P5_what_is_not_durable_ends_with_its_server(tmp_path, engine_name):
    state = tmp_path / "s"
    async with managed(state, engine_name, keep=True) as manager:
        durable = await running(manager)
        passing = await running(manager, durable=False)
    async with managed(state, engine_name) as manager:
        assert manager.find(passing.id, "me").status is S.TERMINATED
        assert manager.find(durable.id, "me").status is S.RUNNING
        assert await places(manager) == {durable.place_id: True}


async def test_D10_an_engine_that_is_away_at_the_start_costs_nothing(tmp_path):
    traits = {"DockerEngine": {"docker_host": f"unix://{tmp_path}/nothing.sock"}}
    async with managed(tmp_path / "s", "docker", config=Config(traits)) as manager:
        health = manager.health()
        assert not health.available
        assert health.engine == "docker"
        assert manager.offers == ()
        with pytest.raises(EngineUnavailable):
            await manager.create(CreateRequest(), "me")


async def test_T2_of_32_simultaneous_creates_of_one_name_one_wins(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        request = CreateRequest(name="only-one")
        answers = await asyncio.gather(*(manager.create(request, "me") for _ in range(32)))
        assert sum(fresh for _, fresh in answers) == 1
        assert len({session.id for session, _ in answers}) == 1
        await manager.settled(answers[0][0].id, 60)
        assert len(await places(manager)) == 1


async def test_T6_destroy_while_it_is_made(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        for delay in (0.0, 0.02, 0.08, 0.2):
            session, _ = await manager.create(CreateRequest(name="short-life"), "me")
            await asyncio.sleep(delay)
            ended = await manager.destroy(session.id)
            assert ended.status in {S.CANCELLED, S.TERMINATED}
            assert not await places(manager)


async def test_T6_restart_twice_and_destroy_while_restarting(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        session = await running(manager)
        first, second = await asyncio.gather(
            manager.restart(session.id, 60), manager.restart(session.id, 60)
        )
        assert first.observed_generation >= 2
        assert second.status is S.RUNNING
        # the next restart waits for this kernel as long as it may
        unwilling = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        await run_code(manager.connection_info(session.id), unwilling)
        restart = asyncio.create_task(manager.restart(session.id, 60))
        await eventually(lambda: manager.find(session.id, "me").status is S.RESTARTING)
        twice = await asyncio.gather(manager.destroy(session.id), manager.destroy(session.id))
        assert {one.status for one in twice} == {S.TERMINATED}
        with pytest.raises(Exception, match="ended"):
            await restart


async def test_C10_a_name_is_used_again_while_the_old_place_goes(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        old = await running(manager, name="same-name")
        with pytest.raises(NameTaken):
            await manager.create(CreateRequest(name="same-name", reuse=False), "me")
        await manager.destroy(old.id)
        new = await running(manager, name="same-name", reuse=False)
        assert new.id != old.id
        assert new.place_id != old.place_id
        assert list(await places(manager)) == [new.place_id]


async def test_C1_a_kernel_that_ran_out_of_memory_says_so(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        session = await running(manager, resources={"mem": "256m"})
        died = asyncio.Event()
        told = []
        manager.subscribe(
            lambda event: (told.append(event), died.set()) if hasattr(event, "exit") else None
        )
        code = "import time\nx = [bytes([n]) * (8 << 20) for n in range(64)]\ntime.sleep(60)"
        task = asyncio.create_task(run_code(manager.connection_info(session.id), code))
        await asyncio.wait_for(died.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert told[0].exit.oom
        assert "memory" in told[0].exit.reason
        assert "256" in told[0].exit.reason
        await eventually(lambda: manager._session(session.id).observed_generation == 2)


async def test_C4_a_kernel_that_ignores_signals_still_ends(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        session = await running(manager)
        await run_code(
            manager.connection_info(session.id),
            "import signal\nfor s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)",
        )
        loop = asyncio.get_running_loop()
        start = loop.time()
        await manager.interrupt(session.id)
        assert loop.time() - start < 5
        grace = manager._reconciler.stop_grace
        start = loop.time()
        await manager.destroy(session.id)
        assert loop.time() - start < grace + 10, "it escalates after the grace time"
        assert not await places(manager)


async def test_C7_a_kernel_that_never_gets_ready_fails_with_its_log(tmp_path):
    spec = tmp_path / "data" / "kernels" / "sleepy"
    spec.mkdir(parents=True)
    argv = [
        sys.executable,
        "-c",
        "import time; print('I sleep', flush=True); time.sleep(99)",
        "{connection_file}",
    ]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "x", "language": "x"})
    )
    async with managed(tmp_path / "s") as manager:
        home = Path((await running(manager)).spec.mounts[0].source)
        manager._reconciler.boot_timeout = 4.0  # which others may need on a slow machine
        target = home / ".local/share/jupyter/kernels/sleepy"
        target.mkdir(parents=True)
        (target / "kernel.json").write_text((spec / "kernel.json").read_text())
        session, _ = await manager.create(CreateRequest(kernel="sleepy"), "me")
        ended = await manager.settled(session.id, 20)
        assert ended.status is S.ERROR
        assert "not ready within" in ended.failure
        assert "I sleep" in ended.log_tail


async def test_unknown_kernels_are_refused_with_the_known_ones_named(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        session, _ = await manager.create(CreateRequest(kernel="nosuch"), "me")
        ended = await manager.settled(session.id, 60)
        assert ended.status is S.ERROR
        assert "nosuch" in ended.failure
        assert "python3" in ended.failure
