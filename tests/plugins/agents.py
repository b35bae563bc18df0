"""A real agent as a plain child process, real kernels in it, and agents that lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.asynchronous import AsyncKernelClient

from jupyter_sessmgr.engines.base import agent_command
from jupyter_sessmgr.manager.agents.boot import agent_sources, make_boot
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.naming import new_place_id
from jupyter_sessmgr.model.ports import KERNEL_CHANNELS, Endpoint
from tests.plugins.waiting import eventually

# both read files, which may not happen on the loop
agent_sources()
BOOTSTRAP = agent_command("")[1:]


@dataclass
class RunningAgent:
    """An agent that runs, what it was told, and how to reach it."""

    process: subprocess.Popen
    config: dict
    endpoint: Endpoint
    secrets: InstallationSecrets
    folder: Path
    links: list = field(default_factory=list)

    @property
    def place_id(self):
        return self.config["place_id"]

    async def link(self, timeout=10, secrets=None, place_id=None):
        made = await AgentLink.connect(
            self.endpoint,
            place_id=place_id or self.place_id,
            secrets=secrets or self.secrets,
            timeout=timeout,
        )
        self.links.append(made)
        return made

    def kernel(self, generation=1, **changes):
        return a_kernel(self.secrets, self.place_id, self.folder, generation, **changes)

    async def gone(self, timeout=10):
        return await eventually(lambda: self.process.poll() is not None, timeout=timeout)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def a_kernel(secrets, place_id, folder, generation=1, *, transport="ipc", **changes):
    """Write down a kernel as the manager does. The same ports for all generations of a place."""
    ports = [1, 2, 3, 4, 5]
    if transport == "tcp":
        stored = folder / "ports"
        if not stored.exists():
            stored.write_text(json.dumps(free_ports(5)))
        ports = json.loads(stored.read_text())
    public, secret = secrets.curve_keys(place_id)
    connection = {
        "transport": transport,
        "ip": "127.0.0.1" if transport == "tcp" else str(folder / "k"),
        "key": secrets.kernel_key(place_id),
        "signature_scheme": "hmac-sha256",
        "kernel_name": "python3",
        "jupyter_session": "",
        **{f"{name}_port": port for name, port in zip(KERNEL_CHANNELS, ports, strict=True)},
    }
    return {
        "generation": generation,
        "name": "python3",
        "environ": {},
        "connection": connection,
        "curve": {"public": public, "secret": secret},
        "encryption": "auto",
        "workdir": str(folder / "work"),
        **changes,
    }


def a_config(secrets, place_id, folder, *, transport="unix", **changes):
    certificate, private_key = secrets.agent_certificate(place_id)
    listen = {"transport": "unix", "address": str(folder / "agent"), "port": 0}
    if transport == "tcp":
        listen = {"transport": "tcp", "address": "127.0.0.1", "port": free_ports(1)[0]}
    return {
        "protocol": 1,
        "place_id": place_id,
        "install_id": secrets.install_id,
        "claim": "a claim",
        "token": secrets.agent_token(place_id),
        "certificate": certificate,
        "private_key": private_key,
        "listen": listen,
        "runtime_dir": str(folder / "run"),
        "home": str(folder / "home"),
        "workdir": "",
        "owns_pids": False,
        "environ": {"JUPYTER_PATH": str(folder / "jupyter")},
        "lease": 60,
        "limits": {"mem": None, "pids": None, "rlimits": True},
        "kernel": None,
        **changes,
    }


def endpoint_of(config):
    listen = config["listen"]
    return Endpoint("agent", listen["address"], listen["port"], listen["transport"])


def kernelspec(folder, name, *argv, **content):
    """Put a kernelspec where the agent finds it."""
    there = folder / "jupyter" / "kernels" / name
    there.mkdir(parents=True, exist_ok=True)
    spec = {"argv": list(argv), "display_name": name, "language": "test", **content}
    (there / "kernel.json").write_text(json.dumps(spec))


@asynccontextmanager
async def an_agent(*, kernel=None, transport="unix", wrap=(), python=sys.executable, **changes):
    """Run an agent; with `kernel` (a dict of changes), it starts with one.

    Nothing of it is left after, whatever the test did.
    """
    folder = Path(tempfile.mkdtemp(prefix="sm-"))  # socket paths must be short
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    secrets = InstallationSecrets(os.urandom(32), "0123456789")
    config = a_config(secrets, new_place_id(), folder, transport=transport)
    for name, value in changes.items():
        config[name] = value(folder) if callable(value) else value
    if kernel is not None:
        config["kernel"] = a_kernel(secrets, config["place_id"], folder, **kernel)
    process = start([*wrap, python, *BOOTSTRAP], folder / "stderr")
    agent = RunningAgent(process, config, endpoint_of(config), secrets, folder)
    try:
        process.stdin.write(make_boot(config))
        process.stdin.close()
        yield agent
    finally:
        for link in agent.links:
            await link.close()
        below = descendants(process.pid)
        for pid in [process.pid, *below]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def start(command, errors):
    with errors.open("wb") as stderr:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=stderr, start_new_session=True
        )


async def until(link, *states, generation=1, timeout=20):
    """Wait until the kernel of a generation has one of these states."""
    changed = asyncio.Event()
    link.on_kernel(lambda _: changed.set())
    async with asyncio.timeout(timeout):
        while link.kernel.generation < generation or link.kernel.state not in states:
            changed.clear()
            await changed.wait()
    return link.kernel


@asynccontextmanager
async def a_client(agent, kernel=None, ready=None):
    """Connect to a kernel as Jupyter does; `ready` waits for it, if not Jupyter's own way."""
    kernel = kernel or agent.config["kernel"]
    info = {**kernel["connection"], "key": kernel["connection"]["key"].encode()}
    if agent.links[-1].kernel.encrypted:
        info["curve_publickey"] = kernel["curve"]["public"].encode()
        info["curve_secretkey"] = kernel["curve"]["secret"].encode()
    client = AsyncKernelClient()
    client.load_connection_info(info)
    client.start_channels()
    try:
        await (ready(client) if ready else client.wait_for_ready(timeout=20))
        yield client
    finally:
        client.stop_channels()


