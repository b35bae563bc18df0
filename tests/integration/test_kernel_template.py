"""Kernels that are forked from a template are as those that are started by their command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import traitlets

from jupyter_sessmgr.manager.agents import boot
from jupyter_sessmgr.manager.agents.boot import agent_sources
from tests.plugins.agents import (
    a_client,
    alive,
    an_agent,
    below,
    descendants,
    held_by,
    is_recorder,
    kernelspec,
    run,
    template,
    until,
)
from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook
from tests.plugins.waiting import eventually

LAUNCH = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]

#: What a program can find out about its process, as JSON.
FACTS = r"""
import asyncio, atexit, ctypes, faulthandler, gc, json, locale, logging, multiprocessing, os
import resource, signal, sys, threading, time, warnings

def kind(fd):
    try:
        target = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
    except OSError:
        return None
    return target, os.get_inheritable(int(fd)), open(f"/proc/self/fdinfo/{fd}").readlines()[1]

def wanted(one):
    return one is not None and "profile_default" not in one[0]

def pdeathsig():
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(answer), 0, 0, 0)
    return answer.value

status = dict(line.partition(":")[::2] for line in open("/proc/self/status"))
shown = {
    "environ": dict(os.environ),
    "c environ": ctypes.CDLL(None).getenv(b"OF_THIS_KERNEL") != 0,
    "cwd": os.getcwd(),
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "flags": list(sys.flags),
    "xoptions": sys._xoptions,
    "warnoptions": sys.warnoptions,
    "warnings": [str(one) for one in warnings.filters],
    "executable": [sys.executable, sys.prefix, sys.base_prefix],
    "stdin": [sys.__stdin__.fileno(), os.read(0, 1).decode()],
    "streams": [
        (one.name, one.encoding, one.errors, one.line_buffering, one.write_through)
        for one in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    ],
    # how many of a kind depends on how far clients have connected
    "fds": sorted({str(one) for one in map(kind, os.listdir("/proc/self/fd")) if wanted(one)}),
    "ids": [os.getpid() == os.getsid(0) == os.getpgid(0), os.getppid(), os.getuid(), os.getgid()],
    "umask": status["Umask"],
    "signals": [str(signal.getsignal(one)) for one in signal.valid_signals()],
    "masks": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs")],
    "limits": [resource.getrlimit(one) for one in range(16)],
    "oom": open("/proc/self/oom_score_adj").read(),
    "nice": os.nice(0),
    "name": open("/proc/self/comm").read(),
    "pdeathsig": pdeathsig(),
    "threads": sorted(one.name.rstrip("0123456789") for one in threading.enumerate()),
    "main": threading.current_thread() is threading.main_thread(),
    "gc": [gc.isenabled(), gc.get_threshold()],
    "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding()],
    "time": time.tzname,
    "recursion": sys.getrecursionlimit(),
    "exits": atexit._ncallbacks(),
    "importers": [str(type(one)) for one in sys.meta_path],
    "module": sorted(name for name in vars(sys.modules["__main__"]) if name[:2] == "__"),
    "fault handler": faulthandler.is_enabled(),
    "tracing": [str(type(one)) for one in (sys.gettrace(), sys.getprofile())],
    "processes": [multiprocessing.get_start_method(allow_none=True), status["Threads"]],
    "log": [str(one) for one in (*logging.root.handlers, logging.root)],
    "hooks": [sys.excepthook.__qualname__, sys.displayhook.__class__.__name__],
    "loop": type(asyncio.get_running_loop()).__name__,
    "modules": sorted(sys.modules),
    "not the user's": get_ipython().kernel._kernel_modules,
}
print(json.dumps(shown, default=str))
"""


async def the_next(agent, generation, **changes):
    """Have the next kernel; returns its state."""
    link = agent.links[-1]
    if generation == 2:  # the template has its name by now, if there will be one
        await eventually(lambda: set(below(agent.process.pid)) <= {link.kernel.pid})
    await link.start_kernel(agent.kernel(generation, **changes), grace=1)
    state = await until(link, "bound", "failed", generation=generation)
    assert state.state == "bound", state.error
    return state


async def test_a_kernel_that_was_forked_is_as_one_that_was_started_by_its_command():
    extra = {"environ": {"OF_THIS_KERNEL": "1", "PYTHONWARNINGS": "ignore::ImportWarning"}}
    seen = []
    async with an_agent() as agent:
        python = [sys.executable, "-X", "frozen_modules=off"]
        kernelspec(agent.folder, "plain", "env", *python, *LAUNCH, "--log-level=30")
        kernelspec(agent.folder, "forked", *python, *LAUNCH, "--log-level=30")
        link = await agent.link()
        for generation, name in enumerate(("plain", "forked", "forked", "forked"), 1):
            kernel = agent.kernel(generation, name=name, **extra)
            await link.start_kernel(kernel, grace=1)
            state = await until(link, "bound", generation=generation)
            assert ("-2.json" in command(state.pid)) == (name == "forked")
            async with a_client(agent, kernel) as client:
                facts = await run(client, FACTS)
            seen.append(json.loads(facts.replace(f"kernel-{generation}.json", "kernel.json")))
    plain, *others = seen
    imported = {name: set(plain.pop(name)) for name in ("modules", "not the user's")}
    for facts in others:
        for name, ones in imported.items():
            assert ones - set(facts.pop(name)) == set(), name
        different = {name: (plain[name], facts[name]) for name in plain}
        assert {one: two for one, two in different.items() if two[0] != two[1]} == {}


async def test_what_is_imported_ahead_writes_nothing_that_a_plain_start_does_not():
    """The debugger warns where Python is started without the flag that kernelspecs give it."""
    async with an_agent() as agent:
        kernelspec(agent.folder, "plain", "env", sys.executable, *LAUNCH)
        kernelspec(agent.folder, "forked", sys.executable, *LAUNCH)
        link = await agent.link()
        written = [""]
        for generation, name in enumerate(("plain", "forked", "forked"), 1):
            kernel = agent.kernel(generation, name=name)
            await link.start_kernel(kernel, grace=1)
            await until(link, "bound", generation=generation)
            async with a_client(agent, kernel) as client:
                code = "import os; print('PYDEVD_DISABLE_FILE_VALIDATION' in os.environ)"
                assert await run(client, code) == "False"
            written.append((await link.logs(65536)).replace(f"kernel-{generation}", "kernel"))
    plain, first, second = (after.removeprefix(before) for before, after in pairwise(written))
    assert first == second == plain


async def grown(agent):
    """Wait for the template, which nobody waits for otherwise; returns its pid."""
    return await eventually(lambda: template(agent.process.pid))


def command(pid):
    """Say how a process was started; a forked one as the process that it was forked from."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def is_forked(agent, state):
    """Tell whether a kernel and the template were started by the same command."""
    return command(state.pid) == command(await grown(agent))


