"""A real Docker engine: places on it, images made for a test, and a policy for all of them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import tarfile
import textwrap
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import APIError, DockerException, NotFound

from jupyter_sessmgr.engines.docker.container import INSTALL
from jupyter_sessmgr.engines.docker.engine import DockerEngine
from jupyter_sessmgr.engines.docker.firewall import Firewall
from jupyter_sessmgr.engines.docker.networks import bridge_name
from jupyter_sessmgr.manager.agents.boot import pack
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.naming import new_place_id, place_name
from jupyter_sessmgr.model.session import Place, SessionSpec
from tests.plugins.processes import orders_for, secrets_of
from tests.plugins.waiting import eventually

#: What a place runs in most tests: says one line of JSON, and stays.
STAND_IN = """
import json, os, signal, socket, sys, time

{act}

def run(orders):
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    print(json.dumps(act(orders)), flush=True)
    while True:
        time.sleep(60)
"""
IDLE = "def act(orders): signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"


def no_engine(why):
    """Skip, or fail where there has to be an engine."""
    if os.environ.get("CI"):
        pytest.fail(f"CI needs a Docker engine: {why}")
    pytest.skip(f"no Docker engine: {why}")


@pytest.fixture(scope="session")
def docker_host():
    """Give the address of the engine to use."""
    host = os.environ.get("SESSMGR_TEST_DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=10)
        api.ping()
        api.close()
    except (DockerException, requests.RequestException, OSError) as error:
        no_engine(f"{host}: {error}")
    return host


@pytest.fixture(scope="session")
def docker_api(docker_host):
    """Give a client of the engine that is not ours, to look behind our back."""
    api = docker.APIClient(base_url=docker_host, version="auto", timeout=60)
    yield api
    api.close()


@pytest.fixture(scope="session")
def reference_image(docker_host):
    """Build the reference image, unless it is up to date; give its name."""
    from jupyter_sessmgr.cli.image import build_image

    build_image(docker_host, REFERENCE_IMAGE, lambda *_: None)
    return REFERENCE_IMAGE


@pytest.fixture
def build_image(docker_api, reference_image):
    """Build small images for one test: lines of a Dockerfile -> name. Removed after."""
    made = []

    def build(*lines, files=(), base=f"FROM {reference_image}"):
        name = f"sessmgr-test/{os.urandom(4).hex()}:1"
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for path, text in {"Dockerfile": "\n".join([base, *lines]), **dict(files)}.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(text.encode()), 0o755
                archive.addfile(entry, io.BytesIO(text.encode()))
        context.seek(0)
        answers = docker_api.build(
            fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True
        )
        log = [answer for answer in answers if "error" in answer]
        assert not log, log
        made.append(name)
        return name

    yield build
    for name in made:
        with suppress(NotFound):
            docker_api.remove_image(name, force=True, noprune=False)


@asynccontextmanager
async def an_engine(folder, host, **traits):
    """Open a Docker engine as an installation of its own; nothing of it is left after."""
    engine = DockerEngine(docker_host=host, **traits)
    await engine.open(secrets_of(folder), folder)
    try:
        yield engine
    finally:
        await clear(engine, folder)
        await engine.close()


async def clear(engine, folder):
    """Remove all places of a test's installation."""
    install = secrets_of(folder).install_id
    for found in await engine.survey():
        if found.signed and found.install_id == install:
            place = Place(id=found.place_id, engine_id=engine.engine_id)
            await engine.stop(place, 0.0)


def a_place(engine):
    return Place(id=new_place_id(), engine_id=engine.engine_id)


def a_spec(**changes):
    return SessionSpec(**{"image": REFERENCE_IMAGE, "kernel": "", **changes})


def stand_in(orders, act=IDLE):
    """Make boot bytes with a program of the test's own instead of the agent."""
    return pack(json.dumps({"main": STAND_IN.format(act=textwrap.dedent(act))}).encode(), orders)


async def begin(engine, folder, place, spec=None, act=IDLE):
    """Start a place with a stand-in for the agent; return the last checkpoint."""
    spec = spec or a_spec()
    boot = stand_in(orders_for(engine, folder, place, spec), act)
    checkpoints = [one async for one in engine.start(place, spec, boot)]
    return checkpoints[-1]


