"""Rows F of THREATS: code in a session, or its image, against the machine and other sessions."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from jupyter_sessmgr.engines.docker.container import INSTALL, PLACE, PURPOSE, SERVICES, SIGNATURE
from jupyter_sessmgr.engines.docker.networks import ALL_BRIDGES, bridge_name, network_name
from jupyter_sessmgr.manager.agents.boot import make_boot
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.naming import new_place_id, place_name
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.resources import Resources
from tests.plugins.docker import (
    a_place,
    a_spec,
    an_engine,
    begin,
    name_of,
    private_folder,
    tell,
    told,
    violations,
)
from tests.plugins.processes import orders_for, secrets_of
from tests.plugins.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("reference_image")]

PORTS = (21000, 21001, 21002, 21003, 21004, 21005, 8080)
LISTEN = f"""
held = []
def act(orders):
    for port in {PORTS}:
        held.append(socket.create_server(("0.0.0.0", port)))
    return True
"""


def reach(targets):
    """Write an `act` that tries to connect, all at the same time; says which could be reached."""
    return f"""
def act(orders):
    import asyncio
    async def reached(host, port):
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.5)
        except (OSError, asyncio.TimeoutError):
            return False
        writer.close()
        return True
    async def all_of_them():
        return await asyncio.gather(*(reached(*target) for target in {list(targets)!r}))
    return asyncio.run(all_of_them())
