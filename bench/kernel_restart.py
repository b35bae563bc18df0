"""How long a restart takes, forked from the kernel's template, and what the template weighs.

Bars: a restart <= 0.3 x a local ipykernel's; a fork to the first reply <= 0.25 x a local start;
agent, template, kernel and recorder together <= 1.6 x the memory of a local kernel (PSS).

    python bench/kernel_restart.py [ROUNDS] [ENGINE]
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

#: Seconds between two measurements, so that none pays for the one before.
PAUSE = 0.5
#: Seconds that what was started rests before it is weighed.
REST = 3
BARS = {"restart": 0.3, "fork": 0.25, "memory": 1.6}
OURS, LOCAL = "bench-ours", "python3"


async def first_reply(client):
    """Ask for the kernel's info, and wait for the answer."""
    client.kernel_info()
    await client.get_shell_msg(timeout=60)


async def connected(manager):
    """Return a client that got a reply."""
    client = manager.client()
    client.start_channels()
    await first_reply(client)
    return client


async def started(kernel_name):
    """Start a kernel; returns its manager, its client, and seconds to the first reply."""
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager(kernel_name=kernel_name)
    begin = time.perf_counter()
    await manager.start_kernel()
    client = await connected(manager)
    return manager, client, time.perf_counter() - begin


async def restart(manager):
    """Restart a kernel that was used; returns seconds to the first reply of the new one."""
    from tests.plugins.agents import run

    client = await connected(manager)
    await run(client, "1")
    client.stop_channels()
    await asyncio.sleep(PAUSE)
    begin = time.perf_counter()
    await manager.restart_kernel()
    client = await connected(manager)
    took = time.perf_counter() - begin
    client.stop_channels()
    return took


async def fork():
    """Have an agent fork kernels; yields seconds from the wish to the first reply of each."""
    from tests.plugins.agents import a_client, an_agent, until

    async with an_agent(kernel={}) as agent:
        link = await agent.link()
        await until(link, "bound")
        generation = 1
        while True:
            generation += 1
            await link.stop_kernel(grace=1)
            await asyncio.sleep(PAUSE)
            begin = time.perf_counter()
            await link.start_kernel(agent.kernel(generation))
            await until(link, "bound", generation=generation)
            async with a_client(agent, ready=first_reply):
                took = time.perf_counter() - begin
            yield took


def weight(pids):
    """Add up the proportional memory of processes, in KiB."""
    texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(re.search(r"\bPss:\s+(\d+)", text)[1]) for text in texts)


def name_of(pid):
    """Return a process's name; agent and kernel are both a Python."""
    from tests.plugins.agents import comm, descendants

    return "agent" if descendants(pid) else comm(pid)


def family(pid):
    """List a process and all below it."""
    from tests.plugins.agents import descendants

    return [pid, *descendants(pid)]


def _journal(folder):
    return {"folder": str(folder / "journal"), "max_bytes": 1 << 26, "max_age": 86400.0}


async def weigh():
    """Weigh a local kernel, and an agent with template, kernel and recorder."""
    from tests.plugins.agents import a_client, an_agent, run, until

    manager, client, _ = await started(LOCAL)
    await client.wait_for_ready(timeout=60)  # its output can be heard then
    await run(client, "1")
    await asyncio.sleep(REST)
    local = weight([manager.provisioner.pid])
    async with an_agent(kernel={}, journal=_journal) as agent:
        link = await agent.link()
        await until(link, "bound")
        assert link.kernel.recorded
        async with a_client(agent) as own:
            await run(own, "1")
            await asyncio.sleep(REST)
            ours = {name_of(pid): weight([pid]) for pid in family(agent.process.pid)}
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    return {"local": local, "ours": sum(ours.values()), **ours}


async def measure(rounds):
    """Measure everything in turn."""
    seconds = {"local start": [], "fork": [], "local restart": [], "restart": []}
    held = {}
    for name in (LOCAL, OURS):
        held[name], client, _ = await started(name)
        client.stop_channels()  # a second one would be of the same identity
    forks = fork()
    for number in range(rounds + 1):
        manager, client, took = await started(LOCAL)
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        taken = {"local start": took, "fork": await anext(forks)}
        for label, name in (("local restart", LOCAL), ("restart", OURS)):
            taken[label] = await restart(held[name])
        for label, took in taken.items():
            if number:
                seconds[label].append(took)
    await forks.aclose()
    for manager in held.values():
        await manager.shutdown_kernel(now=True)
    return {label: statistics.median(values) for label, values in seconds.items()}


def prepare(folder, engine):
    """Write the kernelspec, and give Jupyter private folders."""
    for name in ("DATA", "CONFIG", "RUNTIME"):
        os.environ[f"JUPYTER_{name}_DIR"] = str(folder / name.lower())
    from jupyter_sessmgr.model.presets import Offer, Preset
    from jupyter_sessmgr.provisioning.kernelspecs import install_kernelspecs

    preset = Preset(name="python", title="Python (remote)", description="For measuring.")
    install_kernelspecs(
        [Offer(kernel_name=OURS, display_name="x", language="python", preset=preset)], user=True
    )
    config = folder / "config" / "jupyter_sessmgr_config.py"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"c.ComputeSessionManager.engine = {engine!r}\n")


def main(rounds="10", engine="process"):
    """Measure, print, and say whether the bars hold."""
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), engine)
        medians = asyncio.run(measure(int(rounds)))
        weights = asyncio.run(weigh())
    print(", ".join(f"{label} {value * 1000:.0f} ms" for label, value in medians.items()))
    print(", ".join(f"{label} {value / 1024:.1f} MiB" for label, value in weights.items()))
    ratios = {
        "restart": medians["restart"] / medians["local restart"],
        "fork": medians["fork"] / medians["local start"],
        "memory": weights["ours"] / weights["local"],
    }
    for label, ratio in ratios.items():
        bar = BARS[label]
        print(f"  {label}: {ratio:.2f}  (bar {bar}){'  MISSED' if ratio > bar else ''}")
    return int(any(ratio > BARS[label] for label, ratio in ratios.items()))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main(*sys.argv[1:]))
