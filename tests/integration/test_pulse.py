"""Busy and idle of real kernels, and what listening to many costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import time
from types import SimpleNamespace

import zmq.asyncio
from jupyter_client.session import Session

from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.use import pulse as pulse_module
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.use.pulse import Pulse
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.ports import KERNEL_CHANNELS, Endpoint
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.testing import make_session
from tests.plugins.managers import managed, run_code, running
from tests.plugins.waiting import eventually

MANY = 200
#: Executions of each kernel per second.
RATE = 5
#: Many kernels as one program: answers on shell, and says busy and idle in turns.
KERNELS = """
import json, sys, time, zmq
from jupyter_client.session import Session
prefix, many, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
context, wire = zmq.Context(), Session(key=b"")
context.set(zmq.MAX_SOCKETS, 4096)
poller, iopubs = zmq.Poller(), {}
for number in range(many):
    shell, iopub = context.socket(zmq.ROUTER), context.socket(zmq.PUB)
    shell.bind(f"ipc://{prefix}{number}-1")
    iopub.bind(f"ipc://{prefix}{number}-2")
    poller.register(shell, zmq.POLLIN)
    iopubs[shell] = iopub
def say(iopub, parent, state):
    message = wire.msg("status", {"execution_state": state})
    message["parent_header"] = parent
    iopub.send_multipart([b"kernel.1.status", *wire.serialize(message)])
    iopub.send_multipart([b"stream.stdout", b"x" * 2000])
print("ready", flush=True)
cell = {"msg_id": "m", "msg_type": "execute_request", "session": "theirs"}
while True:
    began = time.monotonic()
    for state in ("busy", "idle"):
        for shell, _ in poller.poll(0):
            who, *frames = shell.recv_multipart()
            parent = json.loads(frames[2])
            say(iopubs[shell], parent, "busy")
            say(iopubs[shell], parent, "idle")
            shell.send_multipart([who, *frames])
        for iopub in iopubs.values():
            say(iopub, cell, state)
    time.sleep(max(0.001, began + 1 / rate - time.monotonic()))
