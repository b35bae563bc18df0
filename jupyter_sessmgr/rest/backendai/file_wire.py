"""Reads and writes what is said of files and services. Pure."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_sessmgr.manager.agents.words import ServiceOffer
from jupyter_sessmgr.manager.inside.files import FileInfo, check_path
from jupyter_sessmgr.manager.inside.services import ServiceState
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.backendai import file_types as types
from jupyter_sessmgr.rest.bodies import MAX_BODY, read_object

#: What stock clients take a session's working folder for.
HOME_WORK = "/home/work"
MAX_FILES = 100
_MAX_NAME = 63


def plain_path(path: object, field: str = "path") -> str:
    """Read a path; the folder that stock clients take for granted is the working folder.

    Raises
    ------
    InvalidRequest
        unless it can be a file's.
    """
    if not isinstance(path, str):
        raise InvalidRequest(f"{field}: not a text.", field=field)
    if path == HOME_WORK or path.startswith(HOME_WORK + "/"):
        path = path[len(HOME_WORK) + 1 :] or "."
    return check_path(path, field)


def upload_path(filename: str) -> str:
    """Read where an uploaded file is to go: below the working folder, nowhere else.

    Raises
    ------
    InvalidRequest
        for absolute paths, and those that climb.
    """
    path = plain_path(filename, "filename")
    pieces = path.split("/")
    if path.startswith("/") or ".." in pieces or pieces[-1] in {"", "."}:
        raise InvalidRequest(
            f"filename: {path!r:.80} is not the path of a file below the working folder.",
            field="filename",
        )
    return path


def download_paths(body: Mapping[str, Any]) -> list[str]:
    """Read which files are wanted."""
    files = body.get("files")
    if not isinstance(files, list) or not 0 < len(files) <= MAX_FILES:
        raise InvalidRequest(f"files: not a list of 1 to {MAX_FILES} paths.", field="files")
    return [plain_path(path, "files") for path in files]


def render_files(where: str, found: Iterable[FileInfo]) -> types.FilesReply:
    """Answer what is in a folder."""
    items: list[types.FileItem] = [
        {
            "filename": one.name,
            "size": one.size,
            "mode": stat.filemode(one.mode),
            "mtime": one.mtime,
            "ctime": one.ctime,
            "atime": one.atime,
            "isDir": one.is_dir,
        }
        for one in found
    ]
    return {
        "files": json.dumps(items),
        "items": items,
        "errors": "",
        "abspath": where,
        "folder_path": where,
    }


def service_name(value: object, field: str = "app") -> str:
    """Read the name of a service."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isascii():
        raise InvalidRequest(f"{field}: not the name of a service.", field=field)
    return value


def read_extras(value: object, field: str) -> Mapping[str, Any]:
    """Read arguments or variables: an object, or one written as text."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        if len(value) > MAX_BODY:
            raise InvalidRequest(f"{field}: too long.", field=field)
        value = read_object(value.encode(errors="replace"))
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}: not an object.", field=field)
    return {name: _word(one, field) for name, one in value.items()}


def _word(value: object, field: str) -> Any:
    if isinstance(value, list):
        return [_word(one, field) for one in value]
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


def render_service(
    session: ComputeSession, state: ServiceState, base_url: str
) -> types.ServiceItem:
    """Write how a service is."""
    return {
        "name": state.name,
        "running": state.running,
        "port": state.port,
        "url": service_path(base_url, session.id, state.name),
        "error": state.error,
        "log": state.log_tail,
    }


def render_started(
    session: ComputeSession, state: ServiceState, base_url: str, token: str
) -> types.StartServiceReply:
    """Answer the start of a service."""
    return {**render_service(session, state, base_url), "token": token, "wsproxy_addr": ""}


def render_apps(
    session: ComputeSession,
    states: Mapping[str, ServiceState],
    offers: Mapping[str, ServiceOffer],
    tokens: Mapping[str, str],
    base_url: str,
) -> list[types.AppItem]:
    """Write which services can be opened: promised, opened by their user, or started."""
    ports = {one.name: one for one in session.promised}
    for name in (*offers, *states):
        at = states[name].port if name in states else 0
        ports.setdefault(name, ServicePort(name, "http", (at,) if at else ()))
    return [
        _app(session, port, offers.get(port.name), tokens.get(port.name, ""), base_url)
        for port in ports.values()
    ]


def _app(
    session: ComputeSession,
    port: ServicePort,
    offer: ServiceOffer | None,
    token: str,
    base_url: str,
) -> types.AppItem:
    app: types.AppItem = {"name": port.name, "protocol": port.protocol, "ports": list(port.ports)}
    if offer is not None:
        if offer.url_template:
            path = service_path(base_url, session.id, port.name)
            filled = offer.url_template.replace("{token}", token)
            app["url_template"] = filled.replace("{base_url}", path)
        app["allowed_arguments"] = dict.fromkeys(offer.allowed_arguments, "")
        app["allowed_envs"] = list(offer.allowed_envs)
    return app