"""


needs_firewall = pytest.mark.skipif(os.geteuid() != 0, reason="only root sets the packet filter")


@pytest.mark.parametrize(
    ("victims", "attackers"),
    [("egress", "egress"), ("isolated", "isolated"), ("egress", "isolated")],
)
async def test_F1_a_session_does_not_reach_another_ones_ports(
    docker_host, state_dir, victims, attackers
):
    async with an_engine(state_dir, docker_host) as engine:
        victim = a_place(engine)
        spec = a_spec(network=victims, service_ports=(ServicePort("web", "http", (8080,)),))
        last = await begin(engine, state_dir, victim, spec, LISTEN)
        assert await told(engine, victim) is True
        address = last.endpoints[0].host
        for port in PORTS:  # from here they can be reached
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
            writer.close()
        targets = [(address, port) for port in PORTS]
        if attackers == victims:  # elsewhere the name is asked for in vain, and for long
            targets.append((name_of(state_dir, victim), PORTS[0]))
        answer = await tell(engine, state_dir, reach(targets), a_spec(network=attackers))
        assert answer == [False] * len(targets)
        own = await tell(
            engine,
            state_dir,
            LISTEN
            + reach([("127.0.0.1", 8080)]).replace(
                "def act(orders):", "def act(orders, listen=act):\n    listen(orders)", 1
            ),
        )
        assert own == [True], "the attacker's way of trying works"


@contextmanager
def a_service_of_the_host():
    """Listen on all addresses of this machine; gives the port."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def addresses_of_this_machine():
    """List the IPv4 addresses of this machine but the loopback ones."""
    shown = subprocess.run(
        ["ip", "-4", "-o", "addr"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    found = [line.split()[3].split("/")[0] for line in shown.splitlines()]
    return [one for one in found if not one.startswith("127.")]


@needs_firewall
@pytest.mark.parametrize("network", ["egress", "isolated"])
async def test_F2_a_session_does_not_reach_services_of_the_host(docker_host, state_dir, network):
    with a_service_of_the_host() as port:
        async with an_engine(state_dir, docker_host) as engine:
            assert any("neither this machine's own services" in note for note in engine.notes())
            place = a_place(engine)
            await begin(engine, state_dir, place, a_spec(network=network))
            targets = [(one, port) for one in addresses_of_this_machine()]
            answer = await tell(engine, state_dir, reach(targets), a_spec(network=network))
            assert answer == [False] * len(targets)
            # The filter goes with the network, not with the server: sessions outlive it.
            await engine.close()
            bridge = bridge_name(network_name("sessmgr", secrets_of(state_dir).install_id, network))
            assert bridge in _filter_rules()
            await engine.open(secrets_of(state_dir), state_dir)
            await engine.stop(place, 0.0)
            await engine.close()
            assert bridge not in _filter_rules()
            await engine.open(secrets_of(state_dir), state_dir)


def _filter_rules():
    return subprocess.run(
        ["iptables", "-w", "5", "-S"], check=True, capture_output=True, text=True, timeout=10
    ).stdout


async def test_F2_where_the_filter_is_not_set_this_is_said(docker_host, state_dir):
    with a_service_of_the_host() as port:
        async with an_engine(state_dir, docker_host, firewall="off") as engine:
            install = secrets_of(state_dir).install_id
            bridge = bridge_name(network_name("sessmgr", install, "egress"))
            (note,) = [one for one in engine.notes() if "metadata" in one]
            assert f"iptables -I INPUT -i {ALL_BRIDGES}" in note
            assert bridge.startswith(ALL_BRIDGES.removesuffix("+"))  # as iptables takes it
            targets = [(one, port) for one in addresses_of_this_machine()]
            answer = await tell(engine, state_dir, reach(targets))
            assert any(answer), "or the test above proves nothing"


@contextmanager
def a_metadata_service():
    """Let an address of 169.254.0.0/16 answer, in a network namespace of its own.

    It is not the one that clouds use, so that no real one is hidden from this machine.
    """
    number = os.getpid() % 250 + 1
    name, address = f"smmeta{number}", f"169.254.77.{number}"
    here, there = f"10.251.{number}.1", f"10.251.{number}.2"
    ip = lambda *words: subprocess.run(["ip", *words], check=True, timeout=20)  # noqa: E731
    ip("netns", "add", name)
    try:
        inside = ("-n", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "up0", "netns", name)
        ip("addr", "add", f"{here}/30", "dev", name)
        ip("link", "set", name, "up")
        ip(*inside, "addr", "add", f"{there}/30", "dev", "up0")
        ip(*inside, "addr", "add", f"{address}/32", "dev", "lo")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "set", "up0", "up")
        ip(*inside, "route", "add", "default", "via", here)
        ip("route", "add", f"{address}/32", "via", there)
        program = "import socket, time; s = socket.create_server(('0.0.0.0', 80)); time.sleep(300)"
        server = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", program])
        try:
            yield address
        finally:
            server.kill()
            server.wait(10)
    finally:
        subprocess.run(["ip", "route", "del", f"{address}/32"], check=False, timeout=20)
        subprocess.run(["ip", "link", "del", name], check=False, timeout=20)
        ip("netns", "del", name)


@needs_firewall
@pytest.mark.parametrize(
    ("network", "firewall", "expected"),
    [("egress", "auto", False), ("isolated", "off", False), ("egress", "off", True)],
)
async def test_F3_a_session_does_not_reach_the_metadata_service(
    docker_host, state_dir, network, firewall, expected
):
    with a_metadata_service() as address:

        def answers():
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((address, 80)) == 0

        await eventually(lambda: asyncio.to_thread(answers), what="the stand-in to answer")
        async with an_engine(state_dir, docker_host, firewall=firewall) as engine:
            spec = a_spec(network=network)
            assert await tell(engine, state_dir, reach([(address, 80)]), spec) == [expected]


FORK = """
def act(orders):
    count = 0
    try:
        while count < 5000:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            count += 1
    except OSError as error:
        return [count, error.strerror]
"""
DISK = """
def act(orders):
    written = {}
    for folder in ("/tmp", "/home/work", "/run", "/dev/shm"):
        written[folder] = 0
        try:
            with open(os.path.join(folder, "fill"), "wb", buffering=0) as file:
                while written[folder] < 200 << 20:
                    written[folder] += file.write(bytes(1 << 20))
        except OSError:
            pass
        os.unlink(os.path.join(folder, "fill"))
    return written
"""
FLOOD = """
def act(orders):
    line = "x" * 1000 + "\\n"
    for _ in range(60_000):
        sys.stdout.write(line)
    sys.stdout.flush()
    return "done"
"""
SPIN = """
def act(orders):
    for _ in range(8):
        if os.fork() == 0:
            while True:
                pass
    return True
"""


async def test_F5_a_fork_bomb_ends_at_its_limit(docker_host, state_dir):
    spec = a_spec(resources=Resources(pids=64))
    async with an_engine(state_dir, docker_host) as engine:
        count, error = await tell(engine, state_dir, FORK, spec)
        assert count < 64
        assert "temporarily unavailable" in error


async def test_F5_what_is_written_has_an_end(docker_host, state_dir):
    sizes = {"tmp_size": 8 << 20, "home_size": 4 << 20}
    spec = a_spec(resources=Resources(mem=256 << 20, shmem=2 << 20))
    async with an_engine(state_dir, docker_host, **sizes) as engine:
        written = await tell(engine, state_dir, DISK, spec)
        limits = {"/tmp": 8, "/home/work": 4, "/run": 16, "/dev/shm": 2}
        assert written == {folder: size << 20 for folder, size in limits.items()}


async def test_F5_a_flood_of_output_is_cut(docker_host, docker_api, state_dir):
    async with an_engine(state_dir, docker_host) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, act=FLOOD)
        assert await told(engine, place, timeout=60) == "done"
        seen = await asyncio.to_thread(docker_api.inspect_container, name_of(state_dir, place))
        log = Path(seen["LogPath"])
        if not log.exists():
            pytest.skip("the engine's log cannot be seen from here")
        size = sum(one.stat().st_size for one in log.parent.glob(f"{log.name}*"))
        assert size < 3 << 20
        assert len(await engine.logs(place, 1000)) == 1000


