"""How long a start takes that finds a spare, and one that does not, beside a local ipykernel.

Twice: from `start_kernel` to the first execute reply, and through a server (POST, websocket,
kernel_info, execute). The database is synced, channels are encrypted, containers hardened.

    python bench/warm_start.py [ROUNDS] [ENGINE]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

#: Seconds after a kernel was shut down, so that the next does not pay for it.
PAUSE = 0.5
BARS = {"warm": 0.12, "cold": 1.6, "warm, by server": 0.2}
SPECS = {"local": "python3", "warm": "bench-warm", "cold": "bench-cold"}
TOKEN = uuid.uuid4().hex


def write_specs(folder):
    """Write kernelspecs: of a preset with a spare, and of one like it without."""
    for name in ("warm", "cold"):
        path = folder / "data" / "kernels" / f"bench-{name}"
        path.mkdir(parents=True)
        provisioner = {"provisioner_name": "sessmgr-provisioner", "config": {"preset": name}}
        spec = {
            "argv": [],
            "display_name": name,
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner},
        }
        (path / "kernel.json").write_text(json.dumps(spec))


def settings(folder, engine):
    """Make the configuration of the manager."""
    presets = {name: {"title": name} for name in ("warm", "cold")}
    return {
        "ComputeSessionManager": {"engine": engine, "state_dir": str(folder / "state")},
        "AdmissionControl": {"presets": presets, "default_preset": "warm"},
        "WarmPool": {"refill_delay": 0.2},
    }


async def first_reply(client):
    """Execute something, and wait for the reply."""
    client.execute("6 * 7")
    while (await client.get_shell_msg(timeout=60))["msg_type"] != "execute_reply":
        continue


async def start_once(app, name):
    """Start a kernel; returns seconds to its first execute reply."""
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager(kernel_name=name, parent=app)
    begin = time.perf_counter()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await first_reply(client)
        return time.perf_counter() - begin
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def a_spare(sessions):
    """Wait until a spare is ready."""
    while sessions.pool.counts() != {"ready": 1, "booting": 0}:  # noqa: ASYNC110 - nobody is told
        await asyncio.sleep(0.02)


async def direct(folder, engine, rounds):
    """Measure starts by jupyter_client, with the manager in this process."""
    from traitlets.config import Config, LoggingConfigurable

    from jupyter_sessmgr.manager.sessions import ComputeSessionManager
    from jupyter_sessmgr.provisioning.locate import register

    sessions = ComputeSessionManager(config=Config(settings(folder, engine)))
    await sessions.open()
    app = LoggingConfigurable()
    app.io_loop = SimpleNamespace(asyncio_loop=asyncio.get_running_loop())
    app.root_dir = str(folder / "root")
    register(app, sessions, owner="bench")
    taken = {label: [] for label in SPECS}
    try:
        for number in range(-1, rounds):
            for label, name in SPECS.items():
                if number >= 0:
                    await a_spare(sessions)
                took = await start_once(app, name)
                if number >= 0:
                    taken[label].append(took)
                await asyncio.sleep(PAUSE)
        print(f"  hits {sessions.pool.hits}, misses {dict(sessions.pool.misses)}")
    finally:
        await sessions.close()
    return taken


class Server:
    """A Jupyter server of its own, as a person has one."""

    def __init__(self, folder, engine):
        config = settings(folder, engine)
        config["ServerApp"] = {
            "jpserver_extensions": {"jupyter_sessmgr": True},
            "ip": "127.0.0.1",
            "port": 0,
            "open_browser": False,
            "allow_root": True,
            "root_dir": str(folder / "root"),
        }
        config["IdentityProvider"] = {"token": TOKEN}
        config["ComputeSessionManager"]["state_dir"] += "-of-server"
        (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server"], stdout=log, stderr=log, cwd=folder
            )
        info = folder / "runtime" / f"jpserver-{self.process.pid}.json"
        while not info.exists() or not info.read_text().endswith("}"):
            if self.process.poll() is not None:
                raise RuntimeError((folder / "server.log").read_text())
            time.sleep(0.05)
        self.url = json.loads(info.read_text())["url"]

    def ask(self, method, path, **kwargs):
        """Send a request."""
        import requests

        headers = {"Authorization": f"token {TOKEN}"}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **kwargs)

    def spares(self):
        """Say how many spares are ready."""
        text = self.ask("GET", "metrics").text
        rows = [row for row in text.splitlines() if row.startswith('sessmgr_spares{state="ready"}')]
        return float(rows[0].split()[1]) if rows else 0

    def start_once(self, name):
        """Start a kernel as a browser does; returns seconds to its first execute reply."""
        from websockets.sync.client import connect

        begin = time.perf_counter()
        kernel = self.ask("POST", "api/kernels", json={"name": name}).json()["id"]
        url = f"{self.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?token={TOKEN}"
        with connect(url, max_size=None) as socket:
            for kind, content in (
                ("kernel_info", {}),
                ("execute", {"code": "6 * 7", "silent": False}),
            ):
                socket.send(json.dumps(message(f"{kind}_request", content)))
                while json.loads(socket.recv(60))["msg_type"] != f"{kind}_reply":
                    continue
            took = time.perf_counter() - begin
        self.ask("DELETE", f"api/kernels/{kernel}")
        return took

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def message(kind, content):
    """Make a message for a kernel."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "version": "5.3", "session": "bench"}
    header |= {"username": "", "date": ""}
    return {
        "channel": "shell",
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
    }


def by_server(folder, engine, rounds):
    """Measure starts through a server."""
    server = Server(folder, engine)
    taken = {label: [] for label in SPECS if label != "cold"}
    try:
        for number in range(-1, rounds):
            for label, values in taken.items():
                while number >= 0 and not server.spares():
                    time.sleep(0.1)
                took = server.start_once(SPECS[label])
                if number >= 0:
                    values.append(took)
                time.sleep(PAUSE)
    finally:
        server.stop()
    return {f"{label}, by server": values for label, values in taken.items()}


def main(rounds="10", engine="docker"):
    """Measure, print, and say whether the bars hold."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("data", "config", "runtime", "root"):
            (folder / part).mkdir()
            os.environ[f"JUPYTER_{part.upper()}_DIR"] = str(folder / part)
        write_specs(folder)
        taken = asyncio.run(direct(folder, engine, int(rounds)))
        taken |= by_server(folder, engine, int(rounds))
    medians = {label: statistics.median(values) for label, values in taken.items()}
    print(", ".join(f"{label} {value * 1000:.0f} ms" for label, value in medians.items()))
    missed = 0
    for label, bar in BARS.items():
        local = "local, by server" if label.endswith("server") else "local"
        ratio = medians[label] / medians[local]
        missed += ratio > bar
        print(f"  {label} / {local}: {ratio:.3f}  (bar {bar}){'  MISSED' if ratio > bar else ''}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main(*sys.argv[1:]))
