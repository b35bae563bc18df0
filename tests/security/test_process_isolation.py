"""What code in a session that is a local process can and cannot reach (THREATS, trust line)."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from jupyter_core.paths import jupyter_runtime_dir

from jupyter_sessmgr.engines import bubblewrap
from jupyter_sessmgr.model.errors import EngineError
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.resources import Resources
from tests.plugins.processes import (
    IDLE,
    a_place,
    a_spec,
    an_engine,
    begin,
    nothing_left,
    tell,
)

#: A user that no system has.
NOBODY = 54321

READ = """
def act(orders):
    said = {{}}
    for path in {paths!r}:
        try:
            said[path] = sorted(os.listdir(path)) if os.path.isdir(path) else open(path).read()
        except OSError as error:
            said[path] = type(error).__name__
    return said
"""


def notebook(source, target=None, **changes):
    return Mount(**{"name": "notebook", "source": str(source), "target": str(target or source),
                    "read_only": False, **changes})  # fmt: skip


async def read_inside(engine, folder, spec, *paths):
    place = a_place(engine)
    return await tell(engine, folder, place, spec, READ.format(paths=[str(one) for one in paths]))


async def test_the_servers_secrets_are_out_of_reach(state_dir):
    master = state_dir / "master-secret"
    master.write_text("master")
    runtime = Path(jupyter_runtime_dir())
    runtime.mkdir(parents=True, exist_ok=True)
    connection = runtime / "jpserver-1.json"
    connection.write_text("token")
    async with an_engine(state_dir) as engine:
        assert engine.capabilities.isolation
        other = a_place(engine)
        await begin(engine, state_dir, other, a_spec(), act=IDLE)
        others = state_dir / "places" / other.id
        paths = (master, runtime, connection, others / "place.json", others / "home", others,
                 state_dir / "places", "/etc/shadow", Path.home() / ".ssh",
                 "/var/run/docker.sock", "/run/docker.sock")  # fmt: skip
        said = await read_inside(engine, state_dir, a_spec(), *paths)
        assert said.pop("/etc/shadow") in ("", "PermissionError")
        (own,) = said.pop(str(state_dir / "places"))
        assert own != other.id
        assert set(said.values()) == {"FileNotFoundError"}


async def test_a_place_cannot_change_what_is_written_down_of_it(state_dir):
    async with an_engine(state_dir) as engine:
        place, spec = a_place(engine), a_spec()
        path = state_dir / "places" / place.id
        said = await tell(engine, state_dir, place, spec, READ.format(paths=[str(path)]))
        assert set(said[str(path)]) <= {"home", "run", "journal"}


async def test_secrets_in_a_mounted_folder_are_covered(state_dir):
    (state_dir / "master-secret").write_text("master")
    folder = state_dir.parent
    (folder / "data.csv").write_text("1,2")
    async with an_engine(state_dir) as engine:
        spec = a_spec(mounts=(notebook(folder, "/work"),))
        said = await read_inside(engine, state_dir, spec, "/work/data.csv", "/work/state")
        assert said == {"/work/data.csv": "1,2", "/work/state": []}


async def test_an_environment_in_a_home_shows_without_the_home(state_dir, tmp_path, monkeypatch):
    home = tmp_path / "home"
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "venv", "--without-pip", home / "venv"],
        check=True,
    )
    (home / "diary").write_text("dear diary")
    (home / "venv/etc/jupyter").mkdir(parents=True)
    (home / "venv/etc/jupyter/jupyter_server_config.py").write_text("c.token = 'token'")
    monkeypatch.setenv("HOME", str(home))
    environments = {REFERENCE_IMAGE: str(home / "venv/bin/python")}
    async with an_engine(state_dir, environments=environments) as engine:
        paths = (home, home / "diary", home / "venv/etc/jupyter")
        said = await read_inside(engine, state_dir, a_spec(), *paths)
        assert said == {
            str(home): ["venv"],
            str(home / "diary"): "FileNotFoundError",
            str(home / "venv/etc/jupyter"): [],
        }


async def test_other_processes_are_not_seen_and_not_signalled(state_dir):
    act = """
