"""The command line as a person runs it: programs, a real server, real sessions and kernels."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ptyprocess
import pytest

from tests.plugins.server import ROOT

#: Seconds for one command, on a busy machine.
PATIENCE = 90
#: Kernels of other people's environments are not looked at.
KEPT = ("PATH", "LANG", "TMPDIR")


class Terminal:
    """Runs commands with one person's folders."""

    def __init__(self, environ, *options):
        self.environ = environ
        self.options = options

    def start(self, *words, **kwargs):
        return subprocess.Popen(
            [sys.executable, "-m", "jupyter_sessmgr.cli", *words, *self.options],
            env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", **{"stdin": subprocess.DEVNULL, **kwargs},
        )  # fmt: skip

    def run(self, *words, code=0, **kwargs):
        """Run a command; fails when it ends with another code, or shows a traceback."""
        text = kwargs.pop("text", None)
        given = {"stdin": subprocess.PIPE} if text is not None else {}
        with self.start(*words, **given, **kwargs) as process:
            try:
                out, err = process.communicate(text, timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == code, f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err + out
        return out, err

    def json(self, *words, code=0):
        return json.loads(self.run(*words, "--json", code=code)[0])

    def names(self):
        return [row["name"] for row in self.json("list")]


def environ_of(folder, **extra):
    for name in ("config", "data", "run", "home"):
        (folder / name).mkdir(parents=True, mode=0o700, exist_ok=True)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "JUPYTER_PLATFORM_DIRS": "1",
        **extra,
    }


def end_all(terminal):
    terminal.run("stop", "--all", "--yes", "--forced")


@pytest.fixture
def beside_nobody(tmp_path):
    """A terminal where no server runs: commands open the state folder."""
    config = {"ComputeSessionManager": {"engine": "process", "state_dir": str(tmp_path / "state")}}
    environ = environ_of(tmp_path)
    path = tmp_path / "config" / "jupyter_sessmgr_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    terminal = Terminal(environ)
    yield terminal
    end_all(terminal)


@pytest.fixture
def beside_a_server(servers):
    """A terminal of the person whose server runs."""
    server = servers.start()
    terminal = Terminal(environ_of(server.folder))
    terminal.server = server
    return terminal


@pytest.fixture(params=["beside_nobody", "beside_a_server"])
def terminal(request):
    """Both ways of finding who answers; the same must hold."""
    return request.getfixturevalue(request.param)


def test_a_session_from_its_creation_to_its_end(terminal):
    out, err = terminal.run(
        "create", "--name", "my-session", "--mem", "1g", "--env", "GREETING=hello"
    )
    assert out == "my-session\n"
    assert "my-session is RUNNING" in err
    (row,) = terminal.json("list")
    assert (row["name"], row["status"], row["resources"]["mem"]) == ("my-session", "RUNNING", 2**30)
    assert row["resources"].keys() == {"mem", "shmem"}
    assert row["image"] == "jupyter-sessmgr/python:latest"
    assert row["durable"] is True
    assert 0 < row["age"] < PATIENCE

    again = terminal.json("create", "--name", "my-session")
    assert (again["id"], again["created"]) == (row["id"], False)

    # By name, number and UUID; also what is not there.
    for reference in ("my-session", str(row["number"]), row["id"]):
        assert terminal.json("logs", reference)["id"] == row["id"]
    assert "There is no session" in terminal.run("logs", "my-sessio", code=3)[1]

    code = "import os; print(os.environ['GREETING'], 6 * 7)\n"
    out, _err = terminal.run("attach", "my-session", text=code)
    assert "hello 42" in out
    connection = terminal.json("attach", "my-session")["connection"]
    assert {"key", "curve_secretkey"}.isdisjoint(connection)
    runtime = Path(terminal.environ["JUPYTER_RUNTIME_DIR"])
    assert list(runtime.glob("sessmgr-attach-*")) == []

    assert terminal.run("stop", "my-session")[0] == "my-session\n"
    assert terminal.names() == []
    (ended,) = terminal.json("list", "--all")
    assert (ended["id"], ended["status"]) == (row["id"], "TERMINATED")
    assert "There is no session" in terminal.run("stop", "my-session", code=3)[1]


def test_variables_survive_between_two_attachments(terminal):
    terminal.run("create", "--name", "kept")
    terminal.run("attach", "kept", text="x = 41\n")
    assert "42" in terminal.run("attach", "kept", text="x + 1\n")[0]