@pytest.mark.parametrize("attack", [FORK, SPIN, FLOOD])
async def test_F5_others_are_answered_meanwhile(docker_host, state_dir, attack):
    limits = Resources(mem=128 << 20, pids=256, cpu=Decimal(1))
    async with an_engine(state_dir, docker_host) as engine:
        other, spec = a_place(engine), a_spec()
        boot = make_boot(orders_for(engine, state_dir, other, spec))
        checkpoints = [one async for one in engine.start(other, spec, boot)]
        link = await AgentLink.connect(
            checkpoints[-1].endpoints[0], place_id=other.id, secrets=secrets_of(state_dir)
        )
        try:
            place = a_place(engine)
            await begin(engine, state_dir, place, a_spec(resources=limits), attack)
            for _ in range(10):
                began = time.monotonic()
                await link.ping()
                assert (await engine.look([other]))[other.id].running
                assert time.monotonic() - began < 1.0
                await asyncio.sleep(0.05)
            began = time.monotonic()
            await engine.stop(place, 0.0)
            assert time.monotonic() - began < 10
        finally:
            await link.close()


async def test_F6_the_disk_is_written_to_in_mounts_only(docker_host, state_dir, tmp_path):
    """Only mounted folders can fill the disk; how to bound those is in the documentation."""
    act = """
    def act(orders):
        found = {}
        for line in open("/proc/mounts"):
            _, target, kind, options = line.split()[:4]
            if options.split(",")[0] == "rw" and os.access(target, os.W_OK):
                found[target] = [kind, "size=" in options]
        return found
    """
    home = private_folder(tmp_path)
    mount = Mount(name="home", source=str(home), target="/home/work", read_only=False)
    async with an_engine(state_dir, docker_host) as engine:
        writable = await tell(engine, state_dir, act, a_spec(mounts=(mount,)))
        assert "/home/work" in writable
        del writable["/home/work"]
        assert {"/tmp", "/run"} <= set(writable)
        in_memory = {"tmpfs", "mqueue", "devpts", "proc"}
        assert {kind for kind, _ in writable.values()} <= in_memory
        assert all(sized for kind, sized in writable.values() if kind == "tmpfs")
    page = (Path(__file__).parents[2] / "docs/how-to/security.md").read_text(encoding="utf-8")
    assert "quota" in page


async def test_F7_labels_of_an_image_make_nothing_ours(
    docker_host, docker_api, state_dir, build_image
):
    install, forged = secrets_of(state_dir).install_id, new_place_id()
    image = build_image(
        f"LABEL {INSTALL}={install} {PLACE}={forged} {PURPOSE}=session {SIGNATURE}=00 "
        f"{SERVICES}=evil:http:9999 owner=root"
    )
    async with an_engine(state_dir, docker_host) as engine:
        name = f"sessmgr-test-{os.urandom(4).hex()}"
        stranger = await asyncio.to_thread(
            docker_api.create_container, image, ["sleep", "60"], name=name
        )
        try:
            found = {one.name: one for one in await engine.survey()}
            assert (found[name].signed, found[name].install_id) == (False, install)
            assert forged in (await engine.look([_place(engine, forged)]))
            assert not (await engine.look([_place(engine, forged)]))[forged].exists
            place = a_place(engine)
            last = await begin(engine, state_dir, place, a_spec(image=image))
            assert "evil" not in [one.name for one in last.endpoints]
            seen = await asyncio.to_thread(docker_api.inspect_container, name_of(state_dir, place))
            labels = seen["Config"]["Labels"]
            assert (labels[PLACE], labels[INSTALL], labels[SERVICES]) == (place.id, install, "")
            assert labels[SIGNATURE] != "00"
            # Whoever has the name but not the signature is left alone, too.
            await engine.stop(_place(engine, forged), 0.0)
            assert await asyncio.to_thread(docker_api.inspect_container, stranger["Id"])
            assert place_name(install, forged) not in found
        finally:
            await asyncio.to_thread(docker_api.remove_container, stranger["Id"], force=True, v=True)


def _place(engine, place_id):
    place = a_place(engine)
    return type(place)(id=place_id, engine_id=place.engine_id)


