"""The small parts of the agent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from jupyter_sessmgr.agent import bound, cgroup, exits, kernelspecs, launch, procs, usage, verbs
from jupyter_sessmgr.agent.control import Invalid
from jupyter_sessmgr.agent.lease import Lease
from jupyter_sessmgr.agent.ring import Ring


def test_a_ring_keeps_the_last_bytes_and_begins_at_a_line():
    ring = Ring(100)
    for number in range(1000):
        ring.write(b"line %d\n" % number)
    assert ring.written == 8890
    assert ring.tail(100).startswith("line ")
    assert ring.tail(100).endswith("line 999\n")
    assert len(ring.tail(10**6)) <= 100
    assert len(ring._data) <= 200
    assert ring.tail(0) == ring.tail(-1) == ""


def test_a_ring_is_not_empty_for_one_long_line():
    ring = Ring(10)
    ring.write(b"x" * 50)
    assert ring.tail(10) == "x" * 10
    ring.write(b"\n")
    assert ring.tail(10) == "x" * 9 + "\n"


def test_a_ring_makes_text_of_anything():
    ring = Ring(10)
    ring.write(b"\xff\x00\xc3")
    assert ring.tail(10) == "\ufffd\x00\ufffd"


def test_a_lease_counts_ticks():
    lease = Lease(3)
    assert [lease.tick(), lease.tick()] == [False, False]
    lease.renew()
    assert [lease.tick(), lease.tick(), lease.tick()] == [False, False, True]
    lease.set(1)
    assert lease.tick()
    lease.set(0)
    assert not any(lease.tick() for _ in range(1000))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "by itself"),
        (7, "exit code 7"),
        (-11, "signal 11, SIGSEGV: a segmentation fault"),
        (-9, "signal 9, SIGKILL: from outside"),
        (-63, "signal 63, which has no name"),
    ],
)
def test_exit_reasons_are_sentences(code, words):
    reason = exits.exit_reason(code)
    assert words in reason
    assert reason.startswith("The kernel ")
    assert reason.endswith(".")


@pytest.mark.parametrize("signum", signal.valid_signals())
def test_every_signal_has_words(signum):
    assert exits.exit_reason(-signum).count(" ") > 4


def test_memory_limits_are_told_in_round_units():
    assert exits.out_of_memory(512 << 20) == (
        "The kernel ran out of memory (limit 512 MiB) and was killed."
    )
    assert "(advisory limit 1.5 GiB)" in exits.out_of_memory(1536 << 20, advisory=True)
    assert "limit" not in exits.out_of_memory(None)
    assert exits.size_text(12) == "12 bytes"


REAP = """
import os, time
from jupyter_sessmgr.agent.reaper import Reaper

reaper, told = Reaper(), []
for code in (3, 4):
    pid = os.spawnv(os.P_NOWAIT, "/bin/sh", ["sh", "-c", f"exit {code}"])
    if code == 3:
        reaper.watch(pid, told.append)
while reaper.reap():
    time.sleep(0.001)
reaper.watch(os.spawnv(os.P_NOWAIT, "/bin/sh", ["sh", "-c", "exit 5"]), told.append)
reaper.tell_nobody()  # whoever asked is gone
while reaper.reap():
    time.sleep(0.001)
