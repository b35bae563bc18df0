"""Sessions as a running server keeps them, asked over its REST API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_sessmgr.cli.backend import Row, Sessions, Wanted
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.servers import Reply, Server, request
from jupyter_sessmgr.model.status import SessionStatus

#: Seconds between questions while a session starts.
POLL_INTERVAL = 0.2
_ROOT = "sessmgr/session"
_CODES: Mapping[int, Exit] = {
    HTTPStatus.BAD_REQUEST: Exit.USAGE,
    HTTPStatus.UNAUTHORIZED: Exit.USAGE,
    HTTPStatus.NOT_FOUND: Exit.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Exit.UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: Exit.UNAVAILABLE,
    HTTPStatus.BAD_GATEWAY: Exit.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Exit.UNAVAILABLE,
    HTTPStatus.INSUFFICIENT_STORAGE: Exit.UNAVAILABLE,
}


class ServerSessions(Sessions):
    """The sessions of the server's owner, over HTTP.

    Parameters
    ----------
    server : Server
        Was found to have this extension.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.where = f"server {server.url}"

    def list(self, *, ended: bool) -> Sequence[Row]:
        """List the sessions, page by page."""
        rows: list[Row] = []
        before = ""
        while True:
            page = self._ask("GET", f"{_ROOT}?all={str(ended).lower()}{before}")
            rows.extend(_row(item) for item in page["items"])
            if page["next"] is None:
                return rows
            before = f"&before={int(page['next'])}"

    def get(self, reference: str) -> Row:
        """Ask for one session."""
        return _row(self._ask("GET", _path(reference)))

    def create(self, wanted: Wanted) -> tuple[Row, bool]:
        """Ask for a session without waiting for it."""
        reply = self._send("POST", _ROOT, _body(wanted))
        created = reply.json()
        return self.get(str(created["sessionId"])), reply.status == HTTPStatus.CREATED

    def settled(self, row: Row, timeout: float, tell: Callable[[str], None]) -> Row:
        """Ask again and again, until the start has come to an end."""
        deadline = time.monotonic() + timeout
        while True:
            row = self.get(row.id)
            if row.is_settled:
                return row
            tell(row.info or row.status.lower())
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(POLL_INTERVAL)

    def stop(self, row: Row, *, forced: bool) -> None:
        """Ask for the session's end; the answer comes after its removal."""
        self._send("DELETE", _path(row.id) + ("?forced=true" if forced else ""))

    def logs(self, row: Row) -> str:
        """Ask for the last lines."""
        answer = self._ask("GET", _path(row.id) + "/logs")
        return _log_text(answer)

    def connection_info(self, row: Row) -> Mapping[str, Any]:
        """Read the connection file that the server wrote for the session's kernel.

        Keys do not travel over HTTP: who may have them can read the server's runtime folder.
        """
        path = Path(jupyter_runtime_dir()) / f"kernel-{row.id}.json"
        if row.status != SessionStatus.RUNNING:
            raise CommandFailed(f"{row.name} is {row.status}, so it has no kernel to attach to.")
        self._ask("GET", f"api/kernels/{row.id}")
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandFailed(
                f"The connection file {path} cannot be read. Run this as the server's user and on "
                "its machine."
            ) from error
        return dict(info)

    def _ask(self, method: str, path: str) -> Any:
        answer = self._send(method, path).json()
        if answer is None:
            raise CommandFailed(f"{self.where} gave an answer that is not JSON; is it ours?")
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        reply = request(self._server, method, path, body)
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _failure(reply, self._server)
        return reply


def _path(reference: str) -> str:
    return f"{_ROOT}/{quote(reference, safe='')}"


def _failure(reply: Reply, server: Server) -> CommandFailed:
    """Turn a refusal into words; ours are problem documents, Jupyter's have ``message``."""
    problem = reply.json()
    words = problem if isinstance(problem, dict) else {}
    slug = str(words.get("type", "")).rpartition("/")[2]
    if reply.status in {HTTPStatus.FORBIDDEN, HTTPStatus.FOUND} and slug in {"", "auth-failed"}:
        return CommandFailed(
            f"The server at {server.url} does not know who asks. Set JUPYTER_TOKEN to its token, "
            "or paste the URL with the token after --server."
        )
    text = words.get("msg") or words.get("message") or words.get("title") or ""
    code = _CODES.get(reply.status, Exit.FAILED)
    if slug == "image-not-found":
        code = Exit.USAGE
    return CommandFailed(str(text) or f"The server answered {reply.status} without a reason.", code)


def _body(wanted: Wanted) -> dict[str, Any]:
    config = {
        "environ": dict(wanted.environ),
        "mounts": list(wanted.mounts),
        "resources": dict(wanted.resources),
        "preopen_ports": list(wanted.ports),
    }
    body: dict[str, Any] = {
        "enqueueOnly": True,
        "durable": wanted.durable,
        "config": {key: value for key, value in config.items() if value},
    }
    optional = {
        "image": wanted.image,
        "preset": wanted.preset,
        "clientSessionToken": wanted.name,
        "group": wanted.group,
        "tag": wanted.tag,
        "type": "batch" if wanted.command else "",
        "startupCommand": wanted.command,
        "bootstrap_script": wanted.bootstrap,
    }
    body.update({key: value for key, value in optional.items() if value})
    return body


def _row(item: Mapping[str, Any]) -> Row:
    return Row(
        id=str(item["sessionId"]),
        name=str(item["sessionName"]),
        number=int(item["sessionNumber"]),
        status=str(item["status"]),
        info=str(item.get("statusInfo") or ""),
        image=str(item.get("image") or ""),
        durable=bool(item.get("durable", True)),
        age=_age(item.get("createdAt")),
        resources=dict(item.get("resources") or {}),
    )


def _age(created: object) -> float:
    """Count from the creation; the API's own ``age`` begins with the start."""
    if not isinstance(created, str):
        return 0.0
    return max(0.0, time.time() - datetime.fromisoformat(created).timestamp())


def _log_text(answer: Any) -> str:
    """Find the text in what upstream's API wraps it in: ``{"result": {"logs": …}}``."""
    inner = answer.get("result", answer) if isinstance(answer, dict) else {}
    return str(inner.get("logs") or "") if isinstance(inner, dict) else ""