USES = r"""
import asyncio, concurrent.futures, multiprocessing, random, subprocess, sys, threading, uuid
import numpy as np
if with_plots:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot(np.arange(10) @ np.eye(10))
    figure.savefig("plot.png")

results = []
threads = [threading.Thread(target=lambda: results.append(np.linalg.inv(np.eye(50)).sum()))
           for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
assert results == [50.0] * 8

async def later(n):
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(pow, n, 2)

assert await asyncio.gather(*map(later, range(5))) == [0, 1, 4, 9, 16]
process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
assert (await process.communicate(b"x"))[0] == b"x"
assert subprocess.run([sys.executable, "-c", "print(3)"], capture_output=True).stdout == b"3\n"
for method in ("fork", "spawn"):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(abs, range(-3, 0)) == [3, 2, 1]
with concurrent.futures.ProcessPoolExecutor(1) as pool:
    assert pool.submit(abs, -1).result() == 1
print(random.random(), np.random.random(), uuid.uuid4(), uuid.uuid1(),
      multiprocessing.current_process().authkey.hex())
"""


async def test_everything_works_in_a_forked_kernel_and_chance_is_its_own():
    chances = []
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        for generation in (2, 3):
            assert await is_forked(agent, await the_next(agent, generation))
            async with a_client(agent, agent.kernel(generation)) as client:
                chances.append(
                    (await run(client, "with_plots = False\n" + USES, timeout=60)).split()
                )
    assert len(chances[0]) == len(chances[1]) == 5
    assert not set(chances[0]) & set(chances[1])


async def test_a_forked_kernel_is_debugged():
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        assert await is_forked(agent, await the_next(agent, 2))
        async with a_client(agent, agent.kernel(2)) as client:
            answers = [
                await ask_debugger(client, "initialize", clientID="x", adapterID=""),
                await ask_debugger(client, "attach"),
                await ask_debugger(client, "debugInfo"),
                await ask_debugger(client, "disconnect", restart=False),
            ]
            assert await run(client, "1 / 0") == "ZeroDivisionError"
            client.execute("%debug", allow_stdin=True)
            asked = await client.get_stdin_msg(timeout=10)
            assert asked["content"]["prompt"].startswith("ipdb>")
            client.input("q")
            assert (await client.get_shell_msg(timeout=10))["content"]["status"] == "ok"
    assert [one["success"] for one in answers] == [True] * 4
    assert answers[2]["body"]["isStarted"] is True


