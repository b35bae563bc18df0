"""``jupyter sessmgr purge``: remove the state folder, with everything that was made from it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.imagecmd import docker_host
from jupyter_sessmgr.cli.local import unopened_manager
from jupyter_sessmgr.cli.output import Progress, print_json, print_line, print_note
from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.engines.choose import choose_engine
from jupyter_sessmgr.engines.docker.build import built_images, remove_image
from jupyter_sessmgr.engines.process.records import socket_roots
from jupyter_sessmgr.manager.purging import Purge, Remains
from jupyter_sessmgr.manager.secrets import InstallationSecrets
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.manager.statefolder import INSTALL_FILE, StateFolder
from jupyter_sessmgr.model.errors import EngineError, Standby, StoreRefused
from jupyter_sessmgr.provisioning.kernelspecs import installed_kernelspecs

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What there is to be removed."""

    folder: str
    #: Of the folder; 0 when it is not there.
    files: int
    bytes: int
    #: Names of containers and local sessions.
    sessions: list[str]
    #: Folders of kernelspecs for tools without a server.
    kernelspecs: list[str]
    #: Images that were built; only when they were asked for.
    images: list[str]

    def __bool__(self) -> bool:
        return bool(self.files or self.sessions or self.kernelspecs or self.images)


def purge(options: argparse.Namespace) -> Exit:
    """Say what there is; with ``--yes`` remove it."""
    config = load_config(options.traits)
    manager, host = unopened_manager(config), docker_host(config)
    folder = StateFolder(Path(manager.state_dir))
    removes, failed = False, list[str]()
    try:
        remains = _look(folder, manager, options, remove=False)
        there = _belongings(folder.path, remains, built_images(host) if options.images else [])
        removes = options.yes and bool(there) and (options.forced or not remains.troubles)
        if not options.json:
            _tell(there, removes=removes)
        if removes:
            with Progress("Removing"):
                remains = _look(folder, manager, options, remove=True)
                failed = [*_remove_images(host, there.images), *_remove_folders(there)]
    finally:
        folder.close()
    if options.json:
        print_json({**asdict(there), "removed": removes, "troubles": remains.troubles + failed})
    for sentence in (*remains.troubles, *failed):
        print_note(sentence)
    if options.yes and remains.troubles and not removes:
        print_note("Nothing was removed. `--forced` removes what can be found all the same.")
    return Exit.FAILED if failed or (options.yes and bool(there) and not removes) else Exit.OK


def _look(
    folder: StateFolder,
    manager: ComputeSessionManager,
    options: argparse.Namespace,
    *,
    remove: bool,
) -> Remains:
    """Hold the folder, so that no server begins to use it, and ask the engines."""
    if not folder.path.exists():
        return Remains()

    async def make_engine(name: str, secrets: InstallationSecrets) -> Engine:
        return await choose_engine(name, (), manager, signer=secrets, folder=folder.path)

    store = manager.store_class(parent=manager)
    work = Purge(folder, store, make_engine, manager.engine)
    try:
        with contextlib.ExitStack() as undo:
            if options.forced:
                undo.enter_context(contextlib.suppress(Standby))
            folder.open(note="jupyter sessmgr purge")
        return asyncio.run(work.run(remove=remove))
    except Standby as error:
        message = f"{error.message} Or say --forced: then its sessions are removed all the same."
        raise CommandFailed(message, Exit.UNAVAILABLE) from error
    except StoreRefused as error:
        return Remains(troubles=[error.message])


def _belongings(folder: Path, remains: Remains, images: list[str]) -> Belongings:
    files, size = size_of(folder)
    return Belongings(
        folder=str(folder),
        files=files,
        bytes=size,
        sessions=remains.places,
        kernelspecs=installed_kernelspecs(),
        images=images,
    )


def _tell(there: Belongings, *, removes: bool) -> None:
    if not there:
        print_note(f"There is nothing to remove: {there.folder} is not there.")
        return
    for name in there.sessions:
        print_line(f"session {name}, with what it has in memory")
    for name in (*there.kernelspecs, *(f"image {one}" for one in there.images)):
        print_line(name)
    if there.files:
        print_line(
            f"{there.folder}: {there.files} files, {there.bytes / _MIB:.1f} MiB, among them the "
            "home folders of sessions, and key pairs"
        )
    if not removes:
        print_note("This is what there is. `jupyter sessmgr purge --yes` removes it, for ever.")


def _remove_images(host: str, images: Iterable[str]) -> list[str]:
    """Remove images; return what could not be removed, a sentence each."""
    failed = []
    for image in images:
        try:
            remove_image(host, image)
        except EngineError as error:
            failed.append(f"The image {image} stays: {error.message}")
    return failed


def _remove_folders(there: Belongings) -> list[str]:
    """Remove kernelspecs, the state folder, and what its sessions had elsewhere."""
    folder = Path(there.folder)
    install_id = _read(folder / INSTALL_FILE)
    sockets = socket_roots(install_id) if install_id else []
    paths = [*map(Path, there.kernelspecs), *sockets, *([folder] if there.files else [])]
    failed = [sentence for path in paths if path.is_dir() for sentence in _remove_folder(path)]
    with contextlib.suppress(OSError):  # another host's folder is beside it
        folder.parent.rmdir()
    return failed


def _remove_folder(folder: Path) -> list[str]:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return [f"{error.filename or folder} stays ({error.strerror}). Remove it by hand."]
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def size_of(folder: Path) -> tuple[int, int]:
    """Count the files of a folder, and their bytes. Does not follow links."""
    files = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += (Path(parent) / name).lstat().st_size
                files += 1
    return files, size
