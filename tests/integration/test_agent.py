"""A real agent with real kernels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_sessmgr.engines.base import LEASE_OVER
from jupyter_sessmgr.manager.agents.wire import READ_SIZE
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable, InvalidRequest, NotRunning
from tests.plugins.agents import (
    a_client,
    alive,
    an_agent,
    below,
    descendants,
    kernelspec,
    run,
    told_of,
    until,
)
from tests.plugins.waiting import eventually

ENVIRON = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.getppid()]))"


@pytest.mark.parametrize(("control", "kernel"), [("unix", "ipc"), ("tcp", "tcp")])
async def test_a_kernel_runs_encrypted(control, kernel):
    async with an_agent(transport=control, kernel={"transport": kernel}) as agent:
        link = await agent.link()
        state = await until(link, "bound")
        assert (state.name, state.language, state.encrypted) == ("python3", "python", True)
        assert (state.error, state.warning, state.exit) == ("", "", None)
        assert link.hello.claim == "a claim"
        assert link.hello.pid == agent.process.pid
        assert "python3" in link.hello.kernelspecs
        async with a_client(agent) as client:
            assert await run(client, "print(6 * 7)") == "42"


async def test_a_kernel_without_encryption():
    async with an_agent(kernel={"encryption": "disabled"}) as agent:
        link = await agent.link()
        assert (await until(link, "bound")).encrypted is False
        async with a_client(agent) as client:
            assert await run(client, "print(1)") == "1"


async def test_encryption_that_is_required_and_not_possible_fails_in_words():
    async with an_agent() as agent:
        kernelspec(agent.folder, "plain", "sleep", "60")
        link = await agent.link()
        state = await link.start_kernel(agent.kernel(name="plain", encryption="required"))
        assert state.state == "failed"
        assert "cannot encrypt" in state.error
        assert "ipykernel" in state.error


async def test_a_kernel_has_the_environment_and_folder_it_was_given(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "of the server")
    monkeypatch.setenv("JUPYTER_TOKEN", "of the server")
    monkeypatch.setenv("OF_THE_PLACE", "kept")
    environ = {"OF_THE_SESSION": "1", "BOTH": "session"}
    kernel = {"environ": {"BOTH": "kernel", "JPY_SESSION_NAME": "n.ipynb"}}
    async with an_agent(environ=environ, kernel=kernel) as agent:
        await until(await agent.link(), "bound")
        async with a_client(agent) as client:
            seen, folder, parent = json.loads(await run(client, ENVIRON))
        assert folder == str(agent.folder / "work")
        assert seen["HOME"] == str(agent.folder / "home")
        assert (seen["OF_THE_PLACE"], seen["OF_THE_SESSION"]) == ("kept", "1")
        assert (seen["BOTH"], seen["JPY_SESSION_NAME"]) == ("kernel", "n.ipynb")
        assert parent == agent.process.pid == int(seen["JPY_PARENT_PID"])
        assert "JUPYTER_TOKEN" not in seen


def content(path):
    """Read a file; "" when it is gone, as the kernel's own come and go."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().decode("latin-1")
    return ""


async def test_E6_no_secret_is_in_arguments_environment_or_readable_files():
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        config = agent.config
        secrets = [
            config["token"],
            config["private_key"].splitlines()[1],
            config["kernel"]["connection"]["key"],
            config["kernel"]["curve"]["secret"],
        ]
        for pid in (agent.process.pid, *descendants(agent.process.pid)):
            for name in ("cmdline", "environ"):
                text = told_of(pid, name)
                assert not [secret for secret in secrets if secret in text]
        files = [path for path in agent.folder.rglob("*") if path.is_file()]
        holders = [path for path in files if any(one in content(path) for one in secrets)]
        assert [path.name for path in holders] == ["kernel-1.json"]
        assert holders[0].stat().st_mode & 0o077 == 0
        assert holders[0].parent.stat().st_mode & 0o077 == 0
        assert Path(agent.endpoint.host).stat().st_mode & 0o077 == 0
        assert (agent.folder / "stderr").read_text() == ""


