"""A real JupyterHub with its proxy, and people who have servers there.

As root, each person is a user of the machine, by whom LocalProcessSpawner runs their server: in a
mount namespace, where those users are known, so nothing of the machine is changed; and in a PID
namespace, so all ends with the test. Else SimpleLocalProcessSpawner runs all as one user: the
hub and its logins are real then, but nothing keeps one person's processes from another's files.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.plugins.managers import NO_SPARES
from tests.plugins.server import GRACE, OTHERS, ROOT, Client

EXAMPLE = ROOT / "examples" / "jupyterhub" / "jupyterhub_config.py"
#: As scripts/test-needs.sh installs it.
PROXY = ROOT / ".cache/configurable-http-proxy/node_modules/.bin/configurable-http-proxy"
PEOPLE = ("ann", "ben")
#: Their numbers as users of the machine, from here on; other runs of tests have others, since the
#: folder for temporary files is everybody's.
FIRST_UID = 60_000 + len(PEOPLE) * (os.getpid() % 2000)
#: Seconds for the hub, or somebody's server, to answer on a busy machine.
START = 60

#: What the tests set besides the example: where things are, and how one logs in.
_CONFIG = """
import json
c = get_config()
load_subconfig({example!r})
for section, traits in json.loads({settings!r}).items():
    for name, value in traits.items():
        if isinstance(value, dict) and name == "environment":
            more = value.pop("JUPYTER_CONFIG_PATH")
            value = {{**c[section][name], **value}}
            value["JUPYTER_CONFIG_PATH"] += ":" + more
        c[section][name] = value
"""
#: Waits in the namespaces until the tests end, then everything there ends.
_KEEP = """
set -eu
mount --make-rprivate /
cat /etc/passwd {folder}/passwd.more >{folder}/passwd
mount --bind {folder}/passwd /etc/passwd
{mounts}
echo ready
read -r _ || true
"""


def free_ports(count):
    """Find ports that are free now."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found.append(one.getsockname()[1])
        return found