async def ask_debugger(client, command, **arguments):
    """Send a request of the Debug Adapter Protocol as JupyterLab does."""
    words = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
    message = client.session.msg("debug_request", words)
    client.control_channel.send(message)
    while True:
        reply = await client.control_channel.get_msg(timeout=20)
        if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            return reply["content"]


async def test_a_forked_kernel_is_interrupted_with_what_it_runs():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        mother = await grown(agent)
        await the_next(agent, 2)
        async with a_client(agent, agent.kernel(2)) as client:
            ready = agent.folder / "ready"
            code = f"import subprocess; subprocess.run(['sh', '-c', 'touch {ready}; sleep 60'])"
            client.execute(code)
            await eventually(ready.exists)
            await link.interrupt()
            assert (await client.get_shell_msg(timeout=10))["content"]["status"] == "error"
        assert link.kernel.state == "bound"
        assert template(agent.process.pid) == mother


@pytest.mark.parametrize(
    ("code", "number"), [("os._exit(3)", 3), ("os.kill(os.getpid(), 11)", -11), ("exit()", 0)]
)
async def test_how_a_forked_kernel_ended_is_told(code, number):
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        state = await the_next(agent, 2)
        async with a_client(agent, agent.kernel(2)) as client:
            client.execute(f"import os; os.write(2, b'last words\\n'); {code}")
            ended = await until(link, "exited", generation=2)
        assert (ended.exit.code, ended.exit.oom) == (number, False)
        assert ended.exit.tail.endswith("last words\n")
        assert not alive(state.pid)
        assert await is_forked(agent, await the_next(agent, 3))


#: What of a user's does something when the kernel ends; it takes what it needs for that along.
LAST = """
import atexit, os, sys, types

class Last:
    def __init__(self, name):
        self.name, self.write = name, os.write
        self.to = os.open("last", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def __del__(self):
        self.write(self.to, self.name + b" ")

mine, turned = Last(b"mine"), [Last(b"turned")]
turned.append(turned)
sys.modules["later"] = types.ModuleType("later")
sys.modules["later"].its = Last(b"later")
unsaved = open("unsaved", "w")
unsaved.write("saved")
atexit.register(Last(b"called").__del__)
"""


@pytest.mark.parametrize("generation", [1, 2], ids=["first", "forked"])
async def test_what_a_user_left_to_the_end_is_done_when_the_kernel_ends(generation):
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        if generation == 2:
            assert await is_forked(agent, await the_next(agent, 2))
        async with a_client(agent, agent.kernel(generation)) as client:
            await run(client, f"import os; os.chdir({str(agent.folder)!r})")
            await run(client, LAST)
            client.execute("exit()")
            await until(link, "exited", generation=generation)
        done = (agent.folder / "last").read_text().split()
        assert sorted(set(done)) == ["called", "later", "mine", "turned"]
        assert (agent.folder / "unsaved").read_text() == "saved"


async def test_a_template_that_was_killed_is_replaced():
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        mother = await grown(agent)
        os.kill(mother, signal.SIGKILL)
        await eventually(lambda: not alive(mother))
        second = await the_next(agent, 2)
        assert await is_forked(agent, second), "it made the new one"
        assert "-2.json" in command(second.pid)
        third = await the_next(agent, 3)
        assert "-2.json" in command(third.pid)


async def test_a_template_that_is_stuck_costs_a_moment_and_is_replaced():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        mother = await grown(agent)
        os.kill(mother, signal.SIGSTOP)
        begun = time.monotonic()
        restart = asyncio.create_task(the_next(agent, 2))
        while not restart.done():
            await link.ping(timeout=1)
            await asyncio.sleep(0.05)
        assert "-2.json" in command((await restart).pid)
        assert time.monotonic() - begun < 10
        assert not alive(mother)
        assert "-2.json" in command((await the_next(agent, 3)).pid)


#: What is read by Python, the C library, a package while it is imported, the linker, and for names.
READ_AT_START = {
    "PYTHONHASHSEED": "1",
    "TZ": "Asia/Tokyo",
    "PYZMQ_BACKEND": "cython",
    "LD_LIBRARY_PATH": "/nowhere",
    "TMPDIR": "/var/tmp",
}


