"""P10: an old copy of the database is put back, and sessions have gone on since."""

from __future__ import annotations

import json
import os
import signal

from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.managers import managed, places, run_code, running, sweep_until
from tests.plugins.waiting import eventually


def copy(state):
    return {file: file.read_bytes() for file in state.glob("sessions.db*")}


def put_back(state, copies):
    for file in state.glob("sessions.db*"):
        file.unlink()
    for file, content in copies.items():
        file.write_bytes(content)


async def test_P10_I1_I5_I9_what_happened_since_the_copy_stays_so(tmp_path, engine_name):
    state = tmp_path / "s"
    async with managed(state, engine_name, keep=True) as manager:
        restarted = await running(manager, name="restarted-since")
        ended = await running(manager, name="ended-since")
    copies = copy(state)
    async with managed(state, engine_name, keep=True) as manager:
        for _ in range(2):
            await manager.restart(restarted.id, 60)
        await run_code(manager.connection_info(restarted.id), "x = 41")
        await manager.destroy(ended.id)
        made = await running(manager, name="made-since")
    put_back(state, copies)
    async with managed(state, engine_name) as manager:
        await sweep_until(manager, lambda: made.id in {one.id for one in manager.list("me")})
        await eventually(lambda: manager._session(ended.id).status.is_final)
        assert manager._session(ended.id).status is SessionStatus.ERROR  # nobody knows why it went
        live = {one.id: one for one in manager.list("me")}
        assert live.keys() == {restarted.id, made.id}
        assert {one.place_id: True for one in live.values()} == await places(manager)
        _, written = await run_code(manager.connection_info(restarted.id), "print(x)")
        assert written == "41\n"
        # Its row was two kernels behind: a restart must not take one of those for the new one.
        await manager.restart(restarted.id, 60)
        reply, _ = await run_code(manager.connection_info(restarted.id), "x")
        assert reply["ename"] == "NameError"


async def test_P10_I5_one_that_cannot_be_asked_is_kept_apart_told_and_taken_back_later(tmp_path):
    state = tmp_path / "s"
    async with managed(state, keep=True) as manager:
        pass
    copies = copy(state)
    async with managed(state, keep=True) as manager:
        made = await running(manager, name="made-since")
        agent = stopped(state / "places" / made.place_id)
    put_back(state, copies)
    try:
        async with managed(state, keep=True) as manager:
            await sweep_until(manager, lambda: manager._parts.memory.quarantine)
            assert manager.list("me") == []
            assert any(made.place_id in note for note in manager.health().notes)
            assert await places(manager) == {made.place_id: True}
    finally:
        os.kill(agent, signal.SIGCONT)
    async with managed(state) as manager:
        await sweep_until(manager, lambda: manager.list("me"))
        assert manager.find("made-since", "me").id == made.id
        assert not manager._parts.memory.quarantine


def stopped(place):
    """Stop the agent of a place, as a machine does that is out of memory; return its pid."""
    agent = json.loads((place / "process.json").read_text(encoding="utf-8"))["agent"]["pid"]
    os.kill(agent, signal.SIGSTOP)
    return agent