async def told(engine, place, timeout=20):
    """Wait for what the stand-in of a place said."""

    async def said():
        log = (await engine.logs(place, 1 << 20)).decode(errors="replace")
        assert "Traceback" not in log, log
        last = (log.splitlines() or [""])[-1]
        with suppress(ValueError):
            return [json.loads(last)]

    return (await eventually(said, timeout, what="the place to speak"))[0]


async def tell(engine, folder, act, spec=None, timeout=20):
    """Run code inside a place of its own; return what its `act` returned."""
    place = a_place(engine)
    await begin(engine, folder, place, spec, act)
    answer = await told(engine, place, timeout)
    await engine.stop(place, 0.0)
    return answer


def name_of(folder, place):
    return place_name(secrets_of(folder).install_id, place.id)


def networks_of(api, install):
    return [
        network["Name"]
        for network in api.networks()
        if (network.get("Labels") or {}).get(INSTALL) == install
    ]


def containers_of(api, install):
    found = api.containers(all=True, filters={"label": f"{INSTALL}={install}"})
    return [one["Names"][0].lstrip("/") for one in found]


# --- the policy ---------------------------------------------------------------------------------

#: Folders of the host that no session may see, nor any folder that holds them (THREATS F11).
FORBIDDEN_SOURCES = ("/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/var/lib/docker")


def violations(container):
    """List what a container has that no session may have; takes an inspection."""
    host, config = container["HostConfig"], container["Config"]
    wrong = {
        "privileged": host["Privileged"],
        "capabilities are added": host["CapAdd"],
        "capabilities are kept": "ALL" not in [cap.upper() for cap in host["CapDrop"] or []],
        "new privileges": not any("no-new-privileges" in one for one in host["SecurityOpt"] or []),
        "unconfined": any("unconfined" in one for one in host["SecurityOpt"] or []),
        "writable root": not host["ReadonlyRootfs"],
        "a network that is not ours": not re.match(r"sessmgr-", host["NetworkMode"]),
        "the host's processes": host["PidMode"],
        "shared memory": host["IpcMode"] != "private",
        "the host's name": host["UTSMode"],
        "devices": host["Devices"],
        "string mounts": host["Binds"] or host["VolumesFrom"],
        "a forbidden mount": [one for one in host.get("Mounts") or [] if _is_forbidden(one)],
        "processes without number": not 0 < (host["PidsLimit"] or 0) < 10_000,
        "swap": host["Memory"] != host["MemorySwap"],
        "files without number": not _ulimit(host, "nofile", at_most=65536),
        "core dumps": not _ulimit(host, "core", at_most=0),
        "an endless log": "max-size" not in (host["LogConfig"]["Config"] or {}),
        "restarts": host["RestartPolicy"]["Name"] not in ("", "no"),
        "removes itself": host["AutoRemove"],
        "ports for others": [one for one in _bindings(host) if one["HostIp"] != "127.0.0.1"],
        "root": config["User"].split(":")[0] in ("", "0", "root"),
        "a health check": (config.get("Healthcheck") or {}).get("Test") != ["NONE"],
        "a relative entry point": not config["Entrypoint"][0].startswith("/"),
        "environment": [one for one in config["Env"] if one.startswith(("JPY_", "SESSMGR_"))],
    }
    return [what for what, is_so in wrong.items() if is_so]


def _is_forbidden(mount):
    source = mount["Source"]
    inside = any(source == one or source.startswith(f"{one}/") for one in FORBIDDEN_SOURCES)
    holds = any(one.startswith(source.rstrip("/") + "/") for one in FORBIDDEN_SOURCES)
    return mount["Type"] != "bind" or inside or holds or source.endswith(".sock")


def _ulimit(host, name, at_most):
    return any(one["Name"] == name and one["Hard"] <= at_most for one in host["Ulimits"] or [])


def _bindings(host):
    return [one for bindings in (host["PortBindings"] or {}).values() for one in bindings or []]


