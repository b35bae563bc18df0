"""A kernel that was started as a spare takes whose it is, as if it had known from the start."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from jupyter_sessmgr.manager.agents import boot
from jupyter_sessmgr.manager.agents.boot import agent_sources
from jupyter_sessmgr.model.errors import InvalidRequest, NotRunning
from tests.integration.test_kernel_template import FACTS, grown
from tests.plugins.agents import a_client, an_agent, held_by, kernelspec, run, until

MINE = {"JPY_SESSION_NAME": "Notes/größer.ipynb", "OF_THIS_KERNEL": "1"}
#: What a program can find out about its session, besides what it can about its process.
OF_THE_SESSION = r"""
import subprocess
from IPython import get_ipython

shell = get_ipython()
child = "import os; print(os.getcwd(), sorted(os.environ.items()))"
kernel = shell.kernel
more = {
    "%pwd": shell.run_line_magic("pwd", ""),
    "starting": [str(shell.starting_dir), str(_dh), type(_dh[0]).__name__],
    "__session__": __session__,
    "names": sorted(shell.user_ns),
    "hidden": sorted(shell.user_ns_hidden),
    "who": shell.run_line_magic("who_ls", ""),
    "history": [list(shell.history_manager.input_hist_raw), shell.execution_count],
    "child": subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout,
    "shell out": shell.getoutput("pwd; echo $JPY_SESSION_NAME"),
    "first on the path": __import__("beside").__file__,
    "kernel": [repr(type(kernel)), type(kernel.shell_handlers).__name__, len(vars(kernel))],
    "handlers": [type(kernel.control_handlers).__name__, sorted(kernel.shell_handlers)],
    "environ type": type(os.environ).__name__,
    "start": type(kernel.parent).start.__qualname__,
    "runs": [one.__qualname__ for one in (shell.run_cell.__func__, shell.safe_execfile.__func__)],
    "tasks": len(os.listdir("/proc/self/task")),
}
with open(kernel.parent.connection_file) as stream:
    more["connection"] = sorted(one for one in json.load(stream).items() if "key" not in one[0])
    more["mode"] = os.stat(stream.fileno()).st_mode
