"""A real manager on an engine in memory."""

from __future__ import annotations

import contextlib
import logging

import pytest

from jupyter_sessmgr.manager.installation import opening
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.store.memory import MemoryStore
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine, FakeLinks
from tests.plugins.managers import without_spares


class LatestEngine(FakeEngine):
    """One that its links find, since both are made inside the manager."""

    latest = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        type(self).latest = self


@contextlib.asynccontextmanager
async def fake_manager(state_dir, *, config=None, **traits):
    """Open a manager on a `FakeEngine`, reachable as `engine_there`; close it at the end."""
    traits = {"store_class": MemoryStore, "log": logging.getLogger("manager"), **traits}
    traits["config"] = without_spares(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            opening,
            "AgentLinks",
            lambda _secrets, on_change, log: FakeLinks(LatestEngine.latest, on_change, log),
        )
        manager = ComputeSessionManager(
            state_dir=str(state_dir), engine=f"{__name__}.LatestEngine", **traits
        )
        manager.admission.allowed_images = [FAKE_IMAGE]
        await manager.open()
    manager.engine_there = LatestEngine.latest
    try:
        yield manager
    finally:
        await manager.close()


async def begun(manager, owner="me", **asked):
    """Create a session of the fake image and wait until it runs."""
    request = CreateRequest(**{"image": FAKE_IMAGE, "kernel": "python3", **asked})
    session, _ = await manager.create(request, owner)
    return await manager.settled(session.id, 10)
