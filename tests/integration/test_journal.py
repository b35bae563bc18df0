"""The journal beside real kernels."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_sessmgr.model.errors import NotRunning, Unsupported
from tests.plugins import disks
from tests.plugins.agents import a_client, alive, an_agent, kernelspec, run, until
from tests.plugins.journals import hasty, kept, read, recorder, until_said
from tests.plugins.managers import managed, run_code, running
from tests.plugins.waiting import eventually

NUMBERED = """
import time, threading
def count():
    for number in range(10_000):
        print(f"line {number}", flush=True)
        if number % 100 == 0: time.sleep(0.01)
    print("counted", flush=True)
count()
"""


def lines_of(text):
    return [int(line[5:]) for line in text.splitlines() if line.startswith("line ")]


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("encryption", ["auto", "disabled"])
async def test_the_first_line_of_the_first_cell_is_there_however_soon_it_comes(
    transport, encryption
):
    kernel = {"transport": transport, "encryption": encryption}
    async with an_agent(kernel=kernel, journal=kept()) as agent:
        link = await agent.link()
        for generation in range(1, 6):
            wanted = agent.kernel(generation, **kernel)
            await link.start_kernel(wanted, grace=0)
            assert (await until(link, "bound", generation=generation)).recorded
            async with hasty(agent, wanted) as client:
                client.execute(f"print('first of {generation}', flush=True)")
                await until_said(link, f"first of {generation}")
        head, messages = await read(link)
        numbers = [one["seq"] for one in messages]
        assert numbers == sorted(set(numbers))
        assert (head["lost"], head["gaps"]) == ([0, 0], [])


async def test_an_execution_is_kept_with_its_cell_its_reply_and_the_kernels_state():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            request = client.execute("print('said'); 1/0")
            note = {"kind": "note", "id": request, "cell": "a-cell", "path": "a.ipynb"}
            await link.call("journal_notes", notes=[note])
            await eventually(lambda: _ended(link, request), what="it ended")
            _, messages = await read(link, id=request)
            kinds = [one["message"]["header"]["msg_type"] for one in messages]
            assert kinds == ["execute_input", "stream", "error", "status", "execute_reply"]
            assert {one["cell"] for one in messages} == {"a-cell"}
            content = messages[-1]["message"]["content"]
            assert (content["status"], content["ename"]) == ("error", "ZeroDivisionError")
            last = messages[-2]
            told = await link.call("journal_position", id=last["message"]["header"]["msg_id"])
            assert told == {"seq": last["seq"]}
            # in the middle of a cell: what it does is known, without asking it
            asleep = client.execute("import time; time.sleep(60)")

            async def runs():
                return (await link.call("journal_state"))["executing"] == [asleep]

            await eventually(runs, what="it runs")
            state = await link.call("journal_state")
            assert state["execution_state"] == "busy"
            assert state["kernel_info"]["language_info"]["name"] == "python"
            await link.start_kernel(agent.kernel(2), grace=0)
            _, messages = await read(link, id=asleep)
            content = messages[-1]["message"]["content"]
            assert (content["status"], content["ename"]) == ("error", "KernelDied")


async def _ended(link, request):
    _, messages = await read(link, id=request)
    return messages[-1:] and messages[-1]["message"]["header"]["msg_type"] == "execute_reply"


async def test_what_is_noted_while_the_recorder_is_busy_is_not_lost():
    notes = [{"kind": "note", "id": f"r{number}", "cell": "c" * 200} for number in range(1000)]
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        busy = recorder(agent)
        os.kill(busy, signal.SIGSTOP)
        try:
            for start in range(0, len(notes), 50):
                await link.call("journal_notes", notes=notes[start : start + 50])
        finally:
            os.kill(busy, signal.SIGCONT)

        async def listed():
            try:
                told = (await link.call("journal_executions"))["items"]
            except NotRunning:  # it is busy still
                return False
            return [one["id"] for one in told][-900:] == [one["id"] for one in notes][-900:]

        await eventually(listed, what="all are noted")


async def test_a_reader_waits_for_what_comes_and_holds_nobody_up():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            await run(client, "1")
            head, _ = await read(link)
            waiting = [asyncio.ensure_future(read(link, head["next"], wait=30)) for _ in range(5)]
            assert (await read(link, head["next"], wait=0.05))[1] == []
            await link.ping()
            assert not any(one.done() for one in waiting)
            await run(client, "print('now')")
            for one in waiting:
                assert (await one)[1]


async def test_10000_numbered_lines_that_nobody_reads_are_all_there():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with hasty(agent) as client:
            client.execute(NUMBERED)
            said = await until_said(link, "counted", timeout=60)
        assert lines_of(said) == list(range(10_000))
        assert (await read(link))[0]["lost"] == [0, 0]
        private = _private(recorder(agent))
        assert private < 16 * 2**20, f"{private / 2**20:.1f} MiB"


def _private(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


async def test_a_flood_of_updates_pushes_nothing_out():
    flood = """
