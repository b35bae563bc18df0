"""The working folder of a session that a page asks for, as Jupyter gives one to its kernels."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from jupyter_core.utils import ensure_async

from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.rest.base import IdentifiedHandler


async def with_folder(
    handler: IdentifiedHandler, request: CreateRequest, path: str | None
) -> CreateRequest:
    """Add the folder that is to be a session's working folder; None: none was asked for.

    It is mounted, so it is for those alone who could start a kernel of this server in it.

    Raises
    ------
    NotAllowed
        for everybody else; InvalidRequest when there is no such folder.
    """
    if path is None:
        return request
    if not await may_have_folder(handler):
        raise NotAllowed(
            "folder: only those who may start kernels of this Jupyter server can have one of its "
            "folders. Leave it out, or name one of the administrator's mounts."
        )
    folder, relative = await asyncio.to_thread(
        find_folder, handler.settings["server_root_dir"], path
    )
    return replace(request, notebook_folder=folder, notebook_path=relative)


async def may_have_folder(handler: IdentifiedHandler) -> bool:
    """Tell whether who asks could start a kernel of this server in any of its folders."""
    if handler.access_key or handler.owner != handler.rest.owners.server_owner:
        return False
    may = handler.authorizer.is_authorized(handler, handler.current_user, "write", "kernels")
    return bool(await ensure_async(may))


def find_folder(root: str, path: str) -> tuple[str, str]:
    """Find a folder below the root; return its own path, and that below the root. Reads files.

    Raises
    ------
    InvalidRequest
        when there is none, or `path` leads out of the root by itself.
    """
    top = Path(root).expanduser().resolve()
    parts = [part for part in path.split("/") if part]
    folder = _resolved(top.joinpath(*parts))
    # os.path: False for names too long, too.
    if folder is None or ".." in parts or not os.path.isdir(folder):  # noqa: PTH112
        raise InvalidRequest(
            f"folder: there is no folder {path!r:.80} below the server's root.", field="folder"
        )
    below = folder.relative_to(top).as_posix() if folder.is_relative_to(top) else ""
    return str(folder), "" if below == "." else below


def _resolved(path: Path) -> Path | None:
    """Follow links; None: it leads nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links, before Python 3.13
        return None