"""


async def test_a_kernel_is_busy_for_whoever_uses_it_and_over_a_restart_of_the_server(
    state_dir, tmp_path
):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    asked = {"notebook_folder": str(folder), "notebook_path": ""}
    async with managed(state_dir, keep=True) as manager:
        session = await running(manager, **asked)
        known = manager.activity.of(session.id)
        await eventually(lambda: known.busy is False)
        assert known.first_use is None  # our own question is no use
        info = manager.connection_info(session.id)
        await run_code(info, "import time, pathlib")
        await eventually(lambda: manager.find(session.id, "me").connected_at)
        code = "while not pathlib.Path('go').exists(): time.sleep(0.01)"
        cell = asyncio.create_task(run_code(info, code, timeout=60))
        await eventually(lambda: known.busy is True)
        assert manager.activity.idle_for(session) is None
    async with managed(state_dir) as manager:
        session = manager.find(session.id, "me")
        assert session.last_active_at is not None  # it was written down
        await eventually(lambda: manager._parts.links.kernel(session.place_id))
        await asyncio.sleep(0.7)  # time to take it for idle, if it would
        assert manager.activity.idle_for(session) is None
        (folder / "go").touch()
        await cell
        await eventually(lambda: manager.activity.of(session.id).busy is False)
        await manager.restart(session.id, 30)
        await eventually(lambda: manager.activity.of(session.id).busy is False)


async def test_a_kernel_whose_last_word_was_lost_is_asked_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse_module, "_SILENCE", 0.3)
    prefix = str(tmp_path / "k")
    (row,) = sessions_on(prefix, 1)
    board = Activity()
    context, wire = zmq.asyncio.Context(), Session(key=b"")
    shell, iopub = context.socket(zmq.ROUTER), context.socket(zmq.PUB)
    shell.bind(f"ipc://{prefix}0-1")
    iopub.bind(f"ipc://{prefix}0-2")

    async def say(parent, *states):
        for state in states:
            message = wire.msg("status", {"execution_state": state})
            message["parent_header"] = parent
            await iopub.send_multipart([b"status", *wire.serialize(message)])

    async def kernel():
        while True:
            who, *frames = await shell.recv_multipart()
            await say(json.loads(frames[2]), "busy", "idle")
            await shell.send_multipart([who, *frames])

    async def heard():
        await say({"msg_id": "m", "msg_type": "execute_request"}, "busy")
        return board.of(row.id).busy is True

    answering = asyncio.create_task(kernel())
    pulse = Pulse(parts_with([row]), board)
    pulse.start()
    try:
        await eventually(lambda: board.of(row.id).busy is False)
        await eventually(heard)
        await eventually(lambda: board.of(row.id).busy is False)
    finally:
        await pulse.stop()
        answering.cancel()
        context.destroy(linger=0)


async def test_a_kernel_that_never_got_the_question_is_asked_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse_module, "_SILENCE", 0.3)
    prefix = str(tmp_path / "k")
    (row,) = sessions_on(prefix, 1)
    board = Activity()
    met, peers = asyncio.Event(), []

    async def stranger(reader, writer):
        # It breaks the handshake, which leaves the socket nobody to send to, for good.
        peers.append(writer)
        writer.write(bytes([255, *bytes(8), 127, 3, 0, *b"NULL", *bytes(48), 4, 255, *b"z" * 300]))
        await reader.read(64)
        met.set()

    server = await asyncio.start_unix_server(stranger, f"{prefix}0-1")
    pulse = Pulse(parts_with([row]), board)
    pulse.start()
    try:
        await asyncio.wait_for(met.wait(), 10)
        server.close()
        (tmp_path / "k0-1").unlink(missing_ok=True)
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as shell:
            shell.linger = 0
            shell.bind(f"ipc://{prefix}0-1")
            who, *question = await asyncio.wait_for(shell.recv_multipart(), 10)
            await shell.send_multipart([who, *question])
            await eventually(lambda: board.of(row.id).busy is False)
    finally:
        await pulse.stop()
        for peer in peers:
            peer.close()


def parts_with(rows):
    """Make as much of the manager's parts as a pulse uses."""
    log = logging.getLogger("pulse")
    return SimpleNamespace(
        bus=EventBus(log),
        store=SimpleNamespace(sessions=lambda: rows),
        secrets=InstallationSecrets(b"m" * 32, "testinst"),
        log=log,
    )


def sessions_on(prefix, many):
    """Make rows of sessions whose kernels are those of `KERNELS`."""
    return [
        make_session(
            status=SessionStatus.RUNNING,
            place_id=f"place{number}",
            endpoints=tuple(
                Endpoint(name, f"{prefix}{number}", port, "ipc")
                for port, name in enumerate(KERNEL_CHANNELS, 1)
            ),
        )
        for number in range(many)
    ]


@contextlib.asynccontextmanager
async def many_kernels(prefix):
    """Run `KERNELS`."""
    arguments = (sys.executable, "-c", KERNELS, prefix, str(MANY), str(RATE))
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    try:
        await asyncio.wait_for(process.stdout.readline(), 30)
        yield
    finally:
        process.kill()
        await process.wait()


async def loop_lag(seconds):
    """Measure how late the loop is, in seconds: the median and the worst of many waits."""
    late = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        late.append(time.monotonic() - before - 0.005)
    late.sort()
    return late[len(late) // 2], late[int(len(late) * 0.99)]


async def test_listening_to_many_kernels_does_not_hold_the_loop_up(tmp_path):
    prefix = str(tmp_path / "k")
    rows = sessions_on(prefix, MANY)
    parts, board = parts_with(rows), Activity()
    async with many_kernels(prefix):
        pulse = Pulse(parts, board)
        pulse.start()
        try:
            await eventually(lambda: all(board.of(row.id).first_use for row in rows), 60)
            cpu = time.process_time()
            median, worst = await loop_lag(4)
            share = (time.process_time() - cpu) / 4
            print(f"lag {median * 1000:.1f} / {worst * 1000:.1f} ms, {share:.0%} of a processor")
            assert median < 0.05
            assert share < 0.8
            parts.bus.publish(StatusChanged(rows[0], None))  # it came back: listened to anew
            assert board.of(rows[0].id).busy is None
            await eventually(lambda: board.of(rows[0].id).busy is not None)
        finally:
            await pulse.stop()
    assert all(board.of(row.id).busy is None for row in rows)