@pytest.mark.parametrize("read_only_root", [True, False])
@pytest.mark.usefixtures("loosened")
async def test_F8_no_volume_is_left(
    docker_host, docker_leftovers, state_dir, build_image, read_only_root
):
    image = build_image("VOLUME /data /home/work", "VOLUME /run/more")
    act = """
    def act(orders):
        open("/home/work/x", "w").close()
        return os.access("/data", os.W_OK)
    """
    traits = {"read_only_root": read_only_root}
    async with an_engine(state_dir, docker_host, **traits) as engine:
        before = await asyncio.to_thread(docker_leftovers)
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(image=image), act)
        assert await told(engine, place) is read_only_root
        during = await asyncio.to_thread(docker_leftovers)
        assert (during == before) is read_only_root
        await engine.stop(place, 0.0)
        assert await asyncio.to_thread(docker_leftovers) == before


async def test_F9_an_evil_image_runs_nothing_of_its_own(
    docker_host, docker_api, state_dir, build_image
):
    image = build_image(
        "USER root",
        "WORKDIR /evil/place",
        'ENTRYPOINT ["/bin/sh", "-c", "echo evil entry point; sleep 60"]',
        'CMD ["echo", "evil command"]',
        "HEALTHCHECK --interval=1s CMD echo evil health > /proc/1/fd/1",
        "STOPSIGNAL SIGKILL",
        "ENV PYTHONSTARTUP=/evil.py PYTHONPATH=/evil PYTHONHOME=/evil BASH_ENV=/evil.sh",
        "EXPOSE 9999",
        "COPY evil.py /evil/json.py",
        files={"evil.py": "print('evil import')"}.items(),
    )
    act = """
    def act(orders):
        return [os.getuid(), os.getpid(), os.getcwd(), json.__file__]
    """
    async with an_engine(state_dir, docker_host) as engine:
        place = a_place(engine)
        await begin(engine, state_dir, place, a_spec(image=image), act)
        uid, pid, folder, module = await told(engine, place)
        assert (uid, pid, folder) == (engine.capabilities.runs_as[0], 1, "/")
        assert not module.startswith("/evil")
        seen = await asyncio.to_thread(docker_api.inspect_container, name_of(state_dir, place))
        await asyncio.sleep(1.5)  # longer than the interval of the image's health check
        assert b"evil" not in await engine.logs(place, 1 << 16)
        assert "Health" not in seen["State"]
        assert seen["Config"]["StopSignal"] == "SIGTERM"
        assert seen["HostConfig"]["PortBindings"] in ({}, None)


async def test_F11_a_session_has_no_way_to_the_engine(docker_host, docker_api, state_dir):
    act = """
    def act(orders):
        import stat
        found = []
        for folder, _, files in os.walk("/"):
            if folder.startswith(("/proc", "/sys")):
                continue
            for name in files:
                mode = os.lstat(os.path.join(folder, name)).st_mode
                if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
                    found.append(os.path.join(folder, name))
        return found
    """
    async with an_engine(state_dir, docker_host) as engine:
        assert await tell(engine, state_dir, act) == []
        place = a_place(engine)
        await begin(engine, state_dir, place)
        seen = await asyncio.to_thread(docker_api.inspect_container, name_of(state_dir, place))
        assert violations(seen) == []


def test_F11_the_policy_finds_what_is_forbidden(docker_api, reference_image):
    """The fixture that watches over the whole suite can fail."""
    host = docker_api.create_host_config(
        privileged=True, cap_add=["SYS_ADMIN"], network_mode="bridge", pid_mode="host",
        ipc_mode="host", security_opt=["seccomp=unconfined"], port_bindings={80: ("0.0.0.0", 0)},
        binds=["/var/run/docker.sock:/x"], devices=["/dev/null:/dev/null"], mem_limit="64m",
        memswap_limit="128m", restart_policy={"Name": "always"},
    )  # fmt: skip
    made = docker_api.create_container(
        reference_image, ["true"], user="0", ports=[80], environment=["SESSMGR_KEY=1"],
        host_config=host, entrypoint=["sh"],
    )  # fmt: skip
    try:
        found = violations(docker_api.inspect_container(made["Id"]))
    finally:
        docker_api.remove_container(made["Id"], force=True, v=True)
    assert set(found) == {
        "privileged", "capabilities are added", "capabilities are kept", "new privileges",
        "unconfined", "writable root", "a network that is not ours", "the host's processes",
        "shared memory", "devices", "string mounts", "processes without number", "swap",
        "files without number", "core dumps", "an endless log", "restarts", "ports for others",
        "root", "a health check", "a relative entry point", "environment",
    }  # fmt: skip
