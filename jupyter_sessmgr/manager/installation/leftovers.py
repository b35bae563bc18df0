"""What managers leave that keep nothing (tools without a server), when they are killed.

Each has an identity of its own, derived from the installation's secret and a name, and a file of
that name that it keeps locked. The system lets the lock go when the process ends, however it ends:
so a file that can be locked is of a process that is gone, and whoever has the installation's secret
can prove that what carries its identity is left over, and remove it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.installation.marks import Mark, marks_in
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import EngineError, SessmgrError
from jupyter_sessmgr.model.session import Place

#: The marks' folder in the state folder.
MARKS = "private"
#: Seconds between looks for marks of processes that are gone.
INTERVAL = 60.0
#: Seconds that the removal of what one of them left may take; then it is tried again.
_DEADLINE = 60.0

#: Makes an engine by its class's path, for an identity; it may be open already.
MakeEngine = Callable[[str, InstallationSecrets], Awaitable[Engine]]


def leave_mark(folder: Path) -> Mark:
    """Mark the state folder as used by a manager that keeps nothing. Writes a file."""
    return Mark.make(folder / MARKS, os.urandom(5).hex())


def identity(mark: Mark, installation: InstallationSecrets) -> InstallationSecrets:
    """Derive the identity of the manager that has this mark."""
    name = mark.path.name
    return InstallationSecrets(installation.derive("private manager", name), name)


def note_engine(mark: Mark, engine: Engine) -> None:
    """Write down which engine a manager uses, before that is asked for anything."""
    kind = type(engine)
    mark.write(f"{kind.__module__}.{kind.__qualname__}")


def abandoned(folder: Path) -> list[Mark]:
    """Take the marks of processes that are gone. Reads files."""
    return [mark for _, mark in marks_in(folder / MARKS) if mark is not None]


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
        name = await asyncio.to_thread(mark.read)  # its engine; nothing when it came to none
        if not name:
            return
        secrets = identity(mark, self._installation)
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
