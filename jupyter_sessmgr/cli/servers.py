"""Find a running Jupyter server that has this extension, and talk HTTP to it.

Plain `http.client`: no proxy variables are honoured and no redirect is followed, so the token
goes nowhere but to the server it is for.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_sessmgr.cli.failures import CommandFailed, Exit

#: Seconds to wait for the version probe of a server.
PROBE_TIMEOUT = 5.0
#: Seconds to wait for any other answer; destroying a session includes its grace period.
REQUEST_TIMEOUT = 60.0
#: No answer of ours is near this; a longer one is somebody else's.
MAX_REPLY = 32 * 2**20
#: Pages that people copy the address of.
_PAGES = ("/lab", "/tree", "/notebooks", "/doc")
_HINT = "Say which server you mean with --server URL, or --no-server."


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with this extension."""

    #: Base URL, ends with a slash.
    url: str
    token: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Decode the body; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def find_server(url: str | None, holder: int | None) -> Server | None:
    """Find the server that a command talks to; None when none runs.

    Parameters
    ----------
    url : str, optional
        What ``--server`` said.
    holder : int, optional
        The process that holds the state folder; its server is preferred over others.

    Raises
    ------
    CommandFailed
        when the named server does not answer, or several could be meant.
    """
    if url is not None:
        return _named(url)
    servers = [server for server in _running() if has_extension(server)]
    held = [server for server in servers if server.pid is not None and server.pid == holder]
    candidates = held or servers
    if len(candidates) > 1:
        urls = ", ".join(server.url for server in candidates)
        raise CommandFailed(f"Several servers run: {urls}. {_HINT}", Exit.USAGE)
    return candidates[0] if candidates else None


def has_extension(server: Server) -> bool:
    """Ask a server's version probe, which needs no credentials."""
    try:
        reply = request(server, "GET", "sessmgr/", timeout=PROBE_TIMEOUT)
    except CommandFailed:
        return False
    answer = reply.json()
    return reply.status == http.HTTPStatus.OK and isinstance(answer, dict) and "manager" in answer


def request(  # one place that builds requests
    server: Server,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    timeout: float = REQUEST_TIMEOUT,
) -> Reply:
    """Send one request, and read the answer whole.

    Raises
    ------
    CommandFailed
        when no answer came.
    """
    headers = {"Accept": "application/json"}
    if server.token:
        headers["Authorization"] = f"token {server.token}"
    payload = None
    if method != "GET":
        payload = json.dumps(body or {}).encode()
        headers["Content-Type"] = "application/json"
    connection = _connection(server, timeout)
    try:
        connection.request(method, urlsplit(server.url).path + path, payload, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read(MAX_REPLY))
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(
            f"The server at {server.url} does not answer ({_reason(error)}). Is it running?",
            Exit.UNAVAILABLE,
        ) from error
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}; SSL_CERT_FILE names certificates to trust"
    return str(error) or type(error).__name__


def _connection(server: Server, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(server.url)
    if parts.scheme == "http+unix":
        return _UnixConnection(unquote(parts.hostname or ""), timeout=timeout)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket file of a server that was started with ``--sock``."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def running_servers() -> list[dict[str, Any]]:
    """Read the info files of running servers, as ``jupyter server list`` does.

    jupyter_server has a function for it, whose import takes a second; this takes none. A test
    compares the two. Files of servers that died are left to it.
    """
    infos = []
    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            os.kill(int(info["pid"]), 0)
        except PermissionError:  # somebody else's process: it runs
            infos.append(info)
        except (OSError, OverflowError, ValueError, TypeError, KeyError):
            continue
        else:
            infos.append(info)
    return infos


def _running() -> Iterator[Server]:
    for info in running_servers():
        url = info.get("url")
        if isinstance(url, str) and url:
            yield Server(url, token_for(info), info.get("pid"))


def token_for(info: Mapping[str, Any]) -> str:
    """Give the token for a server: the environment's word, or what its info file has.

    The file's is nobody's where people are known by tokens of their own.
    """
    return str(os.environ.get("JUPYTER_TOKEN") or info.get("token") or "")


def _named(url: str) -> Server:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "http+unix"} or not parts.netloc:
        raise CommandFailed(
            f"--server {url!r:.100}: not a URL such as http://localhost:8888/.", Exit.USAGE
        )
    base = f"{parts.scheme}://{parts.netloc}{_base_path(parts.path)}"
    server = Server(base, _token_of(parts.query, base))
    if not has_extension(server):
        raise CommandFailed(
            f"No Jupyter server with this extension answers at {base}. Look at `jupyter server "
            "list`, and at `jupyter server extension list` in the server's environment.",
            Exit.UNAVAILABLE,
        )
    return server


def _base_path(path: str) -> str:
    """Cut a page's path to the server's base: people paste what the browser shows."""
    for page in _PAGES:
        head, found, _tail = path.partition(page)
        if found:
            path = head
            break
    return path if path.endswith("/") else f"{path}/"


def _token_of(query: str, base: str) -> str:
    """Find the token of a named server: in the pasted URL, the environment, its info file."""
    for word in query.split("&"):
        name, _, value = word.partition("=")
        if name == "token" and value:
            return unquote(value)
    same: Sequence[Mapping[str, Any]] = [
        info for info in running_servers() if info.get("url") == base
    ]
    return token_for(same[0] if same else {})