async def test_a_restart_is_a_number_that_may_come_twice():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        first = await until(link, "bound")
        again = await link.start_kernel(agent.kernel(generation=1))
        assert again.pid == first.pid
        async with a_client(agent) as client:
            await run(client, "x = 1")
        await link.start_kernel(agent.kernel(generation=3), grace=1)
        state = await until(link, "bound", generation=3)
        assert state.pid != first.pid
        assert (await link.start_kernel(agent.kernel(generation=2))).pid == state.pid
        async with a_client(agent) as client:
            assert await run(client, "x") == "NameError"
        assert [path.name for path in (agent.folder / "run").iterdir()] == ["kernel-3.json"]


async def test_an_interrupt_reaches_the_kernel_and_what_it_runs():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            ready = agent.folder / "ready"
            code = f"open({str(ready)!r}, 'w').close()\nimport time\nwhile True: time.sleep(0.01)"
            client.execute(code)
            await eventually(ready.exists)
            await link.interrupt()
            reply = await client.get_shell_msg(timeout=10)
            assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert link.kernel.state == "bound"


EXITS = {
    "os._exit(3)": (3, "exit code 3"),
    "os._exit(0)": (0, "ended by itself"),
    "os.kill(os.getpid(), 11)": (-11, "signal 11, SIGSEGV: a segmentation fault"),
    "os.kill(os.getpid(), 9)": (-9, "signal 9, SIGKILL"),
}


@pytest.mark.parametrize("code", EXITS)
async def test_how_a_kernel_ended_is_told(code):
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            client.execute(f"import os, sys; os.write(2, b'last words\\n'); {code}")
            state = await until(link, "exited", "failed")
        number, words = EXITS[code]
        assert (state.state, state.pid, state.exit.code) == ("exited", None, number)
        assert words in state.exit.reason
        assert state.exit.oom is False
        assert state.exit.tail.endswith("last words\n")
        with pytest.raises(NotRunning):
            await link.interrupt()


async def test_C1_a_kernel_over_an_advisory_limit_is_killed_and_the_reason_told():
    limits = {"mem": 256 << 20, "rlimits": True, "watchdog": True}
    async with an_agent(kernel={}, limits=limits) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            client.execute("x = bytearray(600 << 20); import time; time.sleep(60)")
            state = await until(link, "exited")
        assert state.exit.oom is True
        assert state.exit.reason == (
            "The kernel ran out of memory (advisory limit 256 MiB) and was killed."
        )


async def test_a_process_far_over_an_advisory_limit_gets_a_memory_error():
    limits = {"mem": 64 << 20, "rlimits": True, "watchdog": False}
    async with an_agent(kernel={}, limits=limits) as agent:
        await until(await agent.link(), "bound")
        async with a_client(agent) as client:
            assert await run(client, "x = bytearray(2000 << 20)") == "MemoryError"


STUBBORN = """
import os, signal, subprocess
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signum, signal.SIG_IGN)
subprocess.Popen(["sh", "-c", "trap '' INT TERM HUP; setsid sleep 300 & sleep 300"])
print(os.getpid())
"""


async def test_C4_a_kernel_that_ignores_signals_ends_within_grace_and_a_second():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            await run(client, STUBBORN)
        await link.interrupt()
        await link.signal(signal.SIGTERM)
        assert link.kernel.state == "bound"
        begun = time.monotonic()
        state = await link.stop_kernel(grace=1)
        assert time.monotonic() - begun < 2
        assert (state.state, state.exit.code) == ("exited", -9)
        assert state.exit.reason == "The kernel was stopped."
        assert [pid for pid in below(agent.process.pid) if alive(pid)] == []


async def test_C7_a_kernel_that_never_listens_fails_with_its_last_words():
    async with an_agent(start_deadline=0.5) as agent:
        kernelspec(agent.folder, "mute", "sh", "-c", "echo I am busy; setsid sleep 60 & sleep 60")
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="mute"))
        state = await until(link, "failed")
        assert "did not open its ports within 0.5 s" in state.error
        assert state.exit.tail == "I am busy\n"
        await eventually(lambda: descendants(agent.process.pid) == [])


async def test_a_kernel_that_ends_before_it_listens_failed():
    async with an_agent() as agent:
        kernelspec(agent.folder, "broken", "sh", "-c", "echo no such module >&2; exit 7")
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="broken"))
        state = await until(link, "failed")
        assert state.error == state.exit.reason
        assert "never became ready. The kernel ended with exit code 7" in state.error
        assert state.exit.tail == "no such module\n"