REFUSED = [
    (("--image", "no/such:image"), 2, "no/such:image"),
    (("--preset", "nonsense"), 2, "nonsense"),
    (("--name", "a b"), 2, "cannot name a session"),
    (("--mem", "4 giga"), 2, "is not a size"),
    (("--mem", "9000t"), 1, "mem: 9000 TiB is too much"),
    (("--mount", "/etc"), 2, "there is no '/etc'"),
    (("--env", "JUPYTER_TOKEN=x"), 2, "is set by the server"),
]


def test_what_cannot_be_is_refused_with_words_and_leaves_nothing(terminal):
    for words, code, says in REFUSED:
        out, err = terminal.run("create", *words, code=code)
        assert out == ""
        assert says in err
        assert len(err.strip().splitlines()) == 1
    assert terminal.json("list", "--all") == []


def test_stop_several(terminal):
    for name in ("one-of-them", "two-of-them"):
        terminal.run("create", "--name", name)
    assert sorted(terminal.names()) == ["one-of-them", "two-of-them"]
    terminal.run("stop", "--all", code=1)
    assert len(terminal.names()) == 2, "nobody said yes"
    assert terminal.json("stop", "--all", "--yes", "--forced")["failed"] == {}
    assert terminal.names() == []


def test_sessions_outlive_whoever_made_them(beside_nobody):
    """Each command is a manager of its own; the session is the same, and so is its kernel."""
    (made,) = [beside_nobody.json("create", "--name", "lasting")]
    beside_nobody.run("attach", "lasting", text="x = 41\n")
    (row,) = beside_nobody.json("list")
    assert (row["id"], row["status"]) == (made["id"], "RUNNING")
    assert "42" in beside_nobody.run("attach", "lasting", text="x + 1\n")[0]


def test_nobody_would_go_on(beside_nobody):
    assert "No server runs" in beside_nobody.run("create", "--no-wait", code=2)[1]
    assert "none runs" in beside_nobody.run("create", "--no-durable", code=2)[1]
    assert beside_nobody.json("list", "--all") == []


def test_create_and_go_away(beside_a_server):
    row = beside_a_server.json("create", "--no-wait", "--name", "later")
    assert row["created"] is True
    info = beside_a_server.server.until("later", "RUNNING")
    assert info["sessionId"] == row["id"]


def test_logs_are_followed_to_the_end(beside_a_server):
    terminal = beside_a_server
    terminal.run("create", "--name", "talking")
    says = "import os\nos.system('echo first-line')\n"
    terminal.run("attach", "talking", text=says)
    following = terminal.start("logs", "--follow", "talking")
    try:
        assert "first-line" in following.stdout.readline()
        terminal.run("attach", "talking", text="os.system('echo second-line')\n")
        assert "second-line" in following.stdout.readline()
        terminal.run("stop", "talking")
        _out, err = following.communicate(timeout=PATIENCE)
    finally:
        following.kill()
        following.wait()
    assert following.returncode == 0
    assert "talking is TERMINATED" in err


def test_ctrl_c_while_following_ends_quietly(beside_a_server):
    beside_a_server.run("create", "--name", "talking")
    beside_a_server.run("attach", "talking", text="import os; os.system('echo hello')\n")
    following = beside_a_server.start("logs", "-f", "talking")
    assert "hello" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=PATIENCE)
    assert following.returncode == 130
    assert out + err == ""


def test_a_terminal_without_the_token_is_told_what_to_do(servers):
    server = servers.start()
    stranger = Terminal(environ_of(server.folder.parent / "stranger"), "--server", server.url)
    _out, err = stranger.run("list", code=1)
    assert "JUPYTER_TOKEN" in err
    stranger.environ["JUPYTER_TOKEN"] = server.token
    assert stranger.json("list") == []
    del stranger.environ["JUPYTER_TOKEN"]
    stranger.options = ("--server", f"{server.url}lab/tree/x.ipynb?reset&token={server.token}")
    assert stranger.json("list") == []


def test_the_environments_token_goes_before_that_of_the_info_file(beside_a_server):
    terminal, server = beside_a_server, beside_a_server.server
    (info,) = (server.folder / "run").glob("jpserver-*.json")
    info.write_text(json.dumps({**json.loads(info.read_text()), "token": "nobody's"}))
    _out, err = terminal.run("list", code=1)
    assert "JUPYTER_TOKEN" in err
    terminal.environ["JUPYTER_TOKEN"] = server.token
    assert terminal.json("list") == []
    out, _err = terminal.run("check", "--no-smoke")
    assert f"✓ server: {server.url} runs sessions on process" in out


