"""Real Jupyter servers with the extension: as a process of their own, or inside the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
#: The sessions' database inside a state folder.
DATABASE = "sessions.sqlite"
#: Seconds for a server to listen, on a busy machine.
START = 60
#: Seconds for a server to end by itself, before it is killed.
GRACE = 20


def merge(*configs):
    """Merge configurations by section."""
    merged = {}
    for config in configs:
        for section, traits in config.items():
            merged.setdefault(section, {}).update(traits)
    return merged


class Client:
    """Asks one server, with its token."""

    def __init__(self, url, token):
        self.url = url
        self.token = token
        self.http = requests.Session()
        self.http.trust_env = False
        if token:
            self.http.headers["Authorization"] = f"token {token}"

    def ask(self, method, path, timeout=60, **kwargs):
        """Send a request to a path under the base URL; `json=` is the usual body."""
        if method in {"POST", "PATCH", "PUT"} and not {"json", "data", "files"} & set(kwargs):
            kwargs["json"] = {}
        return self.http.request(
            method, self.url + path, timeout=timeout, allow_redirects=False, **kwargs
        )

    def create(self, **body):
        """Create a session and return the answer's body; fails unless it is 200 or 201."""
        reply = self.ask("POST", "sessmgr/session", json=body)
        assert reply.status_code in {200, 201}, reply.text
        return reply.json()

    def info(self, reference):
        """Return what GET tells of a session."""
        reply = self.ask("GET", f"sessmgr/session/{reference}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def until(self, reference, *statuses, timeout=60):
        """Wait until a session has one of these statuses."""
        deadline = time.monotonic() + timeout
        while True:
            info = self.info(reference)
            if info["status"] in statuses:
                return info
            if time.monotonic() > deadline:
                raise AssertionError(f"not {statuses} within {timeout} s: {info}")
            time.sleep(0.05)

    def sessions(self, ended=False):
        """List the sessions."""
        reply = self.ask("GET", f"sessmgr/session?limit=1000&all={str(ended).lower()}")
        assert reply.status_code == 200, reply.text
        return reply.json()["items"]


@dataclass
class Server(Client):
    """A Jupyter server that runs as a process of its own; knows how to end it."""

    folder: Path
    process: subprocess.Popen
    log_path: Path
    url: str
    token: str
    config: dict = field(default_factory=dict)

    def __post_init__(self):
        super().__init__(self.url, self.token)

    @property
    def pid(self):
        return self.process.pid

    @property
    def state_dir(self):
        return Path(self.config["ComputeSessionManager"]["state_dir"])

    @property
    def alive(self):
        return self.process.poll() is None

    @property
    def is_leader(self):
        """Whether it holds its state folder."""
        return self.ask("GET", "sessmgr/session").status_code == 200

    def log(self):
        """Return all that it logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(GRACE)

    def stop(self):
        """End it as a person would; kill it when it does not."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def destroy_sessions(self):
        """Destroy everything that the owner of the token still has."""
        for session in self.sessions():
            self.ask("DELETE", f"sessmgr/session/{session['sessionId']}?forced=true")


class Servers:
    """Starts servers, and cleans up after them: no session, no process is left."""

    def __init__(self, tmp_path):
        self._tmp_path = tmp_path
        self._started = []

    def start(self, engine="process", *, config=None, environ=None, state_dir=None, wait=True):
        """Start a server; with the `state_dir` of another one it has that one's sessions.

        Parameters
        ----------
        engine : str
            Trait `ComputeSessionManager.engine`.
        config : dict
            Traits by section, over the defaults.
        environ : dict
            Variables for the server.
        state_dir : Path
            State folder; a fresh one by default.
        wait : bool
            Return when it listens.
        """
        folder = self._tmp_path / f"server{len(self._started)}"
        for name in ("config", "data", "run", "root", "home"):
            (folder / name).mkdir(parents=True, mode=0o700)
        token = f"token-of-server-{len(self._started)}-{os.getpid()}"
        full = merge(self._defaults(folder, engine, token, state_dir), config or {})
        path = folder / "config" / "jupyter_server_config.json"
        path.write_text(json.dumps(full), encoding="utf-8")
        log_path = folder / "server.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server"],
                cwd=folder / "root",
                env=self._environ(folder, environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(folder, process, log_path, "", full["IdentityProvider"]["token"], full)
        self._started.append(server)
        if wait:
            self.wait(server)
        return server

    def wait(self, server):
        """Wait until a server listens."""
        info = server.folder / "run" / f"jpserver-{server.pid}.json"
        deadline = time.monotonic() + START
        while not server.url:
            if not server.alive or time.monotonic() > deadline:
                raise AssertionError(f"the server does not listen:\n{server.log()}")
            try:
                server.url = json.loads(info.read_text(encoding="utf-8"))["url"]
            except (OSError, ValueError):
                time.sleep(0.05)

    def _defaults(self, folder, engine, token, state_dir):
        state_dir = state_dir or self._tmp_path / f"state{len(self._started)}"
        return {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_sessmgr": True},
                "ip": "127.0.0.1",
                "port": 0,
                "open_browser": False,
                "allow_root": True,
                "root_dir": str(folder / "root"),
                "base_url": "/base/",
            },
            "IdentityProvider": {"token": token},
            "ComputeSessionManager": {"state_dir": str(state_dir), "engine": engine},
        }

    def _environ(self, folder, extra):
        keep = ("PATH", "LANG", "LC_ALL", "TMPDIR", "DOCKER_HOST")
        return {
            **{name: os.environ[name] for name in keep if name in os.environ},
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "run"),
            "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS": "false",
            "JUPYTER_PLATFORM_DIRS": "1",
            **extra,
        }

    def clean(self):
        """End every session and every server, whatever the test left behind."""
        with ExitStack() as stack:
            for server in self._started:
                stack.callback(server.stop)
            for state_dir in {server.state_dir for server in self._started}:
                stack.callback(self._clean_state, state_dir)

    def _clean_state(self, state_dir):
        """Destroy the sessions of a state folder: by a server that has it, or by a new one."""
        mine = [server for server in self._started if server.state_dir == state_dir]
        for server in mine:
            if server.alive and server.url and server.is_leader:
                server.destroy_sessions()
                return
        if not (state_dir / DATABASE).exists():
            return
        for server in mine:
            server.stop()
        config = {k: v for k, v in mine[-1].config.items() if k not in {"ServerApp", "IdentityProvider"}}
        self.start(config=config, state_dir=state_dir).destroy_sessions()
        self._started[-1].stop()


@pytest.fixture
def servers(tmp_path_factory):
    """Start real servers; ends them and their sessions after the test."""
    made = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield made
    finally:
        made.clean()


@pytest.fixture
def server(servers):
    """Give one real server with the process engine."""
    return servers.start()