async def run(client, code, timeout=20):
    """Execute code and return what it printed; an error's name when it failed."""
    said = []

    def hear(message):
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
        elif message["msg_type"] == "error":
            said.append(message["content"]["ename"])

    # else kernels drop for a moment what comes after an error
    await client.execute_interactive(code, stop_on_error=False, output_hook=hear, timeout=timeout)
    return "".join(said).strip()


def descendants(root):
    """Find everything below a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = (int(fields[1]), fields[0])
    found = [root]
    for pid in found:
        found += [one for one, (parent, _) in parents.items() if parent == pid]
    return found[1:]


def is_template(pid):
    """Tell a kernel template from other processes."""
    return comm(pid) == "kernel-template"


def comm(pid):
    """Return a process's name; "" when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def told_of(pid, name):
    """Return what the system tells of a process; "" when it ended meanwhile."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text()
    return ""


def held_by(pid):
    """List what a process has open; what it closes meanwhile is left out."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(one.readlink()))
    return found


def is_recorder(pid):
    """Tell the process that keeps the journal from others."""
    return comm(pid) == "recorder"


def below(pid):
    """Find everything below an agent but what outlives its kernels: template and recorder."""
    return [one for one in descendants(pid) if not is_template(one) and not is_recorder(one)]


def template(pid):
    """Find the template below an agent; None when there is none."""
    return next((one for one in descendants(pid) if is_template(one) and alive(one)), None)


def alive(pid):
    """Tell whether a process runs; one that nobody collected does not."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in {"Z", "X"}
    return False


def peer_context():
    """Make the client side of TLS for somebody who trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def stranger(agent, *, tls=True):
    """Connect to an agent, as soon as it listens, without knowing its token."""
    context = peer_context() if tls else None
    name = "x" if tls else None
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return await asyncio.open_unix_connection(
                    agent.endpoint.host, ssl=context, server_hostname=name
                )
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_liar(folder, secrets, place_id, speak):
    """Listen as the agent of a place; `speak(reader, writer)` has each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = folder / "pem"
    pem.write_text("".join(secrets.agent_certificate(place_id)))
    context.load_cert_chain(pem)

    talking = {}

    async def serve(reader, writer):
        talking[asyncio.current_task()] = writer.transport
        with contextlib.suppress(OSError, EOFError):
            await speak(reader, writer)
        writer.transport.abort()

    address = str(folder / "liar")
    server = await asyncio.start_unix_server(serve, address, ssl=context)
    try:
        yield Endpoint("agent", address, 0, "unix")
    finally:
        server.close()
        await server.wait_closed()
        await hung_up(talking)


async def hung_up(talking):
    """End those who talk, by task and transport: servers of Python < 3.12 do not wait for them."""
    for transport in talking.values():
        transport.abort()
    if talking:
        _, late = await asyncio.wait(talking, timeout=5)
        for task in late:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
