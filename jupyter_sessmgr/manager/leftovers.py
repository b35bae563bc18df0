"""What managers leave that keep nothing (tools without a server), when they are killed.

Each has an identity of its own, derived from the installation's secret and a name, and a file of
that name that it keeps locked. The system lets the lock go when the process ends, however it ends:
so a file that can be locked is of a process that is gone, and whoever has the installation's secret
can prove that what carries its identity is left over, and remove it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import EngineError, SessmgrError, StoreError
from jupyter_sessmgr.model.session import Place

#: The marks' folder in the state folder.
MARKS = "private"
#: Seconds between looks for marks of processes that are gone.
INTERVAL = 60.0
#: Seconds that the removal of what one of them left may take; then it is tried again.
_DEADLINE = 60.0
_MOST_BYTES = 4096

#: Makes an engine by its class's path, for an identity; it may be open already.
MakeEngine = Callable[[str, InstallationSecrets], Awaitable[Engine]]


class Mark:
    """A locked file that says: this process's manager lives. The methods block."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def make(cls, folder: Path) -> Mark:
        """Leave a mark in a state folder.

        Raises
        ------
        StoreError
            when it cannot be written.
        """
        name = os.urandom(5).hex()
        made, path = folder / MARKS / f".{name}", folder / MARKS / name
        try:
            made.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.rename(path)  # locked before anybody can see it
        except OSError as error:
            raise StoreError(
                f"The state folder {folder} cannot be used now ({error.strerror}). Look whether "
                "its disk is full or broken."
            ) from error
        return cls(path, handle)

    def secrets(self, installation: InstallationSecrets) -> InstallationSecrets:
        """Derive the identity of the manager that has this mark."""
        name = self.path.name
        return InstallationSecrets(installation.derive("private manager", name), name)

    def note(self, engine: Engine) -> None:
        """Write down which engine it uses, before that is asked for anything."""
        kind = type(engine)
        os.pwrite(self._handle, f"{kind.__module__}.{kind.__qualname__}".encode(), 0)

    def engine(self) -> str:
        """Read which engine it used; "" when it came to none."""
        return os.pread(self._handle, _MOST_BYTES, 0).decode("utf-8", "replace")

    def release(self) -> None:
        """Let the lock go; the file stays for whoever looks next."""
        os.close(self._handle)

    def remove(self) -> None:
        """Say that nothing is left."""
        self.path.unlink(missing_ok=True)
        self.release()


def abandoned(folder: Path) -> list[Mark]:
    """Take the marks of processes that are gone. Reads files."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in (folder / MARKS).iterdir():
            if path.name.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(handle)  # it lives, or somebody else is at it
                else:
                    found.append(Mark(path, handle))
    return found


class Leftovers:
    """Removes, now and then, what killed private managers left. Owned by every manager.

    Parameters
    ----------
    folder : Path
        The state folder.
    installation : InstallationSecrets
        The folder's own.
    make_engine : callable
        Makes an engine that sees what another identity made.
    """

    def __init__(
        self,
        folder: Path,
        installation: InstallationSecrets,
        make_engine: MakeEngine,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._folder = folder
        self._installation = installation
        self._make_engine = make_engine
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_forever(), name="sessmgr-leftovers")

    async def stop(self) -> None:
        """Stop looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look_forever(self) -> None:
        while True:
            try:
                for mark in await asyncio.to_thread(abandoned, self._folder):
                    await self._clear(mark)
            except OSError as error:
                self._log.warning("What killed tools left is not looked for: %s", error.strerror)
            await asyncio.sleep(INTERVAL)

    async def _clear(self, mark: Mark) -> None:
        done = False
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._remove_all(mark)
            done = True
        except (SessmgrError, TimeoutError) as error:
            self._log.info("What a killed tool left is removed later: %s", error)
        finally:
            await asyncio.shield(asyncio.to_thread(mark.remove if done else mark.release))

    async def _remove_all(self, mark: Mark) -> None:
        name = await asyncio.to_thread(mark.engine)
        if not name:
            return
        secrets = mark.secrets(self._installation)
        engine = await self._make_engine(name, secrets)
        try:
            if not engine.engine_id:
                await engine.open(secrets, self._folder)
            for found in await engine.survey():
                if found.signed and found.install_id == secrets.install_id:
                    self._log.info("Removing %s, which a killed tool left.", found.name)
                    place = Place(id=found.place_id, engine_id=engine.engine_id, key=found.key)
                    await engine.stop(place, 0.0)
        finally:
            with contextlib.suppress(EngineError):
                await engine.close()