class Inspector(threading.Thread):
    """Looks at every container with our label that is created while the suite runs."""

    def __init__(self, host):
        super().__init__(name="inspector", daemon=True)
        self._api = docker.APIClient(base_url=host, version="auto", timeout=30)
        self._events = self._api.events(
            filters={"type": "container", "event": "create", "label": INSTALL}, decode=True
        )
        #: name, installation, what is wrong
        self.seen = []

    def run(self):
        for event in self._events:
            with suppress(NotFound):  # gone already
                container = self._api.inspect_container(event["id"])
                install = container["Config"]["Labels"].get(INSTALL, "")
                self.seen.append((container["Name"], install, violations(container)))

    def end(self):
        self._events.close()
        self.join(5)
        self._api.close()


class Record:
    """Which installations this process made on the engine."""

    def __init__(self):
        self.installs = set()
        #: Installations whose hardening a test has loosened.
        self.loosened = set()
        self.complaints = set()


@pytest.fixture(scope="session")
def _docker_record():
    """Note every installation that opens a Docker engine in this process."""
    record = Record()
    opened = DockerEngine.open

    async def noted(self, signer, folder):
        record.installs.add(signer.install_id)
        await opened(self, signer, folder)

    DockerEngine.open = noted
    yield record
    DockerEngine.open = opened


@pytest.fixture(scope="session")
def _docker_inspector(_docker_record):
    """Watch the engine, if one answers."""
    host = os.environ.get("SESSMGR_TEST_DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        inspector = Inspector(host)
    except (DockerException, requests.RequestException, OSError):
        yield None
        return
    inspector.start()
    yield inspector
    time.sleep(0.2)  # for the last event
    inspector.end()
    ours = _judged(inspector, _docker_record)
    assert not ours, f"containers against the policy: {ours}"


def _judged(inspector, record):
    """List violations of our own containers; in CI nobody else uses the engine."""
    mine = record.installs - record.loosened
    everybody = bool(os.environ.get("CI"))
    return [
        (name, wrong)
        for name, install, wrong in list(inspector.seen)
        if wrong and (install in mine or (everybody and install not in record.loosened))
    ]


@pytest.fixture
def loosened(_docker_record, state_dir):
    """Except this test's installation from the policy: it is about loosening it."""
    _docker_record.loosened.add(secrets_of(state_dir).install_id)


@pytest.fixture(autouse=True)
def _docker_policy(_docker_record, _docker_inspector):
    """Fail a test that made a container against the policy, or that left something (F11)."""
    before = set(_docker_record.installs)
    yield
    fresh = _docker_record.installs - before
    if _docker_inspector is None or not fresh:
        return
    wrong = [
        one
        for one in _judged(_docker_inspector, _docker_record)
        if one[0] not in _docker_record.complaints
    ]
    _docker_record.complaints |= {name for name, _ in wrong}
    left = remove_left_over(fresh)
    assert not wrong, f"containers against the policy: {wrong}"
    assert not left, f"left on the Docker engine: {left}"


def remove_left_over(installs):
    """Remove what is left of installations, and say what it was."""
    host = os.environ.get("SESSMGR_TEST_DOCKER_HOST") or "unix:///var/run/docker.sock"
    api = docker.APIClient(base_url=host, version="auto", timeout=60)
    firewall = Firewall("auto", logging.getLogger(), local=True)
    left = []
    try:
        for install in installs:
            for name in containers_of(api, install):
                left.append(name)
                with suppress(APIError):
                    api.remove_container(name, force=True, v=True)
            for name in networks_of(api, install):
                left.append(name)
                with suppress(APIError):
                    api.remove_network(name)
                if firewall.active:
                    firewall._open(bridge_name(name))
    finally:
        api.close()
    return left


@pytest.fixture
def docker_leftovers(docker_api):
    """Count volumes before and after: no session may leave any (F8)."""

    def volumes():
        return {one["Name"] for one in docker_api.volumes()["Volumes"] or []}

    before = volumes()
    yield volumes
    assert volumes() - before == set()


def private_folder(folder, name="mounted"):
    """Make a folder that sessions may write to, though they are somebody else."""
    made = Path(folder) / name
    made.mkdir()
    made.chmod(0o777)
    return made