def test_a_server_that_is_not_there(beside_nobody):
    _out, err = beside_nobody.run("list", "--server", "http://127.0.0.1:9/", code=4)
    assert "No Jupyter server" in err
    assert "not a URL" in beside_nobody.run("list", "--server", "nonsense", code=2)[1]


def test_a_server_on_a_socket_file(servers):
    folder = servers._tmp_path
    sock = {"sock": str(folder / "lab.sock"), "port": 8888}  # the default, as jupyter_server wants
    server = servers.start(wait=False, config={"ServerApp": sock})
    info = server.folder / "run" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + PATIENCE
    while not (info.exists() and (folder / "lab.sock").exists()):
        assert server.alive, server.log()
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)
    terminal = Terminal(environ_of(server.folder))
    terminal.run("create", "--name", "by-socket")
    assert terminal.names() == ["by-socket"]
    terminal.run("stop", "by-socket")


def test_several_servers(servers):
    one = servers.start()
    two = servers.start()
    # One person's servers have their info files in one folder.
    shutil.copy(two.folder / "run" / f"jpserver-{two.pid}.json", one.folder / "run")
    terminal = Terminal(environ_of(one.folder))
    # The configuration names the first one's state folder, so it is meant.
    assert terminal.run("create", "--name", "of-the-first")[0] == "of-the-first\n"
    assert [session["sessionName"] for session in one.sessions()] == ["of-the-first"]
    (one.folder / "config" / "jupyter_server_config.json").unlink()
    _out, err = terminal.run("list", code=2)
    assert one.url in err
    assert two.url in err
    assert terminal.json("list", "--server", two.url) == []


def test_P9_a_folder_that_is_held_by_a_server_one_cannot_ask(servers):
    server = servers.start()
    environ = environ_of(server.folder, JUPYTER_RUNTIME_DIR=str(server.folder / "elsewhere"))
    _out, err = Terminal(environ).run("list", code=4)
    assert f"process {server.pid}" in err
    assert "--server URL" in err
    _out, err = Terminal(environ_of(server.folder)).run("list", "--no-server", code=4)
    assert f"process {server.pid}" in err


def test_servers_are_found_as_jupyter_finds_them(servers, monkeypatch):
    from jupyter_server.serverapp import list_running_servers

    from jupyter_sessmgr.cli.servers import running_servers

    server = servers.start()
    runtime = server.folder / "run"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
    (runtime / "jpserver-1x.json").write_text("{half")
    (runtime / "jpserver-2x.json").write_text('{"pid": 4194305, "url": "http://127.0.0.1:1/"}')
    (info,) = running_servers()
    assert [info] == list(list_running_servers())
    assert (info["pid"], info["url"]) == (server.pid, server.url)


def test_traits_are_for_the_state_folder_only(beside_a_server):
    _out, err = beside_a_server.run("list", "--AdmissionControl.max_cpu=1", code=2)
    assert "--no-server" in err


def test_the_session_of_a_terminal_is_in_jupyters_list_of_kernels(beside_a_server):
    row = beside_a_server.json("create", "--name", "listed")
    kernels = beside_a_server.server.ask("GET", "api/kernels").json()
    assert [kernel["id"] for kernel in kernels] == [row["id"]]
    beside_a_server.run("attach", "listed", text="x = 41\n")
    assert "42" in beside_a_server.server.execute(row["id"], "x + 1")


def test_kernelspecs_for_tools_without_a_server(beside_nobody, tmp_path):
    out, _err = beside_nobody.run("kernelspec", "install", "--prefix", str(tmp_path / "env"))
    folders = [Path(line) for line in out.splitlines()]
    assert folders[0] == tmp_path / "env/share/jupyter/kernels/sessmgr-python"
    spec = json.loads((folders[0] / "kernel.json").read_text())
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == "sessmgr-provisioner"
    listed = beside_nobody.json("kernelspec", "install", "--user")
    assert {one["name"] for one in listed} >= {"sessmgr-python"}
    assert all(one["folder"].startswith(str(tmp_path / "data")) for one in listed)
    forbidden = tmp_path / "file"
    forbidden.write_text("")
    _out, err = beside_nobody.run("kernelspec", "install", "--prefix", str(forbidden), code=1)
    assert "--user" in err


def test_check_tries_a_session_and_leaves_nothing(beside_nobody, tmp_path):
    report = beside_nobody.json("check")
    found = {one["topic"]: one for one in report["findings"]}
    assert report["level"] in {"ok", "warn"}
    assert "answered 42" in found["smoke start"]["text"]
    assert found["engine"]
    assert not (tmp_path / "state").exists(), "the real folder is not touched"
    assert processes_with(str(tmp_path)) == []