import sys
print("before")
for number in range(8000):
    sys.stderr.write(f"\\r{number}/8000 {'#' * (number // 500)}"); sys.stderr.flush()
print("after")
"""
    async with an_agent(kernel={}, journal=kept(max_bytes=2**20)) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with hasty(agent) as client:
            client.execute(flood)
            said = await until_said(link, "after", timeout=60)
        assert "before" in said
        assert "7999/8000" in said
        assert (await read(link))[0]["lost"] == [0, 0]


async def test_pictures_come_back_as_they_were():
    show = (
        "from IPython.display import Image; display(Image(bytes(range(256)) * 8000, format='png'))"
    )
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            shown = []
            await client.execute_interactive(
                show, output_hook=lambda one: shown.append(one["content"]), timeout=20
            )
        (picture,) = (one for one in shown if "image/png" in one.get("data", {}))

        async def is_kept():
            _, messages = await read(link)
            return picture in [one["message"]["content"] for one in messages]

        await eventually(is_kept, what="the journal has it, too")  # it hears a moment later


async def test_a_recorder_that_is_killed_is_started_again_and_the_gap_is_told():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            await run(client, "print('before')")
            await until_said(link, "before")
            killed = recorder(agent)
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda: recorder(agent) not in (None, killed), what="another one")

            async def hears():
                await run(client, "print('heard again')")
                said = [one["message"]["content"] for one in (await read(link))[1]]
                return {"name": "stdout", "text": "heard again\n"} in said

            await eventually(hears, what="it hears")
        head, messages = await read(link)
        assert "started again" in head["gaps"][0][3]
        assert messages[0]["seq"] < head["gaps"][0][0] < messages[-1]["seq"]
        assert "before" in await until_said(link, "heard again")
        assert link.kernel.state == "bound"


async def test_a_recorder_that_dies_again_and_again_is_given_up_and_the_kernel_runs():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        for _ in range(5):
            killed = await eventually(lambda: recorder(agent), what="a recorder")
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda killed=killed: not alive(killed), what="it ended")
        await eventually(lambda: not link.kernel.recorded, what="it is told")
        with pytest.raises(Unsupported, match="too often"):
            await read(link)
        async with a_client(agent) as client:
            assert await run(client, "print(1)") == "1"
        await link.start_kernel(agent.kernel(2), grace=0)
        assert (await until(link, "bound", generation=2)).state == "bound"


async def test_a_full_disk_is_told_and_the_newest_is_kept(request, tmp_path):
    if not disks.as_root(request, tmp_path):
        return
    with disks.tmpfs(tmp_path / "disk", "2m") as folder:
        order = {"folder": str(folder / "journal"), "max_bytes": 2**20, "max_age": 0}
        async with an_agent(kernel={}, journal=order) as agent:
            link = await agent.link()
            await until(link, "bound")
            async with a_client(agent) as client:
                await run(client, "print('before')")
                await until_said(link, "before")
                ballast = disks.fill(folder)
                await run(client, "for n in range(3000): print('line', n, 'x' * 300, flush=True)")
                said = await until_said(link, "line 2999")
                assert "before" in said
                assert "no room" in (await read(link))[0]["problem"]
                ballast.unlink()

                async def recovers():
                    return (await read(link))[0]["problem"] == ""

                await eventually(recovers, what="it writes again")
                await run(client, "print('later')")
                assert "line 2999" in await until_said(link, "later")


async def test_a_journal_that_is_cut_off_by_the_sessions_code_goes_on():
    async with an_agent(kernel={}, journal=kept()) as agent:
        link = await agent.link()
        await until(link, "bound")
        path = agent.folder / "journal" / "journal.sqlite"
        async with a_client(agent) as client:
            await run(client, "for n in range(3000): print('x' * 300, flush=True)")
            await until_said(link, "x")
            before = (await read(link))[0]["next"]
            await run(client, f"import os; os.truncate({str(path)!r}, 10000)")
            await run(client, f"os.truncate({str(path) + '-wal'!r}, 0)")
            await run(client, "for n in range(3000): print('y' * 300, flush=True)")
            await run(client, "print('still here')")
            said = await until_said(link, "still here")
            assert "y" * 300 in said
            head, _ = await read(link, before)
            assert head["next"] > before


async def test_without_pyzmq_a_kernel_runs_and_it_is_said_that_nothing_is_recorded():
    """As in an image whose kernel is not Python."""
    if _imports_zmq(OTHER_PYTHON):
        pytest.skip("the system's Python has pyzmq")
    async with an_agent(journal=kept(), python=OTHER_PYTHON) as agent:
        kernelspec(agent.folder, "other", "env", sys.executable, "-c", SILENT, "{connection_file}")
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="other"))
        state = await until(link, "bound", "failed")
        assert (state.state, state.recorded) == ("bound", False)
        with pytest.raises(Unsupported, match="lacks zmq"):
            await read(link)


async def test_a_kernel_that_says_nothing_is_not_waited_for_without_end():
    async with an_agent(journal=kept()) as agent:
        kernelspec(agent.folder, "silent", sys.executable, "-c", SILENT, "{connection_file}")
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="silent"))
        assert (await until(link, "bound", "failed")).state == "bound"
        assert (await link.call("journal_state"))["execution_state"] == "starting"


OTHER_PYTHON = "/usr/bin/python3"


def _imports_zmq(python):
    return not subprocess.run(
        [python, "-c", "import zmq"], check=False, capture_output=True
    ).returncode


#: A kernel that opens its ports and says nothing.
SILENT = """
import json, sys, time, zmq
info = json.load(open(sys.argv[1]))
context = zmq.Context()
sockets = []
for name in ("shell", "control", "stdin", "iopub", "hb"):
    one = context.socket(zmq.PUB if name == "iopub" else zmq.ROUTER)
    one.bind("%s://%s-%d" % (info["transport"], info["ip"], info[name + "_port"]))
    sockets.append(one)
