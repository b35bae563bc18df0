"""Opens what the manager stands on: state folder, secrets, store and engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine, agent_command
from jupyter_sessmgr.manager.agents.boot import prepare
from jupyter_sessmgr.manager.agents.links import AgentLinks
from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.installation import leftovers, others
from jupyter_sessmgr.manager.installation.marks import Mark
from jupyter_sessmgr.manager.installation.others import Others
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.manager.parts import Memory, Parts
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.model.errors import EngineError, Standby
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.store.base import Store, StoreHealth

#: Seconds that an engine may take to answer when a server starts.
OPEN_TIMEOUT = 10.0


class Opening:
    """What is open, and how to close it again, in the opposite order."""

    def __init__(
        self,
        folder: StateFolder,
        parts: Parts,
        installation: InstallationSecrets,
        mark: Mark | None,
        leads: bool,
    ) -> None:
        self.folder = folder
        self.parts = parts
        #: The folder's own secrets; those of a private manager are others.
        self.installation = installation
        #: Whether this server leads, since it held the lock first; else it follows another.
        self.leads = leads
        self._mark = mark

    async def close(self, *, clean: bool = True) -> None:
        """Close links, engine, store and the lock; places go on.

        Unless it is `clean`, what a private manager has is removed by the next manager.
        """
        await self.parts.links.close()
        await self.parts.engine.close()
        await self.parts.store.close()
        await self.parts.others.leave()
        await asyncio.to_thread(self.folder.close)
        if self._mark is not None:
            await asyncio.to_thread(self._mark.remove if clean else self._mark.release)


async def open_parts(
    path: Path,
    *,
    shared: bool,
    server_id: str,
    store: Store,
    choose: Callable[[InstallationSecrets, Path], Awaitable[Engine]],
    on_change: Callable[[str], None],
    autorestart: Callable[[ComputeSession], Awaitable[None]],
    activity: Activity,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> Opening:
    """Open everything; what was opened is closed again when a later part fails.

    Parameters
    ----------
    shared
        Do not take the leader's lock, and sign with an identity that ends with this process:
        for private managers, which keep nothing. With the folder's own identity, each would take
        the other's sessions for lost ones of its own.
    server_id
        Names this run of a server among the others that use the folder.

    Raises
    ------
    Standby
        when another server holds the folder that this one cannot follow.
    StoreRefused
        when the folder must not be used as it is.
    """
    folder = StateFolder(path)
    leads = await asyncio.to_thread(_join, folder, shared)
    async with contextlib.AsyncExitStack() as undo:
        undo.push_async_callback(asyncio.to_thread, folder.close)
        installation = await asyncio.to_thread(folder.secrets)
        mark, secrets = await _identify(path, installation, undo, shared=shared)
        undo.push_async_callback(store.close)
        memory = Memory()
        note_loss(await store.open(path, secrets, leads=leads), memory, log)
        beside = await _attend(path, server_id, store, log, undo) if not shared else Others()
        await asyncio.to_thread(_load, secrets)
        engine = await _note(mark, await choose(secrets, path))
        await open_engine(engine, secrets, path, log)
        undo.pop_all()
    parts = Parts(
        store=store,
        engine=engine,
        links=AgentLinks(secrets, on_change, log),
        secrets=secrets,
        folder=path,
        bus=EventBus(log),
        memory=memory,
        log=log,
        autorestart=autorestart,
        activity=activity,
        others=beside,
    )
    return Opening(folder, parts, installation, mark, leads)


def _load(secrets: InstallationSecrets) -> None:
    """Load what every start needs: the agent's files, and what makes certificates."""
    agent_command("")
    prepare()
    secrets.agent_certificate("")


async def _note(mark: Mark | None, engine: Engine) -> Engine:
    if mark is not None:
        await asyncio.to_thread(leftovers.note_engine, mark, engine)
    return engine


def _join(folder: StateFolder, shared: bool) -> bool:
    """Take the lead if nobody has it; say whether this server leads. Files are read."""
    folder.prepare()
    if shared:
        return True  # of a store of its own
    try:
        folder.acquire()
    except Standby:
        folder.check_release()
        return False
    return True


async def _attend(
    path: Path,
    server_id: str,
    store: Store,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    undo: contextlib.AsyncExitStack,
) -> Others:
    mark = await asyncio.to_thread(others.leave_mark, path, server_id)
    undo.push_async_callback(asyncio.to_thread, mark.remove)
    return Others(store, mark, log)


async def _identify(
    path: Path, installation: InstallationSecrets, undo: contextlib.AsyncExitStack, *, shared: bool
) -> tuple[Mark | None, InstallationSecrets]:
    if not shared:
        return None, installation
    mark = await asyncio.to_thread(leftovers.leave_mark, path)
    undo.push_async_callback(asyncio.to_thread, mark.remove)
    return mark, leftovers.identity(mark, installation)


def note_loss(
    health: StoreHealth,
    memory: Memory,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> None:
    """Note and say what opening the store as its leader found."""
    memory.rows_lost = health.is_new or bool(health.corrupt_copy)
    if health.corrupt_copy:
        memory.damage = (
            f"The sessions' database was damaged and was moved to {health.corrupt_copy}. Sessions "
            "that still run are taken back as they are found."
        )
        log.error("%s", memory.damage)


async def open_engine(
    engine: Engine,
    secrets: InstallationSecrets,
    path: Path,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> None:
    """Open the engine if it answers; the sweep tries again as long as it does not."""
    try:
        if not engine.engine_id:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await engine.open(secrets, path)
    except (EngineError, TimeoutError) as error:
        # Settings that make no sense count as an engine that is away: the server is needed for
        # local kernels all the same, and `health` says why.
        why = str(error) or f"no reply within {OPEN_TIMEOUT:.0f} s."
        log.warning("The %s engine does not answer: %s", engine.name, why)
        return
    for remark in remarks(engine):
        log.info("%s", remark)


def remarks(engine: Engine) -> tuple[str, ...]:
    """Say why it is this engine and what it does not enforce, each sentence once."""
    return tuple(dict.fromkeys(filter(None, (engine.why, *engine.notes()))))
