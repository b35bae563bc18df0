"""A real agent as PID 1 of its own namespace, and in a control group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.plugins.agents import a_client, alive, an_agent, below, descendants, run, until
from tests.plugins.waiting import eventually

#: Without root, a user namespace gives the right to make the others.
AS_PID_1 = [
    *["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"],
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
]
MEMORY = Path("/sys/fs/cgroup/memory")
UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


def inner(agent):
    """Find the agent as the outside sees it."""
    return descendants(agent.process.pid)[0]


async def test_as_pid_1_the_kernel_lives_and_knows_that_its_parent_never_ends():
    """ipykernel ends when its parent becomes PID 1, so it must not watch one that always was."""
    async with an_agent(kernel={}, wrap=AS_PID_1, owns_pids=True) as agent:
        link = await agent.link()
        await until(link, "bound")
        assert link.hello.pid == 1
        async with a_client(agent) as client:
            code = "import os, threading; print(os.getppid(), os.environ['JPY_PARENT_PID'])"
            assert await run(client, code) == "1 1"
            watchers = "print([t for t in threading.enumerate() if 'Poller' in type(t).__name__])"
            assert await run(client, watchers) == "[]"
            assert await run(client, "print(open('/proc/self/oom_score_adj').read())") == "500"


async def test_as_pid_1_orphans_are_collected_and_the_kernels_status_is_not_lost():
    async with an_agent(kernel={}, wrap=AS_PID_1, owns_pids=True) as agent:
        link = await agent.link()
        await until(link, "bound")
        async with a_client(agent) as client:
            await run(
                client, "import os; os.system('for i in 1 2 3 4 5; do (setsid true &) ; done')"
            )
            await eventually(lambda: len(below(inner(agent))) == 1)
            client.execute("os._exit(3)")
            state = await until(link, "exited")
        assert state.exit.code == 3


async def test_as_pid_1_it_heeds_sigterm_and_ignores_sigint():
    async with an_agent(kernel={}, wrap=AS_PID_1, owns_pids=True) as agent:
        link = await agent.link()
        await until(link, "bound")
        os.kill(inner(agent), signal.SIGINT)
        await link.ping()
        inside = [inner(agent), *descendants(inner(agent))]
        os.kill(inside[0], signal.SIGTERM)
        await agent.gone(timeout=20)
        assert [pid for pid in inside if alive(pid)] == []


async def test_as_pid_1_of_a_shared_group_and_network_it_counts_its_own_processes():
    async with an_agent(kernel={}, wrap=AS_PID_1, owns_pids=True) as agent:
        link = await agent.link()
        await until(link, "bound")
        measured = await link.usage()
        assert (measured.net_rx_bytes, measured.net_tx_bytes) == (0, 0)
        assert 0 < measured.mem_bytes < 1 << 30
        assert measured.pids == len(["kernel", "template"])


@contextlib.contextmanager
def a_group(mem):
    """Make a control group with a memory limit, of whichever version there is."""
    root, limit = (UNIFIED.parent, "memory.max") if UNIFIED.exists() else (MEMORY, "")
    group = root / f"sessmgr-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / (limit or "memory.limit_in_bytes")).write_text(str(mem))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    with contextlib.suppress(OSError):
        (group / "memory.memsw.limit_in_bytes").write_text(str(mem))
    try:
        yield group
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            subprocess.run(["sleep", "0.05"], check=True)


async def test_C1_a_kernel_that_the_system_kills_for_want_of_memory_is_told_as_that():
    with a_group(256 << 20) as group:
        into = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
        async with an_agent(kernel={}, wrap=[*into, *AS_PID_1], owns_pids=True) as agent:
            link = await agent.link()
            await until(link, "bound")
            async with a_client(agent) as client:
                client.execute("import os; os.write(2, b'last words\\n'); x = bytearray(900 << 20)")
                state = await until(link, "exited")
            assert state.exit.oom is True
            assert state.exit.reason == (
                "The kernel ran out of memory (limit 256 MiB) and was killed."
            )
            assert state.exit.tail.endswith("last words\n")
            await link.start_kernel(agent.kernel(generation=2))
            await until(link, "bound", generation=2)
            os.kill(below(inner(agent))[0], signal.SIGKILL)
            state = await until(link, "exited", generation=2)
            assert state.exit.oom is False, "killed by somebody, a moment after the other"
