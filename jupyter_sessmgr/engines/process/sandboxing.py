"""Decides what a session sees of the machine: whether there is a sandbox, and what is in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_core.paths import jupyter_config_path, jupyter_data_dir, jupyter_runtime_dir

from jupyter_sessmgr.engines import bubblewrap
from jupyter_sessmgr.engines.bubblewrap import Sandbox, View
from jupyter_sessmgr.engines.process.environments import Environment, with_user_packages
from jupyter_sessmgr.engines.process.records import PlaceFolder
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.session import SessionSpec

#: Where a sandbox program is looked for besides PATH.
_PROGRAM = "bwrap"
INSTALL = "To isolate sessions, install bubblewrap (Debian, Ubuntu, Fedora: package `bubblewrap`)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The sandbox that sessions get, or why there is none."""

    sandbox: Sandbox | None
    #: For people, when there is none: cause and remedy.
    reason: str = ""


def find_isolation(wanted: str) -> Isolation:
    """Look for a sandbox that works, as the trait says. Runs programs: in a thread."""
    if wanted == "none":
        return Isolation(sandbox=None, reason="Isolation is switched off by configuration.")
    program = shutil.which(_PROGRAM)
    if program is None:
        return Isolation(sandbox=None, reason=INSTALL)
    found = bubblewrap.probe(program)
    if isinstance(found, Sandbox):
        return Isolation(sandbox=found)
    return Isolation(
        sandbox=None,
        reason=f"{program} does not work here ({found}); it needs user namespaces, which this "
        "system or the container around it forbids.",
    )


def view(
    spec: SessionSpec,
    environment: Environment,
    place: PlaceFolder,
    own: tuple[Path, ...],
    secrets: tuple[Path, ...],
) -> View:
    """Say what a session sees. Looks at files: in a thread.

    Parameters
    ----------
    own
        The place's folders that are writable inside.
    secrets
        What no session may see, besides what is Jupyter's.
    """
    hidden, masked = _private(environment, secrets)
    # What lies in an environment and is private is covered; what an environment lies in is not
    # shown for its sake.
    around = (str(Path.home()), *map(str, secrets))
    folders = (*bubblewrap.system_folders(), *environment.folders(around))
    shown = tuple(dict.fromkeys(folders))
    links = tuple(
        (target, path)
        for target, path in (*environment.links(), *bubblewrap.system_links())
        if not any(Path(path).is_relative_to(folder) for folder in shown)
    )
    mounts = (*spec.mounts, *_user_packages(environment, place))
    sealed, blanked = bubblewrap.system_knobs()
    return View(
        visible=shown,
        links=links,
        mounts=mounts,
        hidden=hidden,
        masked=masked,
        sealed=sealed,
        blanked=blanked,
        own=tuple(map(str, own)),
        tmp=str(place.tmp),
        shmem=spec.resources.shmem,
        network=spec.network == "egress",
    )


def _user_packages(environment: Environment, place: PlaceFolder) -> Iterator[Mount]:
    """Let a virtual environment find what ``pip`` installed into the home folder."""
    config = environment.config_file()
    if config is not None:
        changed = place.path / "pyvenv.cfg"
        changed.write_text(with_user_packages(config.read_text(encoding="utf-8")), encoding="utf-8")
        yield Mount(name="environment", source=str(changed), target=str(config))


def _private(
    environment: Environment, secrets: tuple[Path, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List folders and files that would make a session the server, if it saw them."""
    folders = [*secrets, Path(jupyter_runtime_dir())]
    folders += [Path(folder) for folder in jupyter_config_path()]
    folders += [Path(prefix, "etc", "jupyter") for prefix in environment.prefixes]
    data = Path(jupyter_data_dir())
    files = [data / name for name in ("notebook_secret", "nbsignatures.db")]
    if os.geteuid() == 0:
        for path in map(Path, bubblewrap.unreadable_by_others()):
            (folders if path.is_dir() else files).append(path)
    hidden = {os.path.realpath(path) for path in folders if path.is_dir()}
    masked = {os.path.realpath(path) for path in files if path.is_file()}
    return tuple(sorted(hidden)), tuple(sorted(masked))