async def test_C6_a_program_that_is_not_there_fails_in_words():
    async with an_agent() as agent:
        kernelspec(agent.folder, "absent", "/no/such/bin", "{connection_file}")
        link = await agent.link()
        state = await link.start_kernel(agent.kernel(name="absent"))
        assert state.state == "failed"
        assert "/no/such/bin cannot be run: No such file" in state.error
        assert descendants(agent.process.pid) == []


async def test_an_unknown_kernel_fails_and_says_what_there_is():
    async with an_agent(kernel={"name": "../python3"}) as agent:
        link = await agent.link()
        assert link.kernel.state == "failed"
        assert "it has: python3" in link.kernel.error
        await link.start_kernel(agent.kernel(generation=2))
        assert (await until(link, "bound", generation=2)).error == ""


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/etc/passwd"])
async def test_a_working_folder_that_cannot_be_is_replaced_with_a_warning(folder):
    async with an_agent(kernel={"workdir": folder}) as agent:
        state = await until(await agent.link(), "bound")
        assert folder in state.warning
        assert str(agent.folder / "home") in state.warning


async def test_a_port_that_a_stranger_has_is_not_the_kernels():
    """On a shared network somebody else may listen; the kernel then fails, and is not taken."""
    import socket

    async with an_agent(start_deadline=20) as agent:
        kernel = agent.kernel(transport="tcp")
        with socket.create_server(("127.0.0.1", kernel["connection"]["shell_port"])):
            link = await agent.link()
            await link.start_kernel(kernel)
            state = await until(link, "bound", "failed", timeout=20)
            assert state.state == "failed"
            assert "Address already in use" in state.exit.tail


DAEMONS = """
import os, subprocess
script = "for i in 1 2 3; do setsid sh -c 'setsid sleep 300 & exec sleep 300' & done; sleep 0.2"
subprocess.run(["sh", "-c", script])
print("made")
"""


@pytest.mark.parametrize("how", ["shutdown", "SIGTERM", "restart"])
async def test_no_process_of_a_session_survives(how):
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            assert await run(client, DAEMONS) == "made"
        before = descendants(agent.process.pid)
        assert len(before) >= 7
        if how == "restart":
            state = await link.start_kernel(agent.kernel(generation=2), grace=1)
            assert set(below(agent.process.pid)) & set(before) == set()
            assert alive(state.pid)
            return
        if how == "shutdown":
            await link.shutdown(grace=1)
        else:
            agent.process.send_signal(signal.SIGTERM)
        await agent.gone(timeout=20)
        assert agent.process.returncode == (0 if how == "shutdown" else 128 + signal.SIGTERM)
        assert [pid for pid in before if alive(pid)] == []
        assert list((agent.folder / "run").iterdir()) == []
        assert not Path(agent.endpoint.host).exists()


async def test_a_place_that_is_to_end_does_not_wait_for_a_slow_restart():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            await run(client, STUBBORN)
        restart = asyncio.create_task(link.start_kernel(agent.kernel(generation=2), grace=60))
        await link.ping()
        agent.process.send_signal(signal.SIGTERM)
        await agent.gone(timeout=20)
        (outcome,) = await asyncio.gather(restart, return_exceptions=True)
        assert isinstance(outcome, AgentError) or outcome.generation == 1


def pythons():
    """Find every Python from 3.8 on that this machine has."""
    found = {sys.executable}
    for minor in range(8, 20):
        found.add(shutil.which(f"python3.{minor}"))
        found.update(map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")))
    return sorted(path for path in found - {None} if runs(path))


def runs(path):
    return subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("python", pythons())
async def test_any_python_from_3_8_on_will_do(python):
    kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    async with an_agent(python=python) as agent:
        kernelspec(agent.folder, "p", *kernel, metadata={"supported_encryption": ["curve"]})
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="p"))
        assert (await until(link, "bound")).encrypted
        async with a_client(agent, agent.kernel()) as client:
            assert await run(client, "print(1)") == "1"
        assert (await link.usage()).pids == len(["kernel", "template"])
        assert (await link.stop_kernel(grace=1)).exit.code == -15
        await link.shutdown()
        await agent.gone()
        assert agent.process.returncode == 0
        assert (agent.folder / "stderr").read_text() == ""