print(json.dumps(more, default=str))
"""


async def told(agent, environ=MINE, folder="", **changes):
    """Start a spare and tell it whose it is; returns the link."""
    link = await agent.link()
    await link.start_kernel(agent.kernel(1, spare=True, **changes))
    state = await until(link, "bound")
    assert state.personal is True
    await link.personalise(environ, folder)
    assert link.kernel.personal is False
    return link


async def started(agent, environ, folder):
    """Start a kernel that knows whose it is."""
    link = await agent.link()
    wanted = agent.kernel(1, environ=environ, workdir=folder)
    wanted["connection"]["jupyter_session"] = environ["JPY_SESSION_NAME"]
    await link.start_kernel(wanted)
    assert (await until(link, "bound")).personal is False
    return link


async def test_a_spare_that_was_told_is_as_a_kernel_that_knew_from_the_start():
    seen = []
    for begin in (started, told):
        async with an_agent() as agent:
            folder = agent.folder / "work" / "deeper"
            folder.mkdir(parents=True)
            (folder / "beside.py").write_text("")
            await begin(agent, MINE, str(folder))
            async with a_client(agent, agent.kernel()) as client:
                text = f"[{await run(client, FACTS)}, {await run(client, OF_THE_SESSION)}]"
            text = text.replace(str(agent.folder), "FOLDER")
            process, session = json.loads(re.sub(rf"\b{agent.process.pid}\b", "0", text))
            seen.append(process | session)
    knew, heard = seen
    assert knew["__session__"] == MINE["JPY_SESSION_NAME"]
    assert knew["%pwd"] == "FOLDER/work/deeper"
    assert {name: (knew[name], heard[name]) for name in knew if knew[name] != heard[name]} == {}


USES = {
    "execution": ("shell", "execute_request", {"code": "1", "silent": True}),
    "inspection": ("shell", "inspect_request", {"code": "x", "cursor_pos": 1, "detail_level": 0}),
    "completion": ("shell", "complete_request", {"code": "x", "cursor_pos": 1}),
    "widget": ("shell", "comm_info_request", {}),
    "control": ("control", "execute_request", {"code": "1", "silent": True}),
}


@pytest.mark.parametrize("use", USES)
async def test_a_spare_that_was_used_is_told_nothing(use):
    channel, kind, content = USES[use]
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            end = getattr(client, f"{channel}_channel")
            end.send(client.session.msg(kind, content))
            await end.get_msg(timeout=20)
            with pytest.raises(NotRunning, match="was used"):
                await link.personalise(MINE, "")
            code = "import os; print('JPY_SESSION_NAME' in os.environ, '__session__' in globals())"
            assert await run(client, code) == "False False"
            assert "Handlers" not in await run(client, SHOWN)


SHOWN = "k = get_ipython().kernel; print(type(k.shell_handlers), type(k.control_handlers))"


async def test_a_spare_that_was_only_looked_at_is_told_once():
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:  # asks for its info
            await link.personalise(MINE, "")
            with pytest.raises(NotRunning, match="cannot be told"):
                await link.personalise({"JPY_SESSION_NAME": "other"}, "")
            assert await run(client, "print(__session__)") == MINE["JPY_SESSION_NAME"]


async def test_who_tells_and_who_uses_first_are_never_both_right():
    """Whatever comes first: the code sees all or nothing, and the teller knows which."""
    code = "import os; print(os.environ.get('JPY_SESSION_NAME'), os.getcwd())"
    outcomes = set()
    for head_start in (0, 0.001, 0.003, 0.01):
        async with an_agent(kernel={"spare": True}) as agent:
            link = await agent.link()
            await until(link, "bound")
            async with a_client(agent) as client:
                using = asyncio.create_task(run(client, code))
                await asyncio.sleep(head_start)
                told_to = str(agent.folder / "home")
                (outcome,) = await asyncio.gather(
                    link.personalise({"JPY_SESSION_NAME": "n"}, told_to), return_exceptions=True
                )
                seen = await using
                outcomes.add(outcome is None)
                work = str(agent.folder / "work")
                assert seen in {f"n {told_to}", f"None {work}"}
                assert (outcome is None) == (await run(client, code) == f"n {told_to}")
                assert outcome is None or isinstance(outcome, NotRunning)
    assert outcomes


NOT_AS_IT_WAS = {
    "a variable that Python reads": {"PYTHONHASHSEED": "1"},
    "a variable that the imports read": {"PYZMQ_BACKEND": "cython"},
    "a variable that the kernel reads": {"IPYTHONDIR": "/tmp"},
}


@pytest.mark.parametrize("what", NOT_AS_IT_WAS)
async def test_what_a_start_would_have_read_cannot_be_told_later(what):
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        with pytest.raises(NotRunning, match="look at something"):
            await link.personalise(NOT_AS_IT_WAS[what], "")


async def test_a_spare_older_than_its_packages_is_of_no_use():
    async with an_agent(environ=in_a_library) as agent:
        (agent.folder / "lib").mkdir()
        link = await agent.link()
        await link.start_kernel(agent.kernel(1, spare=True))
        await until(link, "bound")
        (agent.folder / "lib" / "psutil.py").write_text("mine = 1")
        with pytest.raises(NotRunning, match="look at something"):
            await link.personalise(MINE, "")


def in_a_library(folder):
    return {"JUPYTER_PATH": str(folder / "jupyter"), "PYTHONPATH": str(folder / "lib")}


OWN_CODE = {
    "a startup file": ("startup/mine.py", "import os; x = os.getcwd()"),
    "a line": ("ipython_kernel_config.py", "c.InteractiveShellApp.exec_lines = ['x = 1']"),
    "an extension": ("ipython_config.py", "c.InteractiveShellApp.extensions = ['autoreload']"),
}


@pytest.mark.parametrize("what", OWN_CODE)
async def test_a_kernel_that_runs_peoples_own_code_at_its_start_cannot_be_told(what):
    name, text = OWN_CODE[what]
    async with an_agent() as agent:
        path = agent.folder / "home" / ".ipython" / "profile_default" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        link = await agent.link()
        await link.start_kernel(agent.kernel(1, spare=True))
        assert (await until(link, "bound")).personal is False
        with pytest.raises(NotRunning, match="cannot be told"):
            await link.personalise(MINE, "")
        async with a_client(agent, agent.kernel()) as client:
            assert "Handlers" not in await run(client, SHOWN)


async def test_other_kernels_start_as_ever_and_cannot_be_told():
    async with an_agent() as agent:
        script = "import sys, ipykernel.kernelapp as k; k.launch_new_instance()"
        kernelspec(agent.folder, "other", sys.executable, "-c", script, "-f", "{connection_file}")
        link = await agent.link()
        await link.start_kernel(agent.kernel(1, name="other", spare=True))
        assert (await until(link, "bound")).personal is False


async def test_a_line_that_nobody_takes_does_not_hold_the_kernel_up(monkeypatch):
    sources = json.loads(agent_sources())
    sources["spare"] = "raise KeyError"
    sources["personal"] = sources["personal"].replace("DEADLINE = 5.0", "DEADLINE = 0.5")
    assert "DEADLINE = 0.5" in sources["personal"]
    monkeypatch.setattr(boot, "agent_sources", json.dumps(sources).encode)
    async with an_agent(kernel={"spare": True}) as agent:
        assert (await until(await agent.link(), "bound")).personal is False
        async with a_client(agent) as client:
            assert await run(client, "print(1)") == "1"


@pytest.mark.parametrize(
    "args",
    [
        {"environ": ["a"]},
        {"environ": {"A": 1}},
        {"environ": {"A": "\0"}},
        {"environ": {"A=": "1"}},
        {"workdir": 1},
    ],
)
async def test_nonsense_is_refused_and_the_spare_is_as_it_was(args):
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        with pytest.raises(InvalidRequest):
            await link.call("personalise", 10, **args)
        await link.personalise(MINE, "")


async def test_a_folder_that_cannot_be_used_makes_it_of_no_use():
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        (agent.folder / "file").write_text("")
        with pytest.raises(NotRunning, match="cannot be used"):
            await link.personalise({}, str(agent.folder / "file"))


async def test_a_spare_is_told_of_a_generation_and_restarts_as_it_was_told():
    async with an_agent(kernel={"spare": True}) as agent:
        link = await agent.link()
        await until(link, "bound")
        with pytest.raises(NotRunning, match="another kernel"):
            await link.call("personalise", 10, environ=MINE, generation=2)
        await link.personalise(MINE, "")
        await link.start_kernel(agent.kernel(2, environ=MINE), grace=1)
        second = await until(link, "bound", generation=2)
        assert "-1.json" in Path(f"/proc/{second.pid}/cmdline").read_text(), "it was forked"
        async with a_client(agent, agent.kernel(2)) as client:
            assert await run(client, "print(__session__)") == MINE["JPY_SESSION_NAME"]
        held = held_by(await grown(agent))
        assert len({one for one in held if one.startswith("socket:")}) == 1
