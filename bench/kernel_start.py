"""How long a kernel takes from its start to its first reply, interleaved in one run.

Bars: a cold container of ours <= 1.7 x a local ipykernel, and <= 0.6 x gateway_provisioners'.

    python bench/kernel_start.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

#: Seconds between starts, so that none pays for the removal of the one before.
PAUSE = 1.5
WHAT = ("first reply", "ready")
BARS = {"local": 1.7, "gateway": 0.6}


async def start_once(kernel_name, what):
    """Start a kernel and shut it down; returns seconds to its first reply, or to being ready.

    Ready is what `wait_for_ready` of jupyter_client means, which nbclient, papermill and the
    console wait for: a reply on shell, a message on iopub, and 0.2 s without another one.
    """
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager(kernel_name=kernel_name)
    begin = time.perf_counter()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        if what == "ready":
            await client.wait_for_ready(timeout=60)
        else:
            client.kernel_info()
            await client.get_shell_msg(timeout=60)
        return time.perf_counter() - begin
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def measure(kernels, rounds):
    """Start each in turn, `rounds` times after one to warm up."""
    seconds = {what: {label: [] for label in kernels} for what in WHAT}
    for number in range(rounds + 1):
        for what in WHAT:
            for label, name in kernels.items():
                took = await start_once(name, what)
                if number:
                    seconds[what][label].append(took)
                await asyncio.sleep(PAUSE)
    return seconds


def prepare(folder):
    """Write the kernelspecs, and give Jupyter private folders."""
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "data")
    os.environ["JUPYTER_CONFIG_DIR"] = str(folder / "config")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(folder / "runtime")
    os.environ["GP_DOCKER_MODE"] = "docker"
    os.environ["GP_PROHIBITED_UIDS"] = ""
    os.environ["KERNEL_USERNAME"] = "bench"
    os.environ["KERNEL_UID"] = os.environ["KERNEL_GID"] = "1000"
    import docker

    client = docker.from_env()
    bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    os.environ["GP_RESPONSE_IP"] = bridge.get("Gateway") or bridge["Subnet"].replace(".0/16", ".1")
    from bench import gateway_peer
    from jupyter_sessmgr.model.presets import Offer, Preset
    from jupyter_sessmgr.provisioning.kernelspecs import install_kernelspecs

    preset = Preset(name="python", title="Python (remote)", description="For measuring.")
    install_kernelspecs(
        [Offer(kernel_name="bench-ours", display_name="x", language="python", preset=preset)],
        user=True,
    )
    config = folder / "config" / "jupyter_sessmgr_config.py"
    config.parent.mkdir(exist_ok=True)
    config.write_text("c.ComputeSessionManager.engine = 'docker'\n")
    gateway_peer.build_image(client)
    gateway = gateway_peer.write_kernelspec(folder / "data")
    return {"local": "python3", "ours": "bench-ours", "gateway": gateway}


def main(rounds=12):
    """Measure, print, and say whether the bars hold."""
    with tempfile.TemporaryDirectory() as name:
        kernels = prepare(Path(name))
        seconds = asyncio.run(measure(kernels, rounds))
    missed = False
    for what, taken in seconds.items():
        medians = {label: statistics.median(values) for label, values in taken.items()}
        print(f"{what}: " + ", ".join(f"{k} {v * 1000:.0f} ms" for k, v in medians.items()))
        for label, bar in BARS.items():
            ratio = medians["ours"] / medians[label]
            missed |= what == "ready" and ratio > bar
            print(f"  ours / {label}: {ratio:.2f}  (bar {bar}){'  MISSED' if ratio > bar else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main(*map(int, sys.argv[1:])))