class Hub:
    """A running hub.

    Parameters
    ----------
    settings : dict
        Traits by section for everybody's server, over those of the example.
    lab : bool
        Give the servers JupyterLab with the browser's part of this tree.
    python : path
        What everybody's server runs with; by default this tree, with the tests' own.
    """

    def __init__(self, settings=None, *, lab=False, python=None):
        self.folder = Path(tempfile.mkdtemp(prefix="sessmgr-hub-"))
        self.folder.chmod(0o755)
        #: Whether each person is a user of the machine.
        self.has_users = os.geteuid() == 0
        self.port, self._hub_port, self._api_port = free_ports(3)
        self.base = f"http://127.0.0.1:{self.port}/"
        self.token = secrets.token_hex(16)
        self._keeper = self._process = None
        self._enter = []
        self._python = Path(python or sys.executable)
        #: What the hub tells its servers to import from.
        self._path = {} if python else {"PYTHONPATH": str(ROOT)}
        self._write_single_user(settings or {}, lab=lab)
        self._config = self._write_config()

    def home(self, name):
        """Name the home folder of a person."""
        return self.folder / "homes" / name

    def uid(self, name):
        """Say as which user somebody's server runs."""
        return FIRST_UID + PEOPLE.index(name) if self.has_users else os.geteuid()

    def start(self):
        """Start it, also again; return when it answers."""
        if self.has_users and self._keeper is None:
            self._keep()
        with (self.folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._enter, sys.executable, "-m", "jupyterhub", "-f", self._config],
                cwd=self.folder,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until(lambda: self.api("GET", "info").status_code == 200, "the hub answers")
        return self

    def stop(self):
        """Stop the hub itself, as its service manager would; servers go on."""
        main = psutil.Process(self._process.pid)
        for one in main.children() if self._enter else [main]:
            one.terminate()
        self._process.wait(START)

    def api(self, method, path, **kwargs):
        """Ask the hub's API, as its admin."""
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.base}hub/api/{path}"
        return requests.request(method, url, headers=headers, timeout=START, **kwargs)

    def person(self, name):
        """Start somebody's server if need be, and return what asks it with a token of theirs."""
        reply = self.api("POST", f"users/{name}/tokens", json={})
        assert reply.status_code == 201, reply.text
        person = Client(f"{self.base}user/{name}/", reply.json()["token"])
        self.start_server(name)
        return person

    def start_server(self, name):
        """Start somebody's server, and return when it can be used."""
        reply = self.api("POST", f"users/{name}/server", json={})
        assert reply.status_code in {201, 202, 400}, self.log()[-6000:]  # 400: it runs
        self._until(lambda: self._server(name).get("ready"), f"{name}'s server is ready")

    def stop_server(self, name):
        """Stop somebody's server, as the hub's own button does."""
        reply = self.api("DELETE", f"users/{name}/server")
        assert reply.status_code in {202, 204}, reply.text
        self._until(lambda: not self._server(name), f"{name}'s server has stopped")

    def log_in(self, name):
        """Log in as a browser does; return what has its cookies, somebody's server included."""
        browser = requests.Session()
        browser.trust_env = False
        browser.get(f"{self.base}hub/login", timeout=START)
        fields = {"username": name, "password": "x", "_xsrf": browser.cookies.get("_xsrf")}
        reply = browser.post(f"{self.base}hub/login?next=/hub/home", data=fields, timeout=START)
        assert reply.status_code == 200, reply.text
        # A page, which sends on to the hub's login; what is not a page refuses.
        browser.get(f"{self.base}user/{name}/files/none", timeout=START)
        reply = browser.get(f"{self.base}user/{name}/api/status", timeout=START)
        assert reply.status_code == 200, reply.text
        return browser

    def run(self, name, *command):
        """Run a program as somebody who is logged in to the machine; return what it said."""
        uid = self.uid(name)
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        done = subprocess.run(
            [*self._enter, *(become if self.has_users else ()), *map(str, command)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home(name)), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{said}"
        return said

    def log(self):
        """Return what the hub and all servers logged."""
        return (self.folder / "hub.log").read_text(encoding="utf-8", errors="replace")

    def close(self):
        """End everything: sessions, servers, the hub and its proxy."""
        try:
            if self._process is not None and self._process.poll() is None:
                if not self._enter:
                    self._end_servers()
                self.stop()
        finally:
            if self._keeper is not None:
                self._keeper.stdin.close()  # the last of its namespace takes all along
                self._keeper.wait(GRACE)
            shutil.rmtree(self.folder, ignore_errors=True)
            for name in PEOPLE if self.has_users else ():
                for left in Path("/tmp").glob(f"sessmgr-{self.uid(name)}-*"):
                    shutil.rmtree(left, ignore_errors=True)

    def _end_servers(self):
        for name in PEOPLE:
            person = self.person(name)
            person.destroy_sessions()
            self.stop_server(name)

    def _server(self, name):
        reply = self.api("GET", f"users/{name}")
        assert reply.status_code == 200, reply.text
        return reply.json()["servers"].get("", {})

    def _until(self, condition, what):
        deadline = time.monotonic() + START
        while True:
            with suppress(requests.ConnectionError):
                if condition():
                    return
            assert self._process.poll() is None, f"the hub has ended:\n{self.log()[-6000:]}"
            assert time.monotonic() < deadline, (
                f"not within {START} s: {what}\n{self.log()[-6000:]}"
            )
            time.sleep(0.1)

    def _environ(self):
        node = subprocess.check_output([ROOT / "scripts" / "node.sh"], text=True).strip()
        path = [str(Path(sys.executable).parent), node, os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.folder / "hub"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            **self._path,
        }

    def _write_single_user(self, settings, *, lab):
        folder = self.folder / "single-user"
        folder.mkdir()
        extensions = {"jupyter_sessmgr": True, **dict.fromkeys(OTHERS, False)}
        if lab:
            extensions["jupyterlab"] = True
            built = ROOT / "jupyter_sessmgr" / "labextension"
            shutil.copytree(built, folder / "labextensions" / "jupyter-sessmgr")
        config = {
            "ServerApp": {"jpserver_extensions": extensions},
            "LabApp": {"extra_labextensions_path": [str(folder / "labextensions")]},
            **NO_SPARES,
            **settings,
        }
        path = folder / "jupyter_server_config.json"
        path.write_text(json.dumps(config), encoding="utf-8")

    def _write_config(self):
        spawner = "LocalProcessSpawner" if self.has_users else "SimpleLocalProcessSpawner"
        hub = self.folder / "hub"
        hub.mkdir(mode=0o700)
        settings = {
            "JupyterHub": {
                "bind_url": self.base,
                "hub_bind_url": f"http://127.0.0.1:{self._hub_port}",
                "authenticator_class": "dummy",
                "spawner_class": f"jupyterhub.spawner.{spawner}",
                "db_url": f"sqlite:///{hub}/hub.sqlite",
                "cookie_secret_file": f"{hub}/secret",
                "services": [{"name": "tests", "api_token": self.token}],
                "load_roles": [
                    {
                        "name": "tests",
                        "services": ["tests"],
                        "scopes": ["admin:users", "admin:servers", "read:hub", "tokens"],
                    }
                ],
            },
            "ConfigurableHTTPProxy": {
                "command": [str(PROXY)],
                "api_url": f"http://127.0.0.1:{self._api_port}",
                "auth_token": self.token,
                "pid_file": f"{hub}/proxy.pid",
            },
            "Spawner": {
                "cmd": [str(self._python), "-m", "jupyterhub.singleuser"],
                "start_timeout": START,
                "http_timeout": START,
                "environment": {
                    "JUPYTER_CONFIG_PATH": str(self.folder / "single-user"),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            },
            "SimpleLocalProcessSpawner": {"home_dir_template": f"{self.folder}/homes/{{username}}"},
        }
        text = _CONFIG.format(example=str(EXAMPLE), settings=json.dumps(settings))
        path = self.folder / "hub_config.py"
        path.write_text(text, encoding="utf-8")
        return path

    def _keep(self):
        """Make the namespaces, with the people as users in them."""
        lines = []
        for name in PEOPLE:
            uid, home = self.uid(name), self.home(name)
            home.mkdir(parents=True, mode=0o700)
            home.parent.chmod(0o755)
            os.chown(home, uid, uid)
            lines.append(f"{name}:x:{uid}:{uid}::{home}:/bin/bash\n")
        (self.folder / "passwd.more").write_text("".join(lines), encoding="utf-8")
        prefixes = Path(sys.prefix), Path(sys.base_prefix).resolve(), self._python.parents[1]
        seen = dict.fromkeys([ROOT, *prefixes])
        mounts = "\n".join(_passages(self.folder / "stages", *seen))
        script = _KEEP.format(folder=self.folder, mounts=mounts)
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._keeper.stdout.readline() == b"ready\n", "no namespaces can be made here"
        (inside,) = psutil.Process(self._keeper.pid).children()
        self._enter = ["nsenter", f"--target={inside.pid}", "--mount", "--pid", "--"]


def _passages(stages, *paths):
    """Write the commands that let users reach paths in folders that are root's alone.

    In the namespace such a folder becomes an open one that has nothing but these paths.
    """
    shut = {}
    for path in paths:
        found = [one for one in (*reversed(path.parents), path) if not one.stat().st_mode & 1]
        if found:
            shut.setdefault(found[0], []).append(path)
    for number, (folder, within) in enumerate(shut.items()):
        stage = stages / str(number)
        yield f"mkdir -p {stage}; chmod 700 {stages}; mount --bind {folder} {stage}"
        yield f"mount -t tmpfs -o mode=755 none {folder}"
        for path in within:
            inner = stage / path.relative_to(folder)
            for one in sorted(path.iterdir()) if path == folder else [path]:
                source = inner / one.relative_to(path)
                make = "mkdir -p" if one.is_dir() else "touch"
                yield f"{make} {one}; mount --bind {source} {one}"


@pytest.fixture(scope="module")
def hubs():
    """Start hubs, and end all that they started after the module's tests."""
    if not PROXY.exists():
        assert not os.environ.get("CI"), "CI must have the hub's proxy: scripts/test-needs.sh"
        pytest.skip("no configurable-http-proxy here: scripts/test-needs.sh")
    with ExitStack() as stack:

        def start(settings=None, **kwargs):
            hub = Hub(settings, **kwargs)
            stack.callback(hub.close)
            return hub.start()

        yield start
