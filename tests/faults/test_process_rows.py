"""Rows of FAULTS that concern sessions which are local processes, on the real machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_sessmgr.engines.base import MISSING
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, ImageNotFound
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.session import Place
from tests.plugins.managers import managed, running
from tests.plugins.processes import (
    IDLE,
    ISOLATIONS,
    a_place,
    a_spec,
    agent_pid,
    an_engine,
    begin,
    kill_from_outside,
    nothing_left,
    orders_for,
    processes_of,
    record_of,
    rewrite,
    zombies,
)
from tests.plugins.waiting import eventually

pytestmark = pytest.mark.parametrize("isolation", ISOLATIONS)

#: A server that starts a place, then says so and waits, or ends where it is told to.
SERVER = """
import asyncio, os, pathlib, sys
from jupyter_sessmgr.engines.process import spawn
from jupyter_sessmgr.engines.process.records import PlaceFolder
from tests.plugins.processes import *

folder, isolation, place_id, where = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), 9)

def half(child, orders):
    os.write(child.orders.fileno(), orders[:5000])
    die()

if where == "before the process":
    spawn.spawn = die
elif where == "before its number is noted":
    PlaceFolder.note = die
elif where == "before its orders":
    spawn.feed = die
elif where == "amid its orders":
    spawn.feed = half

async def main():
    engine = ProcessEngine(isolation=isolation)
    await engine.open(secrets_of(folder), pathlib.Path(folder))
    place = Place(id=place_id, engine_id=engine.engine_id)
    await begin(engine, pathlib.Path(folder), place, a_spec())
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
POINTS = (
    "before the process",
    "before its number is noted",
    "before its orders",
    "amid its orders",
)


def run_server(folder, isolation, place, where=""):
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, folder, isolation, place.id, where],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