def test_check_beside_a_server_names_it(beside_a_server):
    out, _err = beside_a_server.run("check", "--no-smoke")
    server = beside_a_server.server
    assert f"✓ server: {server.url} runs sessions on process" in out
    assert f"held by process {server.pid}" in out


def test_check_fails_with_the_remedy(beside_nobody, tmp_path):
    options = (
        "--ComputeSessionManager.engine=docker",
        f"--DockerEngine.docker_host=unix://{tmp_path}/no.sock",
    )
    out, _err = beside_nobody.run("check", *options, code=1)
    assert f"{tmp_path}/no.sock is not there" in out


def processes_with(word):
    """List the processes whose command line has a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


def test_an_image_needs_an_engine_and_a_recipe(beside_nobody):
    """`make lab` goes on without containers when the exit code says that no engine answers."""
    beside_nobody.environ["DOCKER_HOST"] = "unix:///nobody/here.sock"
    assert "No Docker engine" in beside_nobody.run("image", "build", code=4)[1]
    assert "no image recipe" in beside_nobody.run("image", "build", "nonsense", code=2)[1]


@pytest.mark.docker
def test_the_same_with_containers(beside_nobody):
    engine = ("--ComputeSessionManager.engine=docker",)
    containers = Terminal(beside_nobody.environ, *engine)
    out, err = containers.run("create", "--name", "contained", "--mem", "512m")
    try:
        assert out == "contained\n", err
        (row,) = containers.json("list")
        assert row["resources"]["mem"] == 512 * 2**20
        code = "import socket; print('on', socket.gethostname())\n"
        out, _err = containers.run("attach", "contained", text=code)
        host = re.search(r"on ([0-9a-f]{12})\b", out)[1]
        assert docker("inspect", "--format", "{{.State.Running}}", host) == "true"
    finally:
        containers.run("stop", "--all", "--yes", "--forced")
    assert docker("ps", "--all", "--quiet", "--filter", f"id={host}") == ""


def docker(*words):
    done = subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def test_it_is_a_command_of_jupyter():
    program = Path(sys.executable).with_name("jupyter")
    done = subprocess.run(
        [program, "sessmgr", "--version"], check=False, capture_output=True, text=True, timeout=60
    )
    from jupyter_sessmgr import __version__

    assert done.stdout == f"{__version__}\n"


class Screen:
    """A real terminal in front of a command."""

    def __init__(self, terminal, *words):
        self.pty = ptyprocess.PtyProcessUnicode.spawn(
            [sys.executable, "-m", "jupyter_sessmgr.cli", *words],
            env={**terminal.environ, "TERM": "xterm"}, dimensions=(30, 100),
        )  # fmt: skip
        self.seen = ""

    def until(self, words):
        """Read on until the screen has shown these words."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.seen:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.pty.fd], [], [], max(left, 0))
            assert ready, f"no {words!r}: {self.seen[-1000:]!r}"
            # Colours come in the middle of words.
            self.seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen + self.pty.read(4096))
        self.seen = self.seen[self.seen.index(words) + len(words) :]

    def close(self):
        self.pty.close(force=True)


def test_a_person_at_the_console_interrupts_and_leaves(beside_nobody):
    """jupyter's own console can do neither with a kernel like this: it is encrypted, and not
    started by it."""
    beside_nobody.run("create", "--name", "console")
    screen = Screen(beside_nobody, "attach", "console")
    try:
        screen.until("In [1]")
        screen.pty.write("import time; a = 7; print('sleeping' + '...'); time.sleep(600)\r")
        screen.until("sleeping...")
        screen.pty.sendintr()
        screen.until("KeyboardInterrupt")
        screen.until("In [2]")
        screen.pty.sendeof()
        screen.until("exit")
        screen.pty.write("y\r")
        screen.until("keeping kernel alive")
        assert screen.pty.wait() == 0
    finally:
        screen.close()
    assert "42" in beside_nobody.run("attach", "console", text="a * 6\n")[0]


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], {"docker", "tornado", "jupyter_server", "zmq", "cryptography"}),
        (["list"], {"docker", "jupyter_server", "jupyter_events", "jsonschema"}),
    ],
)
def test_answers_are_quick_to_come(words, heavy, server):
    """Imports are most of a short command's time."""
    code = (
        "import sys; from jupyter_sessmgr.cli.main import main\n"
        f"try: print('code', main({words!r}))\n"
        "except SystemExit as end: print('code', end.code)\n"
        f"bad = {heavy!r} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ_of(server.folder), check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "code 0" in done.stdout, done.stderr
