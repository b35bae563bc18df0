"""A manager for one command, that shares nothing with a server's."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from traitlets.config import Config

from jupyter_sessmgr.manager.sessions import ComputeSessionManager

#: What it logs is for nobody: findings and errors say what people need.
_QUIET = logging.getLogger("jupyter_sessmgr.cli.private")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@asynccontextmanager
async def private_manager(config: Config) -> AsyncIterator[ComputeSessionManager]:
    """Have a manager with a folder of its own; folder and sessions end with it.

    Raises
    ------
    SessmgrError
        when it cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="sessmgr-") as folder:
        own = Config(config)
        own.ComputeSessionManager.state_dir = folder
        own.ComputeSessionManager.store_class = "jupyter_sessmgr.store.memory.MemoryStore"
        sessions = ComputeSessionManager(config=own, log=_QUIET)
        await sessions.open()
        try:
            yield sessions
        finally:
            await sessions.close()
