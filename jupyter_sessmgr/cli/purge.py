"""``jupyter sessmgr purge``: remove the state folder, with everything that was made from it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.imagecmd import docker_host
from jupyter_sessmgr.cli.local import unopened_manager
from jupyter_sessmgr.cli.output import Progress, print_json, print_line, print_note
from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.engines.choose import choose_engine
from jupyter_sessmgr.engines.docker.build import BuiltImages, built_images, remove_image
from jupyter_sessmgr.engines.process.records import remove_tree, socket_roots
from jupyter_sessmgr.manager.installation.belongings import recognise, sort_out
from jupyter_sessmgr.manager.installation.purging import Purge, Remains
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import EngineError, Standby, StoreRefused
from jupyter_sessmgr.provisioning.kernelspecs import installed_kernelspecs

_MIB = 2**20
#: How many of the things that stay are told.
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What there is to be removed."""

    folder: str
    #: Of the folder, as far as they are ours; 0 when it is not there.
    files: int
    bytes: int
    #: Names of containers and local sessions.
    sessions: list[str]
    #: Files by which Jupyter's clients connect to their kernels, with these kernels' keys.
    connections: list[str]
    #: Folders of kernelspecs for tools without a server.
    kernelspecs: list[str]
    #: Images that were built; only when they were asked for.
    images: list[str]
    #: What stays, because it was not made here: names in the folder, and of images.
    foreign: list[str]

    def __bool__(self) -> bool:
        return bool(self.files or self.sessions or self.paths or self.images)

    @property
    def paths(self) -> list[str]:
        """What lies outside the folder."""
        return [*self.connections, *self.kernelspecs]


def purge(options: argparse.Namespace) -> Exit:
    """Say what there is; with ``--yes`` remove it."""
    config = load_config(options.traits)
    manager, host = unopened_manager(config), docker_host(config)
    folder = StateFolder(Path(manager.state_dir))
    gone, failed = False, list[str]()
    try:
        secrets, remains = _look(folder, manager, options, remove=False)
        images = built_images(host) if options.images else BuiltImages([], [])
        there = _belongings(folder.path, remains, images)
        removes = options.yes and bool(there) and (options.forced or not remains.troubles)
        if not options.json:
            _tell(there, removes=removes)
        if removes:
            with Progress("Removing"):
                _, remains = _look(folder, manager, options, remove=True)
                gone = options.forced or not remains.troubles
                if gone:
                    install_id = secrets.install_id if secrets is not None else ""
                    failed = _remove_all(folder.path, install_id, there, host)
    finally:
        folder.close()
    if options.json:
        print_json({**asdict(there), "removed": gone, "troubles": remains.troubles + failed})
    for sentence in (*remains.troubles, *failed):
        print_note(sentence)
    if options.yes and bool(there) and not gone:
        what = "The state folder stays." if removes else "Nothing was removed."
        print_note(f"{what} `--forced` removes what can be found all the same.")
    elif gone and not failed:
        print_note("All of that is removed.")
    return Exit.FAILED if failed or (options.yes and bool(there) and not gone) else Exit.OK


def _look(
    folder: StateFolder,
    manager: ComputeSessionManager,
    options: argparse.Namespace,
    *,
    remove: bool,
) -> tuple[InstallationSecrets | None, Remains]:
    """Hold the folder, so that no server begins to use it, and ask the engines."""

    async def make_engine(name: str, secrets: InstallationSecrets) -> Engine:
        return await choose_engine(name, (), manager, signer=secrets, folder=folder.path)

    store = manager.store_class(parent=manager)
    work = Purge(folder, store, make_engine, manager.engine)
    try:
        secrets = recognise(folder)  # before anything is written there
        if secrets is None:
            return None, Remains()
        with contextlib.ExitStack() as undo:
            if options.forced:
                undo.enter_context(contextlib.suppress(Standby))
            folder.open(note="jupyter sessmgr purge")
        return secrets, asyncio.run(work.run(remove=remove))
    except Standby as error:
        message = f"{error.message} Or say --forced: then its sessions are removed all the same."
        raise CommandFailed(message, Exit.UNAVAILABLE) from error
    except StoreRefused as error:
        raise CommandFailed(f"Nothing was removed. {error.message}") from error


def connection_files(session_ids: Iterable[str]) -> list[str]:
    """Find what Jupyter wrote down of these kernels, and keeps while they go on without it."""
    paths = (Path(jupyter_runtime_dir(), f"kernel-{one}.json") for one in session_ids)
    return [str(path) for path in paths if path.is_file()]


def _belongings(folder: Path, remains: Remains, images: BuiltImages) -> Belongings:
    found = sort_out(folder)
    sizes = [size_of(path) for path in (*found.contents, *found.identity)]
    return Belongings(
        folder=str(folder),
        files=sum(files for files, _ in sizes),
        bytes=sum(size for _, size in sizes),
        sessions=remains.places,
        connections=connection_files(remains.sessions),
        kernelspecs=installed_kernelspecs(),
        images=images.ours,
        foreign=[*map(str, found.foreign), *(f"image {name}" for name in images.others)],
    )


def _tell(there: Belongings, *, removes: bool) -> None:
    if not there:
        print_note(f"There is nothing to remove: {there.folder} is not there.")
        return
    for name in there.sessions:
        print_line(f"session {name}, with what it has in memory")
    for name in (*there.paths, *(f"image {one}" for one in there.images)):
        print_line(name)
    if there.files:
        print_line(
            f"{there.folder}: {there.files} files, {there.bytes / _MIB:.1f} MiB, among them the "
            "home folders of sessions, and key pairs"
        )
    for name in there.foreign:
        print_note(f"{name} stays: it was not made here.")
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


def _remove_all(folder: Path, install_id: str, there: Belongings, host: str) -> list[str]:
    """Remove what there is, the folder's secret last; return what stays, a sentence each."""
    failed = [*_remove_images(host, there.images), *_remove_paths(map(Path, there.paths))]
    if not install_id:
        return failed
    found = sort_out(folder)
    stays = _remove_paths([*socket_roots(install_id), *found.contents])
    if stays:
        stays.append(f"The secret in {folder} stays, too. Then say purge once more.")
        return failed + stays
    failed += _remove_paths(found.identity)
    with contextlib.suppress(OSError):  # what is not ours is in it
        folder.rmdir()
        if folder.parent.name == "sessmgr":  # another host's folder may be beside it
            folder.parent.rmdir()
    return failed


def _remove_paths(paths: Iterable[Path]) -> list[str]:
    errors = [error for path in paths for error in remove_tree(path)]
    told = [_stays(error) for error in errors[:_MOST_TOLD]]
    more = len(errors) - len(told)
    return [*told, f"{more} more stay."] if more else told


def _stays(error: OSError) -> str:
    return f"{error.filename} stays ({error.strerror}). Remove it by hand."


def size_of(path: Path) -> tuple[int, int]:
    """Count a file, or the files of a folder, and their bytes. Does not follow links."""
    if path.is_symlink() or not path.is_dir():
        return _count([path])
    return _count(Path(parent, name) for parent, _, names in os.walk(path) for name in names)


def _count(paths: Iterable[Path]) -> tuple[int, int]:
    files = size = 0
    for path in paths:
        with contextlib.suppress(OSError):
            size += path.lstat().st_size
            files += 1
    return files, size
