"""Real Jupyter servers with the extension: as a process of their own, or inside the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import tornado.httpclient
import tornado.httpserver
from traitlets.config import Config
from websockets.sync.client import connect

from tests.plugins.managers import NO_SPARES
from tests.plugins.people import People

ROOT = Path(__file__).resolve().parents[2]
#: Extensions that may be installed here; without them a server is up at once.
OTHERS = (
    "jupyterlab",
    "notebook",
    "notebook_shim",
    "jupyter_lsp",
    "jupyter_server_proxy",
    "jupyter_server_terminals",
)
#: The sessions' database inside a state folder.
DATABASE = "sessions.db"
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


def _execute_request(code):
    return {
        "channel": "shell",
        "header": {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }


class Tab:
    """The websocket of a page that shows a notebook."""

    def __init__(self, socket):
        self.socket = socket

    def run(self, code, timeout=60):
        """Run code; return what it printed, showed as result, or how it failed.

        Kernels drop what comes right after an error: it is asked for again.
        """
        deadline = time.monotonic() + timeout
        status = "aborted"
        while status == "aborted":
            text, status = self._run(code, deadline)
        return text

    def _run(self, code, deadline):
        message = _execute_request(code)
        self.socket.send(json.dumps(message))
        text, status, idle = "", None, False
        while status is None or not idle:  # they come by different ways
            answer = json.loads(self.socket.recv(deadline - time.monotonic()))
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            content = answer["content"]
            if answer["channel"] == "shell":
                status = content["status"]
                continue
            text += content.get("text", "") + content.get("data", {}).get("text/plain", "")
            text += "\n".join(content.get("traceback", []))
            idle = idle or content.get("execution_state") == "idle"
        return text, status


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

    def execute(self, kernel_id, code, timeout=60):
        """Run code in a kernel over its websocket; return what it printed, or showed as result."""
        with self.tab(kernel_id) as tab:
            return tab.run(code, timeout)

    @contextmanager
    def tab(self, kernel_id):
        """Connect to a kernel, as a page does, and stay connected."""
        self.until_listed(kernel_id)
        with self._channels(kernel_id) as socket:
            yield Tab(socket)

    def tell(self, kernel_id, code):
        """Have a kernel run code that it will not answer, such as its own end."""
        self.until_listed(kernel_id)
        message = _execute_request(code)
        with self._channels(kernel_id) as socket:
            socket.send(json.dumps(message))
            begun = ended = False
            while not (begun or ended):
                told = json.loads(socket.recv(60))
                begun = told["parent_header"].get("msg_id") == message["header"]["msg_id"]
                ended = told["content"].get("execution_state") in ("restarting", "dead")

    def ask_and_leave(self, kernel_id, code):
        """Have a kernel run code, and leave before it can say anything."""
        with self._channels(kernel_id) as socket:
            socket.recv(60)  # it is heard
            socket.send(json.dumps(_execute_request(code)))

    def _channels(self, kernel_id):
        url = f"ws{self.url.removeprefix('http')}api/kernels/{kernel_id}/channels"
        headers = {"Authorization": f"token {self.token}"}
        return connect(url, additional_headers=headers, max_size=2**24, open_timeout=START)

    def until_listed(self, kernel_id, timeout=START):
        """Wait until Jupyter knows a session's kernel."""
        deadline = time.monotonic() + timeout
        while self.ask("GET", f"api/kernels/{kernel_id}").status_code != 200:
            if time.monotonic() > deadline:
                raise AssertionError(f"kernel {kernel_id} is not listed within {timeout} s")
            time.sleep(0.02)

    def sessions(self, ended=False):
        """List the sessions."""
        reply = self.ask("GET", f"sessmgr/session?limit=1000&all={str(ended).lower()}")
        assert reply.status_code == 200, reply.text
        return reply.json()["items"]

    def destroy_sessions(self):
        """Destroy everything that the owner of the token still has."""
        for session in self.sessions():
            self.ask("DELETE", f"sessmgr/session/{session['sessionId']}?forced=true")


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
        """Whether it holds its state folder; else it follows another, or is not open."""
        reply = self.ask("GET", "sessmgr/api/health")
        if reply.status_code == 404:  # a server without our extension
            return False
        health = reply.json()
        return health["available"] and not health["follows"]

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


