"""Waits for a session's kernel and tells people how far the start has come."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_sessmgr.model.errors import StartFailed
from jupyter_sessmgr.model.events import Event, StartProgressed
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning.held import Held

#: Seconds between looks at whether an image is being pulled, which stops the clock.
LOOK = 1.0


async def wait_until_settled(held: Held, timeout: float) -> ComputeSession:
    """Wait until the session's kernel can be used.

    Called by the provisioner. `timeout` is in seconds and stands still while an image is pulled.

    Raises
    ------
    StartFailed
        when the session ended instead, or the time is over; the text is for people.
    """
    session = await held.home.call(lambda: _settle(held, timeout))
    if session.status is not SessionStatus.RUNNING:
        raise StartFailed(_ended_text(session), session=session.name)
    return session


async def _settle(held: Held, timeout: float) -> ComputeSession:
    sessions, log = held.home.sessions, held.home.sessions.log
    unsubscribe = sessions.subscribe(_teller(held.id, log.info))
    left = timeout
    try:
        while True:
            pulling = _is_pulling(held)
            try:
                return await sessions.settled(held.id, timeout=max(0.01, min(left, LOOK)))
            except TimeoutError:
                left -= 0.0 if pulling else LOOK
            if left <= 0:
                raise StartFailed(_late_text(held, timeout), session=held.id)
    finally:
        unsubscribe()


def _teller(session_id: str, tell: Callable[..., None]) -> Callable[[Event], None]:
    said = ""

    def listen(event: Event) -> None:
        nonlocal said
        if isinstance(event, StartProgressed) and event.session.id == session_id:
            if event.phase != said:
                tell("Session %s: %s", event.session.name, event.info or event.phase)
            said = event.phase

    return listen


def _is_pulling(held: Held) -> bool:
    session = held.find()
    return session is not None and session.status is SessionStatus.PULLING


def _late_text(held: Held, timeout: float) -> str:
    session = held.find()
    doing = session.status_info or session.status.lower() if session is not None else "unknown"
    return (
        f"The kernel was not ready within {timeout:g} s (it was: {doing}). Try again; if the "
        "engine is slow, raise SessionProvisioner.launch_timeout."
    )


def _ended_text(session: ComputeSession) -> str:
    if session.failure:
        return session.failure
    if session.status in (SessionStatus.CANCELLED, SessionStatus.TERMINATED):
        return "The start of the kernel was cancelled."
    return session.status_info or "The session ended before its kernel was ready."