async def test_P1_a_killed_server_leaves_its_session_running(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        server = run_server(state_dir, isolation, place)
        try:
            assert await asyncio.to_thread(server.stdout.readline) == b"started\n"
        finally:
            server.kill()
            await asyncio.to_thread(server.wait)
        pid = agent_pid(state_dir, place.id)
        seen = (await engine.look([place]))[place.id]
        assert (seen.running, seen.key) == (True, str(pid))
        (found,) = await engine.survey()
        assert (found.place_id, found.signed, found.running) == (place.id, True, True)
        # The start is repeated by the next server: it takes what is there.
        (*_, last) = await begin(engine, state_dir, place, a_spec())
        assert last.key == str(pid)
        await engine.stop(place, 3.0)
        nothing_left(state_dir, place.id)


@pytest.mark.parametrize("where", POINTS)
async def test_P1_killed_in_the_midst_of_a_start(state_dir, isolation, where):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        server = run_server(state_dir, isolation, place, where)
        assert await asyncio.to_thread(server.wait, 30) == -signal.SIGKILL
        server.stdout.close()
        # Without its orders it ends by itself: nobody has to find it.
        await eventually(lambda: processes_of(place.id) == {})
        (found,) = await engine.survey()
        assert (found.place_id, found.signed, found.running) == (place.id, True, False)
        (*_, last) = await begin(engine, state_dir, place, a_spec())
        assert last.endpoints
        await engine.stop(place, 3.0)
        nothing_left(state_dir, place.id)


async def test_P1_the_next_server_finds_an_agent_that_is_about_to_end(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        server = run_server(state_dir, isolation, place, "before its orders")
        await asyncio.to_thread(server.wait, 30)
        server.stdout.close()
        (*_, last) = await begin(engine, state_dir, place, a_spec())
        assert (await engine.look([place]))[place.id].running
        assert last.key == str(agent_pid(state_dir, place.id))
        await engine.stop(place, 3.0)
        nothing_left(state_dir, place.id)


@pytest.mark.parametrize("when", ["running", "in the middle of its end"])
async def test_P1_killed_in_the_midst_of_a_stop(state_dir, isolation, when):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        if when == "running":
            os.kill(agent_pid(state_dir, place.id), signal.SIGKILL)
        else:
            folder = state_dir / "places" / place.id
            await kill_from_outside(state_dir, place.id)
            shutil.rmtree(folder / "run")
            folder.rename(folder.with_name(f".gone-{place.id}"))
        await engine.stop(place, 0.0)
        nothing_left(state_dir, place.id)


async def test_C2_killed_from_outside(state_dir, isolation):
    known = zombies()
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        await kill_from_outside(state_dir, place.id)

        async def ended():
            seen = (await engine.look([place]))[place.id]
            return None if seen.running else seen

        seen = await eventually(ended)
        assert (seen.exists, seen.exit_code, seen.oom) == (True, -signal.SIGKILL, False)
        assert "killed from outside (SIGKILL)" in seen.reason
        assert set(zombies()) <= set(known)
        await engine.stop(place, 3.0)
        nothing_left(state_dir, place.id)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_C2_the_outermost_process_killed_from_outside(state_dir, isolation, signum):
    config = Config({"ProcessEngine": {"isolation": isolation, "poll_interval": 0.2}})
    async with managed(state_dir, config=config) as manager:
        session = await running(manager)
        os.kill(record_of(state_dir, session.place_id, "process.json")["outer"]["pid"], signum)

        def ended():
            now = manager.find(session.id, "me")
            return now if now.status.is_final else None

        end = await eventually(ended)
        assert end.status == "ERROR"
        assert f"killed from outside ({signum.name})" in end.failure
        nothing_left(state_dir, session.place_id)


async def test_C2_removed_from_outside(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        await asyncio.to_thread(shutil.rmtree, state_dir / "places" / place.id)
        # Its files are gone, its process is not: so neither is the session.
        assert (await engine.look([place]))[place.id].running
        await engine.stop(place, 1.0)
        nothing_left(state_dir, place.id)


async def test_C2_its_end_is_told_with_its_last_words(state_dir, isolation):
    act = """
def act(orders):
    import threading
    def end():
        sys.stderr.write("I had enough\\n")
        sys.stderr.flush()
        os._exit(3)
    threading.Timer(0.3, end).start()
"""
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=act)

        async def ended():
            seen = (await engine.look([place]))[place.id]
            return None if seen.running else seen

        seen = await eventually(ended)
        assert seen.exit_code == 3
        assert seen.reason == "The session's process ended with exit code 3: I had enough."


async def test_C3_paused_is_not_dead_and_can_be_ended(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec())
        os.kill(agent_pid(state_dir, place.id), signal.SIGSTOP)

        async def paused():
            return (await engine.look([place]))[place.id].paused

        await eventually(paused)
        before = time.monotonic()
        await engine.stop(place, 5.0)
        assert time.monotonic() - before < 4  # it was woken, and went by itself
        nothing_left(state_dir, place.id)


async def test_C4_one_that_ignores_signals_is_killed_in_time(state_dir, isolation):
    act = "def act(orders): signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=act)
        before = time.monotonic()
        await engine.stop(place, 0.5)
        assert 0.5 <= time.monotonic() - before < 1.5
        nothing_left(state_dir, place.id)


async def test_C6_missing_interpreter(state_dir, isolation, tmp_path):
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    environments = {REFERENCE_IMAGE: str(python)}
    async with an_engine(state_dir, isolation, environments=environments) as engine:
        await engine.image(REFERENCE_IMAGE)
        python.unlink()
        place = a_place(engine)
        with pytest.raises(ImageNotFound, match="it is not there"):
            await begin(engine, state_dir, place, a_spec())
        assert await engine.images() == []
        await engine.stop(place, 0.0)
        nothing_left(state_dir, place.id)


async def test_C6_interpreter_that_fails_only_when_started(state_dir, isolation, tmp_path):
    python = tmp_path / "python"
    # It answers the question what it is, and cannot run an agent.
    python.write_text(
        f'#!/bin/sh\ncase "$3" in *prefixes*) exec {sys.executable} "$@";; esac\n'
        "echo 'libpython3.so: cannot open shared object file' >&2\nexit 127\n"
    )
    python.chmod(0o755)
    environments = {REFERENCE_IMAGE: str(python)}
    async with an_engine(state_dir, isolation, environments=environments) as engine:
        place = a_place(engine)
        with pytest.raises(EngineError, match=r"agent (did not start|ended).*(libpython|execvp)"):
            await begin(engine, state_dir, place, a_spec())
        await engine.stop(place, 0.0)
        nothing_left(state_dir, place.id)


async def test_C7_start_never_ready(state_dir, isolation):
    act = "def act(orders): time.sleep(600)"
    async with an_engine(state_dir, isolation, start_timeout=0.5) as engine:
        place = a_place(engine)
        with pytest.raises(EngineError, match=r"did not listen within 0.5 .*start_timeout"):
            await begin(engine, state_dir, place, a_spec(), act=act)
        await engine.stop(place, 0.0)
        nothing_left(state_dir, place.id)


async def test_I5_another_process_with_the_same_number_is_not_touched(state_dir, isolation):
    bystander = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220 - takes no time
    try:
        async with an_engine(state_dir, isolation) as engine:
            place = a_place(engine)
            await begin(engine, state_dir, place, a_spec(), act=IDLE)
            await kill_from_outside(state_dir, place.id)
            # The number was given to somebody else meanwhile.
            noted = record_of(state_dir, place.id, "process.json")
            for one in noted.values():
                one["pid"] = bystander.pid
            rewrite(state_dir, place.id, "process.json", **noted)
            assert not (await engine.look([place]))[place.id].running
            await engine.stop(place, 1.0)
            assert bystander.poll() is None
            nothing_left(state_dir, place.id)
    finally:
        bystander.kill()
        bystander.wait()


async def test_I7_another_machine_on_a_shared_folder_is_unreachable_not_gone(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        here, elsewhere = a_place(engine), a_place(engine)
        for place in (here, elsewhere):
            await begin(engine, state_dir, place, a_spec(), act=IDLE)
        true = record_of(state_dir, elsewhere.id)["machine"]
        rewrite(state_dir, elsewhere.id, machine="another")
        with pytest.raises(EngineUnavailable, match="another machine"):
            await engine.look([elsewhere])
        with pytest.raises(EngineUnavailable, match="another machine"):
            await engine.stop(elsewhere, 0.0)
        with pytest.raises(EngineUnavailable, match="another machine"):
            await begin(engine, state_dir, elsewhere, a_spec())
        assert [one.place_id for one in await engine.survey()] == [here.id]
        assert (await engine.look([here]))[here.id].running
        rewrite(state_dir, elsewhere.id, machine=true)
        assert (await engine.look([elsewhere]))[elsewhere.id].running


async def test_I7_the_engine_is_the_machine(state_dir, isolation, monkeypatch):
    async with an_engine(state_dir, isolation) as engine:
        async with an_engine(state_dir, isolation) as again:
            assert again.engine_id == engine.engine_id
        monkeypatch.setattr(
            "jupyter_sessmgr.engines.process.machine._machine_id", lambda: "another"
        )
        async with an_engine(state_dir, isolation) as other:
            assert other.engine_id != engine.engine_id


async def test_after_a_reboot_of_the_same_machine_places_are_gone(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        await kill_from_outside(state_dir, place.id)
        rewrite(state_dir, place.id, boot="before")
        assert await engine.look([place]) == {place.id: MISSING}
        (found,) = await engine.survey()
        assert (found.signed, found.running) == (True, False)
        await engine.stop(place, 3.0)
        nothing_left(state_dir, place.id)


async def test_a_container_that_was_started_again_is_told_from_one_beside(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        true = record_of(state_dir, place.id)["pid_space"]
        rewrite(state_dir, place.id, pid_space="pid:[1]")
        with pytest.raises(EngineUnavailable, match="another container"):
            await engine.look([place])
        assert [one.running for one in await engine.survey()] == [True]
        with pytest.raises(EngineUnavailable, match="another container"):
            await engine.stop(place, 0.0)
        rewrite(state_dir, place.id, pid_space=true)
        await kill_from_outside(state_dir, place.id)
        rewrite(state_dir, place.id, pid_space="pid:[1]")
        assert await engine.look([place]) == {place.id: MISSING}
        await engine.stop(place, 0.0)
        nothing_left(state_dir, place.id)


async def test_I7_a_folder_that_cannot_be_read_says_nothing(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(), act=IDLE)
        places = state_dir / "places"
        places.rename(state_dir / "moved")
        try:
            for ask in (engine.look([place]), engine.survey(), engine.stop(place, 0.0)):
                with pytest.raises(EngineUnavailable, match="cannot be looked after"):
                    await ask
        finally:
            (state_dir / "moved").rename(places)
        assert (await engine.look([place]))[place.id].running


async def test_I3_leftovers_are_found_and_removed(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        places = [a_place(engine) for _ in range(3)]
        await asyncio.gather(*(begin(engine, state_dir, one, a_spec(), act=IDLE) for one in places))
        await kill_from_outside(state_dir, places[0].id)
        found = {one.place_id: one for one in await engine.survey()}
        assert {one.id for one in places} == set(found)
        assert [found[one.id].running for one in places] == [False, True, True]
        assert all(one.signed for one in found.values())
        for place_id in found:
            await engine.stop(Place(id=place_id, engine_id=engine.engine_id), 0.0)
            nothing_left(state_dir, place_id)
        assert await engine.survey() == []


async def test_I5_what_another_installation_signed_is_not_ours(state_dir, isolation, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    async with an_engine(state_dir, isolation) as engine, an_engine(other, isolation) as foreign:
        place = a_place(foreign)
        await begin(foreign, other, place, a_spec(), act=IDLE)
        assert await engine.survey() == []
        copied = state_dir / "places" / place.id
        await asyncio.to_thread(
            shutil.copytree, other / "places" / place.id, copied,
            ignore=shutil.ignore_patterns("run")
        )  # fmt: skip
        (found,) = await engine.survey()
        assert not found.signed
        shutil.rmtree(copied)


async def test_E6_a_stopped_places_orders_are_nowhere(state_dir, isolation):
    async with an_engine(state_dir, isolation) as engine:
        place, spec = a_place(engine), a_spec()
        token = orders_for(engine, state_dir, place, spec)["token"]
        await begin(engine, state_dir, place, spec)
        await engine.stop(place, 3.0)
        texts = [path.read_bytes() for path in state_dir.rglob("*") if path.is_file()]
        assert not [text for text in texts if token.encode() in text]