async def test_a_variable_that_is_read_at_the_start_has_a_kernel_started_anew():
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        environ = {"JPY_SESSION_NAME": "n.ipynb", "ANY": "1"}
        assert "-1.json" in command((await the_next(agent, 2, environ=environ)).pid)
        for generation, (name, value) in enumerate(READ_AT_START.items(), 3):
            environ[name] = value
            state = await the_next(agent, generation, environ=environ)
            assert f"-{generation}.json" in command(state.pid), name
        assert await is_forked(agent, await the_next(agent, 9, environ=environ))


async def test_packages_that_were_changed_have_a_kernel_started_anew():
    async with an_agent(environ=in_a_library) as agent:
        library = agent.folder / "lib"
        library.mkdir()
        (library / "traitlets").symlink_to(Path(traitlets.__file__).parent)
        link = await agent.link()
        await link.start_kernel(agent.kernel(1))
        await until(link, "bound")
        assert "-1.json" in command((await the_next(agent, 2)).pid)
        (library / "mine.py").write_text("x = 1")
        assert "-1.json" in command((await the_next(agent, 3)).pid), "nothing that it has"
        (library / "decorator.py").write_text("x = 1")
        (library / "psutil.py").write_text("mine = 1")
        assert "-4.json" in command((await the_next(agent, 4)).pid)
        async with a_client(agent, agent.kernel(4)) as client:
            assert await run(client, "import psutil; print(psutil.mine)") == "1"


def in_a_library(folder):
    return {"JUPYTER_PATH": str(folder / "jupyter"), "PYTHONPATH": str(folder / "lib")}


async def test_a_template_goes_with_its_agent_and_holds_nothing_of_a_kernel():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        mother = await grown(agent)
        held = sorted(one.partition(":")[0] for one in held_by(mother))
        assert held == ["/dev/null"] * 3 + ["socket"]
        assert Path(f"/proc/{mother}/cwd").readlink() == Path("/")
        assert [one.name for one in Path(f"/proc/{mother}/task").iterdir()] == [str(mother)]
        async with a_client(agent) as client:
            code = "import psutil; print(psutil.Process().children(), psutil.Process().ppid())"
            assert await run(client, code) == f"[] {agent.process.pid}"
        await link.stop_kernel(grace=1)
        assert descendants(agent.process.pid) == [mother]
        assert "-1.json" in command((await the_next(agent, 2)).pid)
        agent.process.kill()
        await eventually(lambda: not alive(mother))


async def test_a_kernel_that_cannot_have_a_template_starts_as_ever():
    """Its Python has a thread before anything else, so that it cannot be forked."""
    text = (
        "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=1).start()"
    )
    async with an_agent(environ=in_a_library) as agent:
        (agent.folder / "lib").mkdir()
        (agent.folder / "lib" / "sitecustomize.py").write_text(text)
        link = await agent.link()
        await link.start_kernel(agent.kernel(1))
        await until(link, "bound")
        assert template(agent.process.pid) is None
        assert "-2.json" in command((await the_next(agent, 2)).pid)
        assert below(agent.process.pid) == [link.kernel.pid]


async def test_nothing_is_imported_from_the_working_folder_and_then_everything_is():
    async with an_agent() as agent:
        for name in ("json", "socket", "psutil", "ipykernel"):
            (agent.folder / "work" / f"{name}.py").write_text("raise SystemExit(f'{__name__}!')")
        (agent.folder / "work" / "mine.py").write_text("x = 1")
        link = await agent.link()
        await link.start_kernel(agent.kernel(1))
        await until(link, "bound")
        for generation in (2, 3):
            assert "-1.json" in command((await the_next(agent, generation)).pid)
            async with a_client(agent, agent.kernel(generation)) as client:
                assert await run(client, "import mine; print(mine.x)") == "1"


@pytest.mark.parametrize("text", ["syntax error", "raise KeyError", "import no_such_module"])
async def test_a_python_that_cannot_make_a_template_starts_its_kernel(text, monkeypatch):
    sources = json.loads(agent_sources())
    sources["stem"] = text
    monkeypatch.setattr(boot, "agent_sources", json.dumps(sources).encode)
    monkeypatch.setattr(boot, "_compile_each", lambda _sources: ())
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            assert await run(client, "print(1)") == "1"
        assert template(agent.process.pid) is None
        assert "-2.json" in command((await the_next(agent, 2)).pid)


