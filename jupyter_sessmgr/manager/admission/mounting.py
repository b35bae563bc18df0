"""Which folders of the host a session will see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jupyter_sessmgr.engines.base import Capabilities
from jupyter_sessmgr.manager.admission.folders import (
    INSIDE_HOME,
    home_mount,
    named_mounts,
    notebook_mount,
)
from jupyter_sessmgr.model.errors import LimitExceeded
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.presets import Preset
from jupyter_sessmgr.model.requests import CreateRequest


def choose_folders(
    request: CreateRequest,
    preset: Preset,
    *,
    owner: str,
    can: Capabilities,
    state: Path,
    table: Mapping[str, Mapping[str, object]],
) -> tuple[list[Mount], str, list[str]]:
    """Make the mounts, the working folder, and remarks for people. Runs in a thread.

    Raises
    ------
    InvalidRequest
        for a mount that has no name in `table`, the admin's.
    LimitExceeded
        when the engine sees none of this machine's folders.
    """
    if not can.host_mounts:
        return _without_folders(request, preset)
    mounts = named_mounts(request.mounts, table)
    remarks: list[str] = []
    workdir = ""
    if preset.home:
        inside = INSIDE_HOME if can.images else ""
        mounts.append(home_mount(state, owner, inside, can.runs_as))
    if preset.notebook_folder and request.notebook_folder:
        found = notebook_mount(
            request.notebook_folder,
            request.notebook_path,
            state,
            same_paths=not can.images,
            runs_as=can.runs_as,
        )
        mounts.extend(found.mounts)
        workdir = found.workdir
        remarks.extend([found.remark] if found.remark else [])
    return mounts, workdir, remarks


def may_mount(table: Mapping[str, Mapping[str, object]], can: Capabilities) -> Mapping[str, bool]:
    """Say which names of the table can be mounted, and whether they can be written to."""
    if not can.host_mounts:
        return {}
    return {name: entry.get("writable") is True for name, entry in sorted(table.items())}


def _without_folders(request: CreateRequest, preset: Preset) -> tuple[list[Mount], str, list[str]]:
    if request.mounts:
        raise LimitExceeded(
            "mounts: the engine runs on another machine, which does not have these folders.",
            field="mounts",
        )
    wanted = preset.home or preset.notebook_folder
    remark = "The engine runs on another machine: no folder of this one is mounted."
    return [], "", [remark] if wanted else []