def act(orders):
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    said = {"pids": pids, "me": os.getpid()}
    for pid in range(2, 400):
        try:
            os.kill(pid, 0)
            said["killed"] = pid
        except ProcessLookupError:
            pass
    return said
"""
    async with an_engine(state_dir) as engine:
        said = await tell(engine, state_dir, a_place(engine), a_spec(), act)
        assert said == {"pids": [1], "me": 1}


async def test_it_has_no_rights_over_the_machine(state_dir):
    act = """
def act(orders):
    said = {}
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(("Cap", "NoNewPrivs")):
                name, value = line.split(":")
                said[name] = int(value, 16)
    paths = ["/dev/sda", "/dev/mem", "/dev/kmsg", "/proc/kcore"]
    for folder, names, files in os.walk("/proc"):
        if folder == "/proc":
            names[:] = [name for name in names if not name.isdigit()]
        paths += [os.path.join(folder, name) for name in files]
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # and write nothing
            said[path] = "writable"
        except OSError:
            pass
    for path in ("/usr/x", "/etc/x", "/x", sys.prefix + "/x", "/proc/1/root/x"):
        try:
            open(path, "w").close()
            said[path] = "written"
        except OSError:
            pass
    return said
"""
    async with an_engine(state_dir) as engine:
        said = await tell(engine, state_dir, a_place(engine), a_spec(), act)
        caps = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
        assert said == {**caps, "NoNewPrivs": 1}


async def test_tmp_ipc_and_shared_memory_are_its_own(state_dir, tmp_path):
    segment = Path(f"/dev/shm/sessmgr-test-{os.getpid()}")
    segment.write_text("theirs")
    planted = Path(f"/tmp/sessmgr-test-{os.getpid()}")
    planted.write_text("theirs")
    try:
        async with an_engine(state_dir) as engine:
            spec = a_spec(resources=Resources(shmem=8 * 2**20))
            act = f"""
def act(orders):
    said = [os.path.exists(path) for path in ({str(segment)!r}, {str(planted)!r})]
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        open(folder + "/mine", "w").close()
    size = os.statvfs("/dev/shm")
    return said + [size.f_blocks * size.f_frsize]
"""
            place = a_place(engine)
            assert await tell(engine, state_dir, place, spec, act) == [False, False, 8 * 2**20]
            assert not Path("/tmp/mine").exists()
            assert not Path("/dev/shm/mine").exists()
            await engine.stop(place, 0.0)
            nothing_left(state_dir, place.id)
    finally:
        segment.unlink()
        planted.unlink()


NETWORK = """
def act(orders):
    said = {{"interfaces": sorted(name for _, name in socket.if_nameindex())}}
    for family, address in ((socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_UNIX, {abstract!r})):
        with socket.socket(family) as asking:
            asking.settimeout(3)
            try:
                asking.connect(address)
                said[str(address)] = "reached"
            except OSError as error:
                said[str(address)] = type(error).__name__
    return said
"""


@pytest.mark.parametrize(("network", "reached"), [("isolated", False), ("egress", True)])
async def test_an_isolated_session_has_no_network_at_all(state_dir, network, reached):
    abstract = f"\0sessmgr-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(abstract)
        local.listen()
        port = server.getsockname()[1]
        async with an_engine(state_dir) as engine:
            assert engine.capabilities.networks == {"egress", "isolated"}
            act = NETWORK.format(port=port, abstract=abstract)
            said = await tell(engine, state_dir, a_place(engine), a_spec(network=network), act)
        interfaces = said.pop("interfaces")
        assert (interfaces == ["lo"]) == (not reached)
        assert set(said.values()) == ({"reached"} if reached else {"ConnectionRefusedError"})


async def test_mounts_have_the_rights_they_were_given(state_dir, tmp_path):
    folders = {name: tmp_path / name for name in ("home", "notebook", "data")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "file").write_text("here")
    mounts = (
        Mount(name="home", source=str(folders["home"]), target="/home/me", read_only=False),
        notebook(folders["notebook"]),
        Mount(name="data", source=str(folders["data"]), target="/mnt/data"),
    )
    act = f"""
