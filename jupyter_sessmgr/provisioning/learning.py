"""Learns what a kernel does that began before this server looked at it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from jupyter_sessmgr.manager.recording.journal import KernelNow
from jupyter_sessmgr.provisioning.channels.kernelinfo import have_said, kernel_now
from jupyter_sessmgr.provisioning.locate import Home

#: Seconds that a kernel may take to answer before it counts as busy for good.
STATE_TIMEOUT = 3600.0
#: Seconds after which Jupyter surely hears a kernel that it has subscribed to.
_SUBSCRIBED = 1.0


async def learn_state(home: Home, manager: Any, session_id: str, guess: str) -> None:
    """Tell Jupyter what a kernel does, unless it knows more than a guess already.

    The recorder beside the kernel knows; where there is none, the kernel's answer shows that it
    is idle. Called by the adopter.

    Parameters
    ----------
    home : Home
        Where the session lives.
    manager : jupyter_client.KernelManager
        The kernel's.
    session_id : str
        Which session.
    guess : str
        What Jupyter was told until now.
    """
    now = await kernel_now(home.sessions, session_id)
    if now is None or now.execution_state == "starting":
        await _wait_for_answer(manager, guess)
    else:
        have_said(manager, now)
        _tell(manager, guess, now)
    # It may have become idle, or busy, before Jupyter heard it at all.
    told = manager.execution_state
    await asyncio.sleep(_SUBSCRIBED)
    now = await kernel_now(home.sessions, session_id)
    if now is not None and now.execution_state != "starting":
        _tell(manager, told, now)


def _tell(manager: Any, guess: str, now: KernelNow) -> None:
    if manager.execution_state == guess:
        manager.execution_state = now.execution_state
        if now.last_activity:
            manager.last_activity = datetime.fromtimestamp(now.last_activity, UTC)


async def _wait_for_answer(manager: Any, guess: str) -> None:
    """Wait until a kernel answers; note that it is idle then, if no more than a guess is known."""
    channel = manager.connect_shell()
    answered = asyncio.Event()
    try:
        channel.on_recv(lambda _message: answered.set())
        manager.session.send(channel, "kernel_info_request")
        async with asyncio.timeout(STATE_TIMEOUT):
            await answered.wait()
        if manager.execution_state == guess:
            manager.execution_state = "idle"
    except TimeoutError:
        return
    finally:
        channel.close()
