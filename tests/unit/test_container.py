"""What is asked of a Docker engine, and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from jupyter_sessmgr.engines.docker import answers as a
from jupyter_sessmgr.engines.docker import container as c
from jupyter_sessmgr.engines.docker.breaker import Breaker
from jupyter_sessmgr.engines.docker.facts import judge_nearness, make_notes, read_facts
from jupyter_sessmgr.engines.docker.firewall import advice, chain_of, make_rules
from jupyter_sessmgr.engines.docker.images import PullProgress
from jupyter_sessmgr.engines.docker.networks import bridge_name, make_network, network_name
from jupyter_sessmgr.model.errors import EngineError, InvalidRequest
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.ports import Endpoint, ServicePort
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import Place, SessionSpec


class Signer:
    install_id = "me"

    def sign(self, *words):
        return hmac.new(b"key", "\0".join(words).encode(), hashlib.sha256).hexdigest()

    def verify(self, signature, *words):
        return hmac.compare_digest(signature, self.sign(*words))


SIGNER = Signer()
PLACE = Place(id="0123456789abcdef0123", engine_id="engine")
HARD = c.Hardening(
    user=(1000, 1001), tmp_size=100, home_size=200, nofile=300, log_max_size=400, log_max_files=2
)
SHAPE = c.Shape(
    network="sessmgr-me", published=False, command=["/usr/bin/env", "python3", "-I"], labels={}
)


def a_spec(**changes):
    return SessionSpec(**{"image": "an/image", **changes})


def config(spec=None, shape=SHAPE, hardening=HARD):
    return c.make_config(spec or a_spec(), shape, hardening)


def labels(**changes):
    return {**c.make_labels(SIGNER, PLACE, a_spec(), "attempt"), **changes}


def listed(**changes):
    return {
        "Id": "key",
        "Names": ["/" + place_name("me", PLACE.id)],
        "Labels": labels(),
        "State": "running",
        "Created": 1000,
        "Ports": [],
        "NetworkSettings": {"Networks": {"sessmgr-me": {"IPAddress": "10.0.0.2"}}},
        **changes,
    }


def test_the_hardening_is_whole():
    host = config(a_spec(resources=Resources(cpu=Decimal("0.5"), mem=1 << 30)))["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == []
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == Resources().pids
    assert host["ShmSize"] == Resources().shmem
    assert {"Name": "core", "Soft": 0, "Hard": 0} in host["Ulimits"]
    assert {"Name": "nofile", "Soft": 300, "Hard": 300} in host["Ulimits"]
    assert host["LogConfig"]["Config"] == {"max-size": "400", "max-file": "2"}
    assert host["IpcMode"] == "private"
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["PortBindings"] == {}
    assert host["NetworkMode"] == "sessmgr-me"
    assert config()["User"] == "1000:1001"


def test_without_a_memory_limit_none_is_written():
    host = config()["HostConfig"]
    assert not {"Memory", "MemorySwap", "NanoCpus"} & set(host)


def test_F9_nothing_of_the_image_is_run():
    made = config()
    assert made["Entrypoint"] == ["/usr/bin/env", "python3", "-I"]
    assert made["Cmd"] == []
    assert made["Healthcheck"] == {"Test": ["NONE"]}


def test_E6_variables_of_the_session_are_not_in_the_containers_words():
    spec = a_spec(environ={"CANARY": "secret"})
    assert "CANARY" not in str(config(spec))


def test_only_temporary_folders_are_writable():
    tmpfs = config()["HostConfig"]["Tmpfs"]
    assert set(tmpfs) == {"/tmp", "/run", "/run/sessmgr", "/home/work"}
    assert all("nosuid" in one and "nodev" in one and "size=" in one for one in tmpfs.values())
    assert "uid=1000,gid=1001" in tmpfs["/home/work"]


def test_a_mounted_home_is_not_hidden():
    home = Mount(name="home", source="/srv/home", target="/home/work", read_only=False)
    data = Mount(name="data", source="/srv/a:b", target="/mnt/data")
    host = config(a_spec(mounts=(home, data)))["HostConfig"]
    assert "/home/work" not in host["Tmpfs"]
    # Objects, never src:dst:mode, so that a colon in a name means nothing.
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/srv/home", "Target": "/home/work", "ReadOnly": False},
        {"Type": "bind", "Source": "/srv/a:b", "Target": "/mnt/data", "ReadOnly": True},
    ]


def test_F8_volumes_of_the_image_become_temporary():
    shape = replace(SHAPE, volumes=("/data", "/tmp"))
    tmpfs = config(shape=shape)["HostConfig"]["Tmpfs"]
    assert "size=200" in tmpfs["/data"]
    assert "mode=1777" in tmpfs["/tmp"]
    loose = replace(HARD, read_only_root=False)
    assert "/data" not in config(shape=shape, hardening=loose)["HostConfig"]["Tmpfs"]


def test_each_loosening_loosens_one_thing():
    strict = config(a_spec(resources=Resources(mem=1000)))["HostConfig"]
    for change, key in [
        ({"cap_add": ("SYS_PTRACE",)}, "CapAdd"),
        ({"read_only_root": False}, "ReadonlyRootfs"),
        ({"no_new_privileges": False}, "SecurityOpt"),
        ({"swap": True}, "MemorySwap"),
        ({"core_size": 5}, "Ulimits"),
        ({"runtime": "runsc"}, "Runtime"),
        ({"seccomp": "{}"}, "SecurityOpt"),
    ]:
        loose = config(a_spec(resources=Resources(mem=1000)), hardening=replace(HARD, **change))
        different = {k for k in loose["HostConfig"] if loose["HostConfig"][k] != strict.get(k)}
        assert different == {key}, change


def test_ports_are_published_on_the_loopback_address_only():
    spec = a_spec(service_ports=(ServicePort("web", "http", (8080,)),))
    made = config(spec, replace(SHAPE, published=True))
    bindings = made["HostConfig"]["PortBindings"]
    assert set(bindings) == {f"{port}/tcp" for port in (8080, *range(21000, 21006))}
    assert all(one == [{"HostIp": "127.0.0.1", "HostPort": ""}] for one in bindings.values())
    assert set(made["ExposedPorts"]) == set(bindings)


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ("sleep", "1")},
        {"cluster_size": 2},
        {"resources": Resources(devices={"tpu.device": 1})},
        {"service_ports": (ServicePort("web", "http", (21003,)),)},
        {"preopen_ports": (21000,)},
    ],
)
def test_what_a_container_cannot_have_is_refused(changes):
    with pytest.raises(InvalidRequest):
        config(a_spec(**changes))


def test_processors_for_graphics_are_asked_for_as_device_requests():
    spec = a_spec(resources=Resources(devices={"cuda.device": 2}))
    (asked,) = config(spec)["HostConfig"]["DeviceRequests"]
    assert asked == {"Driver": "nvidia", "Count": 2, "Capabilities": [["gpu"]]}
    named = replace(SHAPE, gpus=("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=2"))
    (asked,) = config(spec, named)["HostConfig"]["DeviceRequests"]
    assert asked == {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}
    assert "DeviceRequests" not in config()["HostConfig"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sessmgr-me-other", {}),
        (place_name("me", PLACE.id), {c.INSTALL: "you"}),
        (place_name("me", PLACE.id), {c.PURPOSE: "other"}),
        (place_name("me", PLACE.id), {c.SIGNATURE: "0" * 64}),
        (place_name("me", PLACE.id), {c.SIGNATURE: ""}),
    ],
)
def test_F7_only_what_is_signed_and_named_by_us_is_ours(name, changes):
    assert c.is_ours(SIGNER, place_name("me", PLACE.id), labels())
    assert not c.is_ours(SIGNER, name, labels(**changes))


def test_F7_every_label_is_set():
    assert set(labels()) == {
        c.INSTALL, c.PLACE, c.PURPOSE, c.SIGNATURE, c.SERVICES, c.ATTEMPT
    }  # fmt: skip


def test_found_says_what_a_stranger_is():
    ours = a.found(SIGNER, listed())
    assert (ours.signed, ours.running, ours.place_id, ours.created_at) == (
        True, True, PLACE.id, 1000.0
    )  # fmt: skip
    stranger = a.found(SIGNER, listed(Names=["/x"], State="created"))
    assert (stranger.signed, stranger.running) == (False, False)


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "removing", "novel", ""])
def test_only_a_terminal_state_means_that_it_does_not_run(state):
    seen = a.observation(listed(State=state))
    assert seen.exists
    assert seen.running
    assert seen.paused is (state == "paused")


@pytest.mark.parametrize(
    ("details", "oom", "words"),
    [
        ({"ExitCode": 137, "OOMKilled": True}, True, "more memory"),
        # The kernel's child died of memory, and the place ended as it was told to (FAULTS C1).
        ({"ExitCode": 0, "OOMKilled": True}, False, "by itself with exit code 0"),
        ({"ExitCode": 137, "OOMKilled": False}, False, "signal 9 from outside"),
        ({"ExitCode": 127}, False, "needs Python 3.8"),
        ({"ExitCode": 1}, False, "exit code 1"),
        # As the agent ends when it is asked to, and when nobody was heard.
        ({"ExitCode": 143}, False, "signal 15 from outside"),
        ({"ExitCode": 75}, False, "no server was heard"),
    ],
)
def test_C1_why_a_place_ended(details, oom, words):
    item = listed(State="exited")
    assert a.needs_inspection(item)
    seen = a.observation(item, {"State": {"Status": "exited", **details}})
    assert (seen.running, seen.oom, seen.exit_code) == (False, oom, details["ExitCode"])
    assert words in seen.reason
    assert seen.endpoints == ()


def test_C6_a_place_that_could_not_start_has_ended():
    item = listed(State="created", NetworkSettings={})
    error = {"State": {"Status": "created", "ExitCode": 127, "Error": "no such file"}}
    assert not a.observation(item, error).running
    assert "no such file" in a.observation(item, error).reason
    fresh = {"State": {"Status": "created", "ExitCode": 0, "Error": ""}}
    assert a.observation(item, fresh).running
    assert a.observation(item, fresh).endpoints == ()


def test_endpoints_are_read_from_lists_and_inspections_alike():
    spec = a_spec(service_ports=(ServicePort("web", "http", (8080, 8081)),))
    tags = c.make_labels(SIGNER, PLACE, spec, "")
    expected = [("agent", 21000), ("shell", 21001), ("iopub", 21002), ("stdin", 21003)]
    expected += [("hb", 21004), ("control", 21005), ("web", 8080), ("web", 8081)]
    inspected = {"NetworkSettings": listed()["NetworkSettings"], "Config": {"Labels": tags}}
    for item in (listed(Labels=tags), inspected):
        assert a.endpoints(item) == tuple(Endpoint(n, "10.0.0.2", p) for n, p in expected)
    ports = [{"PrivatePort": p, "PublicPort": p - 1000, "IP": "127.0.0.1"} for _, p in expected]
    mapped = {f"{p}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(p - 1000)}] for _, p in expected}
    inspected["NetworkSettings"] = {**inspected["NetworkSettings"], "Ports": mapped}
    for item in (listed(Labels=tags, Ports=ports), inspected):
        assert a.endpoints(item) == tuple(Endpoint(n, "127.0.0.1", p - 1000) for n, p in expected)


def test_F1_networks_keep_sessions_apart():
    made = make_network("sessmgr-me", "egress", {})
    assert made["options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert made["options"]["com.docker.network.bridge.host_binding_ipv4"] == "127.0.0.1"
    assert made["internal"] is False
    assert make_network("sessmgr-me", "isolated", {})["internal"] is True
    names = {network_name("sessmgr", "me", kind) for kind in ("egress", "isolated")}
    assert len(names) == len({bridge_name(name) for name in names}) == 2
    assert all(len(bridge_name(name)) <= 15 for name in names)
    assert len(chain_of(bridge_name("x"))) <= 28


def test_F2_F3_rules_stop_the_host_and_the_metadata_service():
    rules = [" ".join(rule) for rule in make_rules(["10.0.0.53"])]
    assert rules[0] == "-d 169.254.0.0/16 -j DROP"
    assert rules[-1] == "-m addrtype --dst-type LOCAL -m conntrack --ctstate NEW -j DROP"
    assert "-d 10.0.0.53 -p udp --dport 53 -j RETURN" in rules
    assert "-i br0" in advice("br0")


INFO = {"ID": "A:B", "Name": "host", "NCPU": 4, "MemTotal": 1 << 30, "DockerRootDir": "/nowhere"}
PODMAN = {"Components": [{"Name": "Podman Engine"}], "Version": "4.3.1"}


def test_facts_of_docker_and_podman():
    docker = read_facts({**INFO, "ServerVersion": "20.10"}, {})
    assert (docker.engine_id, docker.title, docker.podman) == ("A:B", "Docker 20.10", False)
    assert (docker.cpus, docker.mem, docker.rootless) == (Decimal(4), 1 << 30, False)
    podman = read_facts(INFO, PODMAN)
    # Podman makes another ID for every answer.
    assert podman.engine_id == read_facts({**INFO, "ID": "C:D"}, PODMAN).engine_id
    assert podman.engine_id != read_facts({**INFO, "DockerRootDir": "/else"}, PODMAN).engine_id
    assert read_facts({**INFO, "SecurityOptions": ["name=rootless"]}, {}).rootless
    cdi = [{"Source": "cdi", "ID": f"nvidia.com/gpu={n}"} for n in (0, "all")]
    assert read_facts({**INFO, "DiscoveredDevices": cdi}, {}).gpu_names == ("nvidia.com/gpu=0",)


@pytest.mark.parametrize(
    ("host", "gateway", "reach", "by_address", "near"),
    [
        ("unix:///run/docker.sock", "127.0.0.1", "auto", True, True),
        ("unix:///run/docker.sock", "192.0.2.7", "auto", False, True),
        ("unix:///run/docker.sock", "127.0.0.1", "published", False, True),
        ("tcp://127.0.0.1:2375", "127.0.0.1", "auto", True, True),
        ("tcp://engine.example:2375", "127.0.0.1", "auto", False, False),
        ("tcp://engine.example:2375", "", "address", True, False),
    ],
)
def test_how_near_an_engine_is(host, gateway, reach, by_address, near):
    networks = [{"IPAM": {"Config": [{"Gateway": gateway}] if gateway else None}}]
    nearness = judge_nearness(host, read_facts(INFO, {}), networks, reach)
    assert (nearness.by_address, nearness.near) == (by_address, near)
    assert nearness.same_files is False


def test_notes_say_what_is_not_prevented():
    facts = read_facts({**INFO, "SwapLimit": False}, PODMAN)
    nearness = judge_nearness("unix:///x", facts, [], "auto")
    notes = " ".join(make_notes(facts, nearness, host="unix:///x", shut=False, advice="do this"))
    for words in ("Podman", "127.0.0.1", "metadata", "do this", "swap", "none is mounted"):
        assert words in notes


def test_progress_is_added_up_over_layers():
    progress = PullProgress.begin()
    assert progress.fraction is None
    for layer in "ab":
        progress.note({"id": layer, "status": "Pulling fs layer"})
    assert progress.fraction == 0.0
    detail = {"current": 50, "total": 100}
    progress.note({"id": "a", "status": "Downloading", "progressDetail": detail})
    assert progress.fraction == 0.25
    progress.note({"id": "b", "status": "Already exists"})
    assert progress.fraction == 0.75
    progress.note({"id": "a", "status": "Pull complete"})
    assert progress.fraction == 1.0
    with pytest.raises(EngineError, match="denied"):
        progress.note({"error": "denied"})


def test_D5_a_breaker_opens_after_failures_in_a_row_and_lets_one_try():
    now = [0.0]
    breaker = Breaker(failures=3, pause=5.0, clock=lambda: now[0])
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()
    now[0] = 5.1
    assert breaker.allows()
    assert not breaker.allows(), "the first one tries for all"
    breaker.succeeded()
    assert breaker.allows()


def test_our_ports_are_none_that_the_system_gives_away_by_itself():
    """Docker's own resolver listens inside the container, on a port of that range."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(c.AGENT_PORT, *c.KERNEL_PORTS) < min(lowest, 32768)