def act(orders):
    said = []
    for folder in ("/home/me", {str(folders["notebook"])!r}, "/mnt/data"):
        try:
            open(folder + "/new", "w").close()
            said.append(open(folder + "/file").read() + " writable")
        except OSError as error:
            said.append(open(folder + "/file").read() + " " + error.strerror)
    return said
"""
    async with an_engine(state_dir) as engine:
        place, spec = a_place(engine), a_spec(mounts=mounts, workdir=str(folders["notebook"]))
        assert engine.layout(place, spec).home == "/home/me"
        assert engine.layout(place, spec).workdir == str(folders["notebook"])
        said = await tell(engine, state_dir, place, spec, act)
        assert said == ["here writable", "here writable", "here Read-only file system"]
        await engine.stop(place, 0.0)
    assert sorted(path.name for path in tmp_path.rglob("new")) == ["new", "new"]


async def test_what_pip_installs_goes_to_the_home_and_is_found_there(state_dir, tmp_path):
    wheel = tmp_path / "canary_package-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("canary_package.py", "song = 'tweet'")
        file.writestr("canary_package-1.dist-info/METADATA",
                      "Metadata-Version: 2.1\nName: canary-package\nVersion: 1\n")  # fmt: skip
        file.writestr("canary_package-1.dist-info/WHEEL",
                      "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        file.writestr("canary_package-1.dist-info/RECORD", "")
    home = tmp_path / "home"
    home.mkdir()
    mounts = (
        Mount(name="home", source=str(home), target=str(home), read_only=False),
        notebook(tmp_path, read_only=True),
    )
    act = f"""
import subprocess
def act(orders):
    say = subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", "--quiet",
                          {str(wheel)!r}], capture_output=True, text=True)
    ask = subprocess.run([sys.executable, "-c", "import canary_package as c; print(c.song)"],
                         capture_output=True, text=True)
    return [say.returncode, say.stderr, ask.stdout + ask.stderr]
"""
    async with an_engine(state_dir) as engine:
        for program in (IDLE, act):
            place, spec = a_place(engine), a_spec(mounts=mounts)
            if program is IDLE:
                await begin(engine, state_dir, place, spec, act=IDLE)
            else:
                code, trouble, song = await tell(engine, state_dir, place, spec, act)
            await engine.stop(place, 0.0)
    assert (code, song) == (0, "tweet\n"), trouble
    assert [path.name for path in home.rglob("canary_package.py")]


async def test_without_a_sandbox_the_engine_says_so(state_dir):
    async with an_engine(state_dir, "none") as engine:
        assert not engine.capabilities.isolation
        assert engine.capabilities.networks == {"egress"}
        assert not engine.capabilities.hard_memory
        assert "not isolated" in " ".join(engine.notes())
        assert "switched off" in " ".join(engine.notes())
        place = a_place(engine)
        with pytest.raises(EngineError, match="without network"):
            await begin(engine, state_dir, place, a_spec(network="isolated"))
        data = Mount(name="data", source=str(state_dir), target="/mnt/data")
        with pytest.raises(EngineError, match="'data' cannot appear as /mnt/data"):
            await begin(engine, state_dir, place, a_spec(mounts=(data,)))
        nothing_left(state_dir, place.id)


async def test_where_no_sandbox_is_installed_the_remedy_is_told(state_dir, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    async with an_engine(state_dir) as engine:
        assert not engine.capabilities.isolation
        assert "install bubblewrap" in " ".join(engine.notes())
        await begin(engine, state_dir, a_place(engine), a_spec(), act=IDLE)


async def test_a_sandbox_that_does_not_work_is_told_with_its_words(
    state_dir, tmp_path, monkeypatch
):
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    async with an_engine(state_dir) as engine:
        assert not engine.capabilities.isolation
        assert "No permissions to create new namespace" in " ".join(engine.notes())


async def test_a_mount_that_moves_meanwhile_does_not_fail_a_start(state_dir, tmp_path, monkeypatch):
    program, tried = tmp_path / "bwrap", tmp_path / "tried"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *sessmgr_agent*) if ! [ -e {tried} ]; then\n'
        f'touch {tried}; echo "bwrap: Can\'t bind mount /oldroot/x on /newroot/x" >&2; exit 1; fi;;\n'
        f'esac\nexec {shutil.which("bwrap")} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    async with an_engine(state_dir) as engine:
        await begin(engine, state_dir, a_place(engine), a_spec(), act=IDLE)
    assert tried.exists()


def test_folders_where_something_keeps_its_data_are_not_shown(tmp_path, monkeypatch):
    for name, mode in {"program": 0o755, "data": 0o755, "private": 0o710}.items():
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("program")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"26 1 0:1 / {tmp_path}/data/inner rw - overlay overlay rw\n")
    monkeypatch.setattr(bubblewrap, "_OTHERS", tmp_path)
    monkeypatch.setattr(bubblewrap, "_MOUNTS", mounts)
    shown = [path for path in bubblewrap.system_folders() if path.startswith(str(tmp_path))]
    assert shown == [str(tmp_path / "program")]


async def test_required_isolation_refuses_to_start_without(state_dir, monkeypatch):
    async with an_engine(state_dir, "required") as engine:
        await begin(engine, state_dir, a_place(engine), a_spec(), act=IDLE)
    monkeypatch.setenv("PATH", "/nowhere")
    async with an_engine(state_dir, "required") as engine:
        place = a_place(engine)
        with pytest.raises(EngineError, match="are to be isolated"):
            await begin(engine, state_dir, place, a_spec())
        nothing_left(state_dir, place.id)


async def test_a_place_keeps_its_kind_when_the_configuration_changes(state_dir):
    async with an_engine(state_dir) as engine:
        place, spec = a_place(engine), a_spec()
        await begin(engine, state_dir, place, spec, act=IDLE)
        before = engine.layout(place, spec)
        async with an_engine(state_dir, "none") as changed:
            assert changed.layout(place, spec) == before
            assert not changed.layout(a_place(changed), spec).owns_pids
            await changed.stop(place, 0.0)
        nothing_left(state_dir, place.id)


AS_ANOTHER = """
import asyncio, pathlib, sys
from tests.security import test_process_isolation as tests

