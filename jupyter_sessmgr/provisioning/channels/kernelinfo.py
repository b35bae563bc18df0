"""Answers for a kernel that is too busy to say what it is.

Jupyter asks a kernel before it opens a websocket, and JupyterLab once more after; a kernel that
runs a long cell answers when that ends. What it said to the recorder beside it is as good.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

from jupyter_sessmgr.manager.recording.journal import KernelNow
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.provisioning.channels.frames import Asked
from jupyter_sessmgr.provisioning.channels.writer import Writer
from jupyter_sessmgr.provisioning.held import held_of

#: Seconds that the recorder has to answer; without it Jupyter asks the kernel.
ASK_TIMEOUT = 3.0
#: Seconds until a recorder that did not know, or could not be reached, is asked again.
ASK_AGAIN = 0.2


async def kernel_now(sessions: ComputeSessionManager, session_id: str) -> KernelNow | None:
    """Ask the recorder beside a kernel what that does; None when there is none or no answer."""
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            return await sessions.journal.state(session_id)
    except (SessmgrError, TimeoutError):
        return None


def has_said(manager: Any) -> dict[str, Any]:
    """Return what Jupyter knows that a kernel said of itself; empty when it does not know yet."""
    future = getattr(manager, "_kernel_info_future", None)
    if future is None or not future.done() or future.cancelled():
        return {}
    known = future.result()
    return known if isinstance(known, dict) else {}


def have_said(manager: Any, now: KernelNow) -> None:
    """Let Jupyter know what a kernel said of itself, so that nobody has to wait for it."""
    held, info = held_of(manager), now.kernel_info
    if held is not None:
        held.greets = held.greets or now.greets
    if not info or has_said(manager):
        return
    future = getattr(manager, "_kernel_info_future", None)
    if future is None or future.done():
        future = manager._kernel_info_future = Future()  # noqa: SLF001 - jupyter_server's own way
    future.set_result(info)


@contextlib.asynccontextmanager
async def learning(
    manager: Any, sessions: ComputeSessionManager, session_id: str
) -> AsyncIterator[None]:
    """Have Jupyter wait for what a kernel is no longer than until its recorder says so.

    The recorder is asked at once, and again as long as the context lasts and nobody has said it:
    a server that was just started may not have reached it yet.
    """
    await _learn_now(manager, sessions, session_id)
    asking = asyncio.create_task(
        _learn(manager, sessions, session_id), name=f"sessmgr-info-{session_id}"
    )
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _learn(manager: Any, sessions: ComputeSessionManager, session_id: str) -> None:
    while not has_said(manager):
        await asyncio.sleep(ASK_AGAIN)
        await _learn_now(manager, sessions, session_id)


async def _learn_now(manager: Any, sessions: ComputeSessionManager, session_id: str) -> None:
    now = None if has_said(manager) else await kernel_now(sessions, session_id)
    if now is None:
        return
    have_said(manager, now)
    if now.execution_state == "idle" and manager.execution_state == "starting":
        manager.execution_state = "idle"  # Jupyter would look for it each 50 ms before it opens


def answer(writer: Writer, asked: Asked, info: dict[str, Any]) -> None:
    """Answer a browser in a busy kernel's place, which stays busy for all that looks at it."""
    writer.say("status", {"execution_state": "busy"}, asked.header)
    writer.say("kernel_info_reply", {"status": "ok", **info}, asked.header, channel="shell")
    writer.say("status", {"execution_state": "idle"}, asked.header)
    writer.say("status", {"execution_state": "busy"}, {})