print(told)
"""


def test_the_reaper_tells_who_asked_and_collects_the_rest():
    """In a process of its own: a reaper collects every child, the suite's too."""
    done = subprocess.run(
        [sys.executable, "-c", REAP], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[3]\n"), done.stderr


def test_processes_are_found_by_their_parents():
    child = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & echo; wait"], stdout=-1)
    try:
        child.stdout.readline()
        below = procs.descendants(child.pid)
        assert len(below) == 2
        assert sorted(below) == sorted(procs.descendants_by_scan(child.pid))
        assert child.pid in procs.descendants(os.getpid())
        assert procs.kill_descendants(child.pid) == 2
        assert child.wait(timeout=10) == 0
        assert procs.descendants(child.pid) == []
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_process_that_is_gone_cannot_be_signalled():
    child = subprocess.Popen(["true"])
    child.wait()
    assert not procs.send(child.pid, signal.SIGTERM)
    assert not procs.send_group(child.pid, signal.SIGTERM)
    assert procs.stat_fields(child.pid) == []


def a_connection(transport, ip, ports):
    names = (f"{channel}_port" for channel in launch.CHANNELS)
    return {"transport": transport, "ip": ip, **dict(zip(names, ports, strict=True))}


def test_tcp_is_bound_when_all_five_ports_are_ours():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [one.getsockname()[1] for one in sockets]
    connection = a_connection("tcp", "127.0.0.1", ports)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        assert bound.is_bound(connection, os.getpid())
        assert not bound.is_bound(connection, stranger.pid)
        assert all(bound._accepts(connection, channel) for channel in launch.CHANNELS)
        sockets.pop().close()
        assert not bound.is_bound(connection, os.getpid())
        assert not bound._accepts(connection, "control")
    finally:
        stranger.kill()
        stranger.wait()
        for one in sockets:
            one.close()


def test_ipc_is_bound_when_all_five_sockets_listen(tmp_path):
    connection = a_connection("ipc", str(tmp_path / "k"), [1, 2, 3, 4, 5])
    sockets = []
    try:
        for path in launch.socket_files(connection):
            assert not bound.is_bound(connection, os.getpid())
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(path)
            assert not bound.is_bound(connection, os.getpid())
            sockets[-1].listen()
        assert bound.is_bound(connection, os.getpid())
        assert bound._accepts(connection, "hb")
    finally:
        for one in sockets:
            one.close()


def put(folder, name, content):
    there = folder / "kernels" / name
    there.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (there / "kernel.json").write_text(text)
    return there


SPEC = {"argv": ["prog", "-f", "{connection_file}"], "display_name": "P", "language": "p"}


def test_kernelspecs_are_found_in_jupyters_places(tmp_path):
    home, path = tmp_path / "home", tmp_path / "path"
    put(home / ".local/share/jupyter", "mine", SPEC)
    put(home / ".local/share/jupyter", "both", {**SPEC, "language": "home"})
    put(path, "both", {**SPEC, "language": "path"})
    put(path, "broken", "{")
    put(path, "list", [])
    put(path, "empty", {"argv": []})
    put(path, "none", {"argv": None})
    environ = {"HOME": str(home), "JUPYTER_PATH": str(path)}
    found = kernelspecs.find_all(environ)
    assert {"mine", "both"} <= set(found)
    assert not {"broken", "list", "empty", "none"} & set(found)
    assert kernelspecs.find("Both", environ).language == "path"
    assert found["mine"].describe()["argv"] == SPEC["argv"]


@pytest.mark.parametrize("name", ["absent", "../mine", "a/b", "", "x" * 500, "\0"])
def test_a_kernel_that_is_not_there_is_refused_in_words(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    put(tmp_path / ".local/share/jupyter", "mine", SPEC)
    with pytest.raises(kernelspecs.NoKernel, match="it has: mine"):
        kernelspecs.find(name, {"HOME": str(tmp_path)})


def test_an_image_without_any_kernel_is_told_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(kernelspecs, "_folders", lambda _environ: [])
    with pytest.raises(kernelspecs.NoKernel, match="the package ipykernel"):
        kernelspecs.find("python3", {"HOME": str(tmp_path)})


def test_python_without_a_kernelspec_is_started_by_its_module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    spec = kernelspecs.find("python3", {"HOME": str(tmp_path)})
    assert spec.command("F") == [sys.executable, "-m", "ipykernel_launcher", "-f", "F"]
    assert spec.can_encrypt(str(tmp_path))
    assert kernelspecs.find_all({"HOME": str(tmp_path)})["python3"].language == "python"


def test_what_is_told_of_kernelspecs_is_bounded(tmp_path):
    huge = {
        "argv": ["x" * 10**5],
        "display_name": "y" * 10**4,
        "language": "z" * 10**4,
        "metadata": {"m": "w" * 10**5},
    }
    for number in range(80):
        put(tmp_path, f"k{number}", huge)
    found = kernelspecs.find_all({"HOME": "/nowhere", "JUPYTER_PATH": str(tmp_path)})
    assert len(found) == 50
    spec = kernelspecs.find("k1", {"JUPYTER_PATH": str(tmp_path)})
    described = spec.describe()
    assert described["metadata"] == {}
    assert len(described["display_name"]) == 200


def test_placeholders_and_bare_pythons_of_a_kernelspec(tmp_path):
    prefix = tmp_path / "other"
    there = put(
        prefix / "share/jupyter",
        "p",
        {"argv": ["python", "{resource_dir}/x", "{prefix}", "{connection_file}"]},
    )
    environ = {"JUPYTER_PATH": str(prefix / "share/jupyter")}
    command = kernelspecs.find("p", environ).command("F")
    assert command == [sys.executable, f"{there}/x", sys.prefix, "F"]
    (prefix / "bin").mkdir()
    (prefix / "bin/python").write_text("")
    (prefix / "bin/python").chmod(0o755)
    assert kernelspecs.find("p", environ).command("F")[0] == str(prefix / "bin/python")


@pytest.mark.parametrize(
    ("offered", "able"),
    [
        (["curve"], True),
        ("CURVE ", True),
        (["null"], False),
        (None, False),
        ({}, False),
        (3, False),
    ],
)
def test_encryption_is_on_where_the_kernelspec_says_so(tmp_path, offered, able):
    put(tmp_path, "p", {**SPEC, "metadata": {"supported_encryption": offered}})
    spec = kernelspecs.find("p", {"JUPYTER_PATH": str(tmp_path)})
    assert spec.can_encrypt("/") is able


@pytest.mark.parametrize(("version", "able"), [("7.3.0", True), ("7.2.9", False), ("10.0", True)])
def test_an_older_kernelspec_of_a_newer_ipykernel_can_encrypt(tmp_path, monkeypatch, version, able):
    (tmp_path / "ipykernel").mkdir()
    (tmp_path / "ipykernel/_version.py").write_text(f'__version__ = "{version}"\n')
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    put(tmp_path, "p", {"argv": ["python", "-m", "ipykernel_launcher"]})
    spec = kernelspecs.find("p", {"JUPYTER_PATH": str(tmp_path)})
    assert spec.can_encrypt("/") is able


def test_the_environment_is_merged_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "5")
    monkeypatch.setenv("FROM", "image")
    put(tmp_path, "p", {**SPEC, "env": {"SPEC": "${FROM}-$FROM-${NONE}", "LAST": "spec"}})
    spec = kernelspecs.find("p", {"JUPYTER_PATH": str(tmp_path)})
    orders = {"home": "/h", "environ": {"FROM": "session", "HOME": "/other", "LAST": "session"}}
    merged = launch.make_environ(orders, {"environ": {"FROM": "kernel"}}, spec)
    assert merged["SPEC"] == "kernel-$FROM-${NONE}"
    assert (merged["HOME"], merged["LAST"]) == ("/h", "spec")
    assert merged["JPY_PARENT_PID"] == str(os.getpid())


def test_numbers_of_requests_are_checked():
    assert verbs.number({"a": 3}, "a", None, 10) == 3
    assert verbs.number({}, "a", 4, 10) == 4
    assert verbs.number({"a": 10**9}, "a", None, 10) == 10
    for value in (-1, "1", None, True, float("nan"), [1]):
        with pytest.raises(Invalid):
            verbs.number({"a": value}, "a", None, 10)


V2 = "29 22 0:26 / {} rw - cgroup2 cgroup2 rw\n"
V1 = (
    "30 29 0:27 /docker/abc {0}/memory rw - cgroup cgroup rw,memory\n"
    "32 29 0:29 /docker/abc {0}/pids rw - cgroup cgroup rw,pids\n"
    "31 29 0:28 /docker/abc {0}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


@pytest.fixture
def fake_cgroup(tmp_path, monkeypatch):
    """Show the agent a control group whose files lie in a folder."""

    def make(mounts, own, files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        proc = {"/proc/self/cgroup": own, "/proc/self/mountinfo": mounts.format(tmp_path)}
        real = procs.read_text
        monkeypatch.setattr(cgroup, "read_text", lambda path: proc.get(path) or real(path))
        return cgroup.Cgroup()

    return make


def test_cgroup_version_2(fake_cgroup):
    group = fake_cgroup(
        V2,
        "0::/user/one\n",
        {
            "user/one/memory.events": "low 0\noom 3\noom_kill 2\n",
            "user/one/memory.max": "max\n",
            "user/one/memory.current": "1000\n",
            "user/one/memory.peak": "5000\n",
            "user/one/memory.stat": "anon 1\ninactive_file 400\n",
            "user/one/cpu.stat": "usage_usec 7000\n",
            "user/one/pids.current": "1\n",
            "user/one/io.stat": "8:0 rbytes=5 wbytes=6 rios=1\n8:1 rbytes=1 wbytes=1\n",
        },
    )
    assert group.oom_kills() == 2
    assert group.memory_limit() is None
    assert group.is_private()
    measured = usage.Meter(group, owns_pids=True).read()
    assert measured["cpu_ms"] == 7
    assert (measured["mem_bytes"], measured["mem_max_bytes"], measured["pids"]) == (600, 5000, 1)
    assert (measured["io_read_bytes"], measured["io_write_bytes"]) == (6, 7)


def test_cgroup_version_1_inside_a_container(fake_cgroup):
    group = fake_cgroup(
        V1,
        "5:pids:/docker/abc\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
        {
            "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            "memory/memory.limit_in_bytes": "536870912\n",
            "memory/memory.usage_in_bytes": "1000\n",
            "memory/memory.max_usage_in_bytes": "2000\n",
            "memory/memory.stat": "total_inactive_file 100\n",
            "pids/pids.current": "99999999\n",
            "cpu,cpuacct/cpuacct.usage": "9000000\n",
        },
    )
    assert group.oom_kills() == 1
    assert group.memory_limit() == 512 << 20
    assert not group.is_private(), "some threads cannot be seen from here"
    assert group.table("cpu", "absent") == {}


def test_a_group_that_is_shared_is_not_measured(fake_cgroup):
    files = {"pids.current": "99999999\n", "memory.current": "1\n"}
    group = fake_cgroup(V2, "0::/\n", files)
    measured = usage.Meter(group, owns_pids=True).read()
    assert measured["net_rx_bytes"] == 0
    assert measured["mem_bytes"] != 1


def test_without_any_control_group_nothing_is_claimed(fake_cgroup):
    group = fake_cgroup("nothing\n", "\n", {})
    assert (group.oom_kills(), group.memory_limit(), group.is_private()) == (0, None, False)
