"""Which folders of the host a session sees (THREATS, trust line and E4).

The home folder of an owner lies in the state folder and is mounted from there. The notebook's
folder is mounted unless code in the session could use it to become the Jupyter server.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.mounts import Mount

#: Where things are inside a container. A process sees the host's own paths.
INSIDE_HOME = "/home/work"
INSIDE_NOTEBOOKS = "/work"
INSIDE_MOUNTS = "/mnt"
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NotebookFolder:
    """The notebook's folder as a mount, or why it cannot be one."""

    mounts: tuple[Mount, ...] = ()
    workdir: str = ""
    #: For people: why it is not mounted, or cannot be written to.
    remark: str = ""


def home_mount(state: Path, owner: str, inside: str, runs_as: tuple[int, int] | None) -> Mount:
    """Make an owner's home folder, if need be, and the mount of it. Does file I/O: in a thread."""
    digest = hashlib.sha256(owner.encode()).hexdigest()[:16]
    homes = state / "homes"
    homes.mkdir(mode=0o700, exist_ok=True)
    home = homes / digest
    home.mkdir(mode=0o700, exist_ok=True)
    if runs_as is not None and os.geteuid() == 0:
        os.chown(home, *runs_as)
    return Mount(name="home", source=str(home), target=inside or str(home), read_only=False)


def notebook_mount(
    folder: str,
    relative: str,
    state: Path,
    *,
    same_paths: bool,
    runs_as: tuple[int, int] | None = None,
) -> NotebookFolder:
    """Judge the notebook's folder, and make the mounts for it. Does file I/O: in a thread.

    Parameters
    ----------
    folder
        Absolute path on the host.
    relative
        The same below the server's root folder, for the path inside.
    state
        The state folder, whose secrets no session may see.
    same_paths
        The session sees the host's paths, as processes do.
    runs_as
        Numbers of the user and group inside, where they are not the server's own.
    """
    source = Path(folder).resolve()
    if not source.is_dir():
        return NotebookFolder(remark=f"The folder {folder} is not there.")
    secret = _first_private(source, state)
    if secret is not None:
        return NotebookFolder(
            remark=f"The notebook's folder is not mounted, because it holds {secret}, which code "
            "in a session must not reach. Keep notebooks in a folder of their own."
        )
    target = str(source) if same_paths else _inside(relative)
    mounts = [Mount(name="notebook", source=str(source), target=target, read_only=False)]
    for prefix in {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:
        if source != prefix and source in prefix.parents:
            below = prefix.relative_to(source)
            mounts.append(Mount(name="environment", source=str(prefix), target=f"{target}/{below}"))
    return NotebookFolder(tuple(mounts), target, _unwritable(source, runs_as))


def _unwritable(folder: Path, runs_as: tuple[int, int] | None) -> str:
    """Say that a session cannot write to a folder, where that can be foreseen."""
    if runs_as is None or runs_as == (os.geteuid(), os.getegid()):
        return ""
    uid, gid = runs_as
    seen = folder.stat()
    shift = 6 if seen.st_uid == uid else 3 if seen.st_gid == gid else 0
    if (seen.st_mode >> shift) & stat.S_IWOTH:
        return ""
    return (
        f"Sessions run as user {uid}, who may not write to {folder}: run "
        f"`chown {uid}:{gid} {folder}`, or do not run Jupyter as root."
    )


def named_mounts(asked: Iterable[str], table: Mapping[str, Mapping[str, object]]) -> list[Mount]:
    """Look up ``name`` or ``name:alias`` in the admin's table. Does file I/O: in a thread.

    Raises
    ------
    InvalidRequest
        for a name that is not in the table, or an alias that is not a plain word.
    """
    return [_named_mount(item, table) for item in asked]


def _named_mount(item: str, table: Mapping[str, Mapping[str, object]]) -> Mount:
    name, _, alias = item.partition(":")
    entry = table.get(name)
    if entry is None:
        known = ", ".join(sorted(table)) or "none"
        raise InvalidRequest(f"mounts: there is no {name!r:.60}; known: {known}.", field="mounts")
    if _WORD.fullmatch(alias or name) is None:
        raise InvalidRequest(f"mounts: {alias!r:.60} is not a plain word.", field="mounts")
    source = Path(str(entry.get("path", ""))).resolve()
    if not source.is_dir():
        raise InvalidRequest(
            f"mounts: the folder of {name!r} is not there; tell the administrator.", field="mounts"
        )
    return Mount(
        name=name,
        source=str(source),
        target=f"{INSIDE_MOUNTS}/{alias or name}",
        read_only=not entry.get("writable", False),
    )


def _inside(relative: str) -> str:
    parts = [part for part in relative.split("/") if part not in ("", ".", "..")]
    return "/".join((INSIDE_NOTEBOOKS, *parts))


def _private_folders(state: Path) -> dict[str, str]:
    """Map folders whose content would make a session the server to what they are, for people."""
    return {
        jupyter_config_dir(): "Jupyter's configuration",
        jupyter_data_dir(): "Jupyter's data",
        jupyter_runtime_dir(): "the keys of running Jupyter servers",
        str(state): "the sessions' secrets",
        **dict.fromkeys(
            ("/proc", "/sys", "/dev", "/run", "/etc", "/boot"), "the system's own files"
        ),
    }


def _first_private(folder: Path, state: Path) -> str | None:
    """Say what private thing `folder` is, holds, or lies in; None when there is none."""
    home = Path.home().resolve()
    if folder == home or folder in home.parents:
        return "your home folder with its settings and keys"
    if Path(sys.prefix).resolve() in (folder, *folder.parents):
        return "the server's own Python environment"
    for path, name in _private_folders(state).items():
        there = Path(path).resolve()
        if folder == there or folder in there.parents or there in folder.parents:
            return name
    return None