async def test_a_kernel_with_a_limit_on_memory_leaves_its_template_when_it_is_killed():
    limits = {"mem": 256 << 20, "rlimits": True, "watchdog": True}
    async with an_agent(kernel={}, limits=limits) as agent:
        link = await agent.link()
        await until(link, "bound")
        await the_next(agent, 2)
        async with a_client(agent, agent.kernel(2)) as client:
            assert await run(client, "x = bytearray(2000 << 20)") == "MemoryError"
            client.execute("x = bytearray(600 << 20); import time; time.sleep(60)")
            state = await until(link, "exited", generation=2)
        assert state.exit.oom is True
        assert await is_forked(agent, await the_next(agent, 3))


async def test_a_python_of_another_version_has_all_that_one_of_this_has(monkeypatch):
    monkeypatch.setattr(boot, "bytecode", lambda: "another's")
    async with an_agent(kernel={}, journal=journal) as agent:
        link = await agent.link()
        assert (await until(link, "bound")).recorded
        assert command(recorder(agent)) == command(await grown(agent))
        assert await is_forked(agent, await the_next(agent, 2))


async def test_a_template_that_cannot_compile_leaves_it_to_what_it_forks(monkeypatch):
    sources = json.loads(agent_sources())
    assert "READ(stream)" in sources["stem"]
    sources["stem"] = sources["stem"].replace("READ(stream)", "READ(None)")
    monkeypatch.setattr(boot, "agent_sources", json.dumps(sources).encode)
    async with an_agent(kernel={}, journal=journal) as agent:
        state = await until(await agent.link(), "bound")
        assert state.recorded
        assert command(recorder(agent)) == command(await grown(agent))


def journal(folder):
    return {"folder": str(folder / "journal"), "max_bytes": 1 << 24, "max_age": 3600.0}


def recorder(agent):
    """Find the process that keeps the journal; None when there is none."""
    return next((one for one in descendants(agent.process.pid) if is_recorder(one)), None)


async def test_what_keeps_the_journal_is_forked_from_the_template_too():
    async with an_agent(kernel={}, journal=journal) as agent:
        link = await agent.link()
        await until(link, "bound")
        first = recorder(agent)
        assert command(first) == command(await grown(agent))
        assert Path(f"/proc/{first}/cwd").readlink() == Path("/")
        assert not [one for one in held_by(first) if one.startswith("/memfd")]
        os.kill(first, signal.SIGKILL)
        second = await eventually(lambda: recorder(agent) not in {None, first} and recorder(agent))
        assert "recorder" in command(second), "by its command, at once"
        await the_next(agent, 2)
        assert recorder(agent) == second


async def test_what_keeps_the_journal_comes_without_a_template():
    async with an_agent(journal=journal) as agent:
        kernelspec(agent.folder, "plain", "env", sys.executable, *LAUNCH)
        link = await agent.link()
        await link.start_kernel(agent.kernel(1, name="plain"))
        await until(link, "bound")
        assert "recorder" in command(recorder(agent))
        assert template(agent.process.pid) is None


async def test_one_client_stays_with_the_ports_over_restarts():
    """Ports and keys are the place's: what is connected finds the next kernel by itself."""
    async with an_agent(kernel={"transport": "tcp"}) as agent:
        await until(await agent.link(), "bound")
        async with a_client(agent) as client:
            assert await run(client, "x = 1; print(x)") == "1"
            for generation in (2, 3):
                state = await the_next(agent, generation, transport="tcp")
                assert "-1.json" in command(state.pid)
                assert await eventually(lambda: heard(client), timeout=30) == "False"


async def heard(client):
    """Ask until the client is subscribed again, which takes a moment; "" until then."""
    with contextlib.suppress(TimeoutError):
        return await run(client, "print('x' in globals())", timeout=2)
    return ""


@pytest.mark.docker
def test_in_a_container_a_restart_is_a_fork(servers, reference_image):
    """There the agent is PID 1, and nobody has to be asked to be the parent of orphans."""
    server = servers.start("docker")
    kernel_id = server.ask("POST", "api/kernels", json={"name": KERNEL}).json()["id"]
    command = "print(open('/proc/self/cmdline').read().count('kernel-1.json'), os.getppid())"
    for _ in range(2):
        with Notebook(server, kernel_id) as notebook:
            assert notebook.run(f"import os; {command}") == "1 1\n"
        assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(server, kernel_id) as notebook:
        chances = notebook.run(f"with_plots = True\n{USES}").split()
    assert len(chances) == 5
    assert server.ask("DELETE", f"api/kernels/{kernel_id}").status_code == 204
