"""Places that are processes, run by the real engine; and what of them is left on the machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

from jupyter_sessmgr.engines.process import ProcessEngine
from jupyter_sessmgr.manager.agents.boot import agent_sources, make_boot, pack
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.naming import new_place_id
from jupyter_sessmgr.model.session import Place, SessionSpec
from tests.plugins.waiting import eventually

ISOLATIONS = ["auto", "none"]
agent_sources()  # reads files once, which the manager does before it starts anything

#: Stands in for the agent where a test needs a place that does something of its own. It comes
#: by standard input as the agent does; `act` is put in, and gets the orders.
STAND_IN = """
import json, os, signal, socket, sys, time

{act}

def run(orders):
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    server = socket.socket(socket.AF_UNIX)
    done = act(orders)
    with open(os.path.join(orders["home"], "done.half"), "w") as file:
        json.dump(done, file)
    os.rename(file.name, os.path.join(orders["home"], "done"))
    server.bind(orders["listen"]["address"])
    server.listen()
    while True:
        time.sleep(60)
"""
IDLE = "def act(orders): signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"


def secrets_of(folder):
    """Derive the secrets of a test's installation; each folder has its own."""
    digest = hashlib.sha256(str(folder).encode())
    return InstallationSecrets(digest.digest(), digest.hexdigest()[:10])


@asynccontextmanager
async def an_engine(folder, isolation="auto", **traits):
    """Open a process engine on a folder; end all its places and let go of it after."""
    engine = ProcessEngine(isolation=isolation, **traits)
    await engine.open(secrets_of(folder), folder)
    try:
        yield engine
    finally:
        for found in await engine.survey():
            await engine.stop(Place(id=found.place_id, engine_id=engine.engine_id), 0.0)
        await engine.close()


def a_place(engine):
    return Place(id=new_place_id(), engine_id=engine.engine_id)


def a_spec(**changes):
    return SessionSpec(**{"image": REFERENCE_IMAGE, "kernel": "", **changes})


def orders_for(engine, folder, place, spec, **changes):
    """Write an agent's orders as the manager does."""
    layout, secrets = engine.layout(place, spec), secrets_of(folder)
    certificate, private_key = secrets.agent_certificate(place.id)
    return {
        "protocol": 1,
        "place_id": place.id,
        "install_id": secrets.install_id,
        "claim": "",
        "token": secrets.agent_token(place.id),
        "certificate": certificate,
        "private_key": private_key,
        "listen": {
            "transport": layout.agent_transport,
            "address": layout.agent_address,
            "port": layout.agent_port,
        },
        "runtime_dir": layout.runtime_dir,
        "home": layout.home,
        "workdir": layout.workdir,
        "owns_pids": layout.owns_pids,
        "environ": {**layout.environ, **spec.environ},
        "lease": 120,
        "limits": {"mem": None, "pids": None, "rlimits": True, "watchdog": False},
        "kernel": None,
        **changes,
    }


def stand_in(orders, act=IDLE):
    """Make boot bytes with a program of the test's own instead of the agent."""
    return pack(json.dumps({"main": STAND_IN.format(act=act)}).encode(), orders)


async def begin(engine, folder, place, spec, *, act=None, **changes):
    """Start a place and return the checkpoints; with `act`, it runs that instead of the agent."""
    orders = orders_for(engine, folder, place, spec, **changes)
    boot = make_boot(orders) if act is None else stand_in(orders, act)
    return [checkpoint async for checkpoint in engine.start(place, spec, boot)]


async def tell(engine, folder, place, spec, act):
    """Run code inside a place and return what it said."""
    home = Path(engine.layout(place, spec).home)
    homes = {mount.target: Path(mount.source) for mount in spec.mounts if mount.name == "home"}
    await begin(engine, folder, place, spec, act=act)
    return json.loads((homes.get(str(home), home) / "done").read_text())


def processes_of(place_id):
    """Find every process that carries a place's id in its words or environment, zombies too."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if place_id.encode() in words:
                found[int(entry.name)] = words.split(b"\0")[0].decode()
    return found


def zombies():
    """Find children of this process that ended and were not collected."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] == "Z":
                found.append(int(entry.name))
    return found


def nothing_left(folder, place_id):
    """Check that neither process nor file of a place exists."""
    assert processes_of(place_id) == {}
    assert [str(path) for path in folder.rglob("*") if place_id in str(path)] == []


def record_of(folder, place_id, name="place.json"):
    return json.loads((folder / "places" / place_id / name).read_text())


def rewrite(folder, place_id, name="place.json", **changes):
    """Change what is written down of a place."""
    path = folder / "places" / place_id / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def agent_pid(folder, place_id):
    return record_of(folder, place_id, "process.json")["agent"]["pid"]


async def kill_from_outside(folder, place_id, signum=signal.SIGKILL):
    pid = agent_pid(folder, place_id)
    os.kill(pid, signum)
    if signum == signal.SIGKILL:
        await eventually(lambda: state_of(pid) in ("", "Z"))


def state_of(pid):
    """Return the letter of a process's state; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