async def test_orphans_are_collected():
    async with an_agent(kernel={}) as agent:
        await until(await agent.link(), "bound")
        async with a_client(agent) as client:
            await run(client, "import os; os.system('(setsid true &) ; (sleep 0.1 &)')")
        await eventually(lambda: len(below(agent.process.pid)) == 1)


async def test_no_kernel_outlives_an_agent_that_was_killed():
    async with an_agent(kernel={}) as agent:
        state = await until(await agent.link(), "bound")
        agent.process.kill()
        await eventually(lambda: not alive(state.pid), timeout=20)


async def test_without_a_word_from_its_server_a_place_ends_by_itself():
    async with an_agent(kernel={}, lease=60) as agent:
        link = await agent.link()
        state = await until(link, "bound")
        await link.set_lease(1)
        await agent.gone(timeout=20)
        assert agent.process.returncode == LEASE_OVER
        assert not alive(state.pid)


async def test_a_lease_is_renewed_by_every_word():
    async with an_agent(lease=3) as agent:
        link = await agent.link()
        for _ in range(8):
            await asyncio.sleep(0.5)
            await link.ping()
        assert agent.process.poll() is None


async def test_a_paused_place_does_not_die_on_waking():
    async with an_agent(lease=2) as agent:
        link = await agent.link()
        agent.process.send_signal(signal.SIGSTOP)
        with pytest.raises(AgentUnavailable):
            await link.ping(timeout=3)
        agent.process.send_signal(signal.SIGCONT)
        await link.ping()
        assert agent.process.poll() is None


async def test_usage_and_logs():
    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            before = await link.usage()
            await run(client, "x = bytearray(100 << 20); n = sum(range(10**7))")
            after = await link.usage()
            assert after.mem_bytes - before.mem_bytes > 90 << 20
            assert after.cpu_ms > before.cpu_ms + 50
            await run(client, "del x; import os; os.write(1, 'ä\\nlast\\n'.encode())")
        assert (await link.usage()).mem_max_bytes >= after.mem_bytes
        assert before.pids >= 1
        assert (await link.logs()).endswith("ä\nlast\n")
        assert await link.logs(5) == "last\n"
        assert await link.logs(0) == ""


async def test_a_flood_of_output_is_bounded_and_starves_nobody():
    async with an_agent() as agent:
        kernelspec(agent.folder, "flood", "sh", "-c", "while :; do echo 0123456789; done")
        link = await agent.link()
        await link.start_kernel(agent.kernel(name="flood"))

        async def is_full():
            return len(await link.logs(10**9)) > 130_000

        await eventually(is_full)
        assert len(await link.logs(10**9)) <= 128 * 1024
        # Long lines pass although little is kept for reading them.
        assert len(link._writer.transport._ssl_protocol.get_buffer(-1)) == READ_SIZE
        assert rss(agent.process.pid) < 60 << 20


def rss(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_what_makes_no_sense_is_refused_with_the_fields_name():
    async with an_agent() as agent:
        link = await agent.link()
        for verb, args, words in [
            ("no_such", {}, "unknown verb"),
            ("__init__", {}, "unknown verb"),
            ("signal", {"signum": 99}, "signum"),
            ("start_kernel", {"generation": "1"}, "generation"),
            ("start_kernel", {**agent.kernel(), "connection": 3}, "connection"),
            ("start_kernel", {**agent.kernel(), "environ": {"A": 1}}, "environ"),
            ("stop_kernel", {"grace": -1}, "grace"),
            ("set_lease", {}, "seconds"),
            ("logs", {"tail": None}, "tail"),
        ]:
            with pytest.raises(InvalidRequest, match=words):
                await link.call(verb, **args)
        await link.ping()


async def test_every_client_hears_of_the_kernel():
    async with an_agent() as agent:
        one, other = await agent.link(), await agent.link()
        await one.start_kernel(agent.kernel())
        assert (await until(other, "bound")).generation == 1
        assert one.hello.instance == other.hello.instance
