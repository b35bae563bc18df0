"""Sessions as the state folder keeps them, where no server runs: this program leads it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from traitlets.config import Config

from jupyter_sessmgr.cli.backend import Row, Sessions, Wanted, row_of
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.manager.owners import server_owner
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.events import Event, StartProgressed
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.session import ComputeSession

T = TypeVar("T")
#: What the manager logs is for servers; here only what goes wrong is for people.
_LOG = logging.getLogger("jupyter_sessmgr.cli")


def state_folder(config: Config) -> StateFolder:
    """Find the state folder that a server with this configuration would use."""
    return StateFolder(Path(unopened_manager(config).state_dir))


def unopened_manager(config: Config) -> ComputeSessionManager:
    """Make a manager for what its configuration says; it logs only what goes wrong."""
    if not _LOG.handlers:
        _LOG.addHandler(logging.StreamHandler())
        _LOG.setLevel(logging.ERROR)
        _LOG.propagate = False
    return ComputeSessionManager(config=config, log=_LOG)


def owner_of(config: Config) -> str:
    """Say whose sessions a server with this configuration would make, if it knew no people."""
    return str(config.get("SessMgrApp", {}).get("owner", "")) or server_owner()


def holder_of(config: Config) -> int | None:
    """Say which process holds the state folder, or held it last; None when none did."""
    return state_folder(config).holder().pid or None


class FolderSessions(Sessions):
    """The sessions of the person who runs the command, kept by a manager of its own.

    The manager works only while one of the methods runs; sessions go on meanwhile and after.

    Parameters
    ----------
    config : Config
        As a server would read it.

    Raises
    ------
    CommandFailed
        when somebody else holds the state folder.
    StoreRefused
        when the folder must not be used as it is.
    """

    ends_with_command = True

    def __init__(self, config: Config) -> None:
        self._runner = asyncio.Runner()
        self._owner = owner_of(config)
        self._manager = unopened_manager(config)
        self.where = f"state folder {self._manager.state_dir}"
        try:
            self._do(self._open())
        except BaseException:
            self._runner.close()
            raise

    async def _open(self) -> None:
        await self._manager.open()
        if not self._manager.leader:
            await self._manager.close()
            folder = StateFolder(Path(self._manager.state_dir))
            raise CommandFailed(
                f"The state folder {folder.path} is in use by {folder.holder()}, which could not "
                "be asked. Say how to reach that server with --server URL, or stop it.",
                Exit.UNAVAILABLE,
            )

    def close(self) -> None:
        """Let go of the state folder; sessions go on."""
        try:
            self._do(self._manager.close())
        finally:
            self._runner.close()

    def list(self, *, ended: bool) -> Sequence[Row]:
        """List the sessions, from memory."""
        return [self._row(one) for one in self._manager.list(self._owner, live=not ended)]

    def get(self, reference: str) -> Row:
        """Find a session, from memory."""
        return self._row(self._manager.find(reference, self._owner))

    def create(self, wanted: Wanted) -> tuple[Row, bool]:
        """Make a session; `settled` has to be called for it to start."""
        if not wanted.durable:
            raise CommandFailed(
                "A session that is not durable ends with its server, and none runs; leave "
                "--no-durable out.",
                Exit.USAGE,
            )
        request = CreateRequest(
            image=wanted.image,
            preset=wanted.preset,
            name=wanted.name or None,
            resources=wanted.resources,
            environ=wanted.environ,
            mounts=wanted.mounts,
            group=wanted.group or "default",
            tag=wanted.tag,
            session_type="batch" if wanted.command else "interactive",
            startup_command=wanted.command,
            bootstrap_script=wanted.bootstrap,
            preopen_ports=wanted.ports,
        )
        session, fresh = self._do(self._manager.create(request, self._owner))
        return self._row(session), fresh

    def settled(self, row: Row, timeout: float, tell: Callable[[str], None]) -> Row:
        """Wait for the start, hearing of its progress."""

        def hear(event: Event) -> None:
            if isinstance(event, StartProgressed) and event.session.id == row.id:
                tell(event.info or event.phase)

        unsubscribe = self._manager.subscribe(hear)
        try:
            return self._row(self._do(self._manager.settled(row.id, timeout)))
        finally:
            unsubscribe()

    def stop(self, row: Row, *, forced: bool) -> None:
        """End a session and wait for its removal."""
        self._do(self._manager.destroy(row.id, forced=forced))

    def logs(self, row: Row) -> str:
        """Ask the session's agent, or what is kept of it."""
        return self._do(self._manager.logs(row.id))

    def connection_info(self, row: Row) -> Mapping[str, Any]:
        """Say where the kernel is reached, and with which keys."""
        return self._manager.connection_info(row.id)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def _row(self, session: ComputeSession) -> Row:
        return row_of(session, time.time())