def fresh(name):
    folder = pathlib.Path(sys.argv[1], name, "state")
    folder.mkdir(mode=0o700, parents=True)
    return folder

for test in (
    tests.test_the_servers_secrets_are_out_of_reach,
    tests.test_other_processes_are_not_seen_and_not_signalled,
    tests.test_it_has_no_rights_over_the_machine,
):
    asyncio.run(test(fresh(test.__name__)))
test = tests.test_an_isolated_session_has_no_network_at_all
asyncio.run(test(fresh("isolated"), "isolated", False))
asyncio.run(test(fresh("egress"), "egress", True))
print("as", __import__("os").geteuid())
"""


async def test_an_unprivileged_user_gets_the_same_sandbox():
    """Run the main tests of this file as another user, when the suite runs as root."""
    if os.geteuid() != 0:
        pytest.skip("the suite itself is unprivileged")
    home = tempfile.mkdtemp(prefix="sessmgr-test-", dir="/tmp")
    try:
        os.chown(home, NOBODY, NOBODY)
        packages = [entry for entry in sys.path if "site-packages" in entry]
        # The checkout and its environment may lie where only root may look.
        shown = {
            source: str(Path(home) / f"shown-{number}")
            for number, source in enumerate([str(Path(__file__).parents[2]), *packages])
        }
        for target in shown.values():
            Path(target).mkdir()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(shown.values()),
        }
        mounts = [f"mount --rbind {shlex.quote(one)} {two}" for one, two in shown.items()]
        command = [
            *("unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"),
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
            *(python_for_others(), "-c", AS_ANOTHER, home),
        ]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, env=environ
        )
        assert (done.returncode, done.stdout) == (0, f"as {NOBODY}\n"), done.stderr
    finally:
        await asyncio.to_thread(shutil.rmtree, home)


def python_for_others():
    """Find a Python of this version that every user may run."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        # Through another program, since setpriv still has root's rights when it starts one.
        command = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "env", python, "-c", ""]
        if Path(python).exists() and subprocess.run(command, check=False).returncode == 0:
            return python
    return pytest.skip(f"no {name} here that another user may run")