class Servers:
    """Starts servers, and cleans up after them: no session, no process is left."""

    def __init__(self, tmp_path, python=sys.executable):
        self._tmp_path = tmp_path
        self._python = python
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
        server = Server(
            folder,
            self._launch(folder, environ or {}),
            folder / "server.log",
            "",
            full["IdentityProvider"]["token"],
            full,
        )
        self._started.append(server)
        if wait:
            self.wait(server, environ or {})
        return server

    def again(self, server, *, config=None, environ=None, wait=True):
        """Start a server that has ended again, as its owner would: same folder, same port."""
        assert not server.alive
        if server.url:
            port = {"ServerApp": {"port": urlsplit(server.url).port}}
            server.config = merge(server.config, port, config or {})
        path = server.folder / "config" / "jupyter_server_config.json"
        path.write_text(json.dumps(server.config), encoding="utf-8")
        server.process = self._launch(server.folder, environ or {})
        if wait:
            self.wait(server, environ or {})
        return server

    def _launch(self, folder, environ):
        with (folder / "server.log").open("wb") as log:
            return subprocess.Popen(
                [self._python, "-m", "jupyter_server"],
                cwd=folder / "root",
                env=self._environ(folder, environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, server, environ):
        """Wait until a server listens.

        It chooses its port a moment before it listens, so another program may be quicker; then it
        is started again.
        """
        deadline = time.monotonic() + START
        while True:
            if time.monotonic() > deadline:
                raise AssertionError(f"the server does not listen:\n{server.log()}")
            if not server.alive:
                if "no available port" not in server.log():
                    raise AssertionError(f"the server has ended:\n{server.log()}")
                server.process = self._launch(server.folder, environ)
            try:
                info = server.folder / "run" / f"jpserver-{server.pid}.json"
                server.url = json.loads(info.read_text(encoding="utf-8"))["url"]
                if server.ask("GET", "api/status", timeout=START).status_code == 200:
                    return
            except (OSError, ValueError, requests.RequestException):
                server.url = ""
            time.sleep(0.02)

    def _defaults(self, folder, engine, token, state_dir):
        state_dir = state_dir or self._tmp_path / f"state{len(self._started)}"
        return {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_sessmgr": True, **dict.fromkeys(OTHERS, False)},
                "ip": "127.0.0.1",
                "port": 0,
                "open_browser": False,
                "allow_root": True,
                "root_dir": str(folder / "root"),
                "base_url": "/base/",
            },
            "IdentityProvider": {"token": token},
            "ComputeSessionManager": {"state_dir": str(state_dir), "engine": engine},
            **NO_SPARES,
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
        config = {
            k: v for k, v in mine[-1].config.items() if k not in {"ServerApp", "IdentityProvider"}
        }
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


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """Give one real server to all tests of a module; they end their sessions themselves."""
    made = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield made.start()
    finally:
        made.clean()


@pytest.fixture(scope="module")
def docker_server(tmp_path_factory, reference_image):
    """Give one real server with the Docker engine to all tests of a module."""
    made = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield made.start("docker")
    finally:
        made.clean()


class Inside:
    """A Jupyter server with the extension on the test's own loop."""

    def __init__(self, app, port):
        self.app = app
        self.extension = app.extension_manager.extension_points["sessmgr"].app
        self.sessions = self.extension.sessions
        self.base = f"http://127.0.0.1:{port}{app.base_url}"
        self.client = tornado.httpclient.AsyncHTTPClient(force_instance=True)

    @property
    def token(self):
        return {"Authorization": f"token {self.app.identity_provider.token}"}

    async def ask(self, method, path, *, body=None, headers=None, anonymous=False, **kwargs):
        """Send a request to a path under the base URL; a body that is no bytes is JSON."""
        headers = {**({} if anonymous else self.token), **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        return await self.client.fetch(
            self.base + path,
            method=method,
            body=body,
            headers=headers,
            raise_error=False,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            request_timeout=kwargs.pop("timeout", 60),
            **kwargs,
        )

    async def create(self, **body):
        """Create a session and return the answer's body; fails unless it is 200 or 201."""
        reply = await self.ask("POST", "sessmgr/session", body=body)
        assert reply.code in {200, 201}, reply.body
        return json.loads(reply.body)

    async def log_in(self):
        """Log in as a browser does; return the ``Cookie`` header that it sends from then on."""
        token = self.app.identity_provider.token
        reply = await self.ask("GET", f"sessmgr/session?token={token}", anonymous=True)
        cookies = reply.headers.get_list("Set-Cookie")
        assert any(cookie.startswith("username-") for cookie in cookies), cookies
        return "; ".join(cookie.partition(";")[0] for cookie in cookies)

    async def end(self):
        """Destroy all sessions."""
        if self.sessions._parts is not None:
            for session in self.sessions._open_parts().store.sessions():
                await self.sessions.destroy(session.id, forced=True)
        self.client.close()


@pytest.fixture
def inside(
    jp_configurable_serverapp,
    jp_asyncio_loop,
    http_server_port,
    tmp_path,
    _nothing_blocks_the_loop,
):
    """Make Jupyter servers in this process, for many quick requests; at most one per test."""
    made = []

    def make(engine="process", **config):
        defaults = {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_sessmgr": True},
                "allow_unauthenticated_access": False,
            },
            "ComputeSessionManager": {"engine": engine, "state_dir": str(tmp_path / "state")},
            **NO_SPARES,
        }
        # pytest-jupyter initialises servers on the loop; a real one is initialised before it runs.
        _nothing_blocks_the_loop.deactivate()
        app = jp_configurable_serverapp(config=Config(merge(defaults, config)))
        _nothing_blocks_the_loop.activate()

        async def listen():
            server = tornado.httpserver.HTTPServer(app.web_app)
            server.add_socket(http_server_port[0])
            return server, Inside(app, http_server_port[1])

        made.append(jp_asyncio_loop.run_until_complete(listen()))
        return made[-1][1]

    yield make
    for server, one in made:
        jp_asyncio_loop.run_until_complete(one.end())
        server.stop()
        jp_asyncio_loop.run_until_complete(server.close_all_connections())


@pytest.fixture
def inside_people(inside):
    """Make a server whose identity provider knows people: by the header ``X-Person``."""
    return inside(ServerApp={"identity_provider_class": People})


@pytest.fixture
def inside_log(caplog):
    """Return what the server in this process logged so far, when called."""
    return lambda: caplog.text


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory):
    """Start real servers for all tests of a module."""
    made = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield made
    finally:
        made.clean()