time.sleep(600)
"""


async def test_lines_of_a_session_outlive_its_server(tmp_path, engine_name):
    async with managed(tmp_path / "state", engine_name, keep=True) as manager:
        session = await running(manager, durable=True)
        info = manager.connection_info(session.id)
        reply, _ = await run_code(info, "import threading, time")
        assert reply["status"] == "ok"
        page = await manager.journal.read(session.id)
        code = f"def go():\n    {NUMBERED.strip().replace(chr(10), chr(10) + '    ')}\n"
        reply, _ = await run_code(info, code + "\nthreading.Thread(target=go).start()")
        assert reply["status"] == "ok", reply
    async with managed(tmp_path / "state", engine_name) as manager:
        await manager.settled(session.id, 30)

        async def said():
            try:
                found = await manager.journal.read(session.id, page.next, most_bytes=16 * 2**20)
            except Exception:  # noqa: BLE001 - it is being connected
                return ""
            text = "".join(one.message["content"].get("text", "") for one in found.messages)
            return text if "counted" in text else ""

        text = await eventually(said, timeout=60, what="all was said")
        assert lines_of(text) == list(range(10_000))
        now = await manager.journal.state(session.id)
        assert now.execution_state == "idle"
        assert now.kernel_info["language_info"]["name"] == "python"
