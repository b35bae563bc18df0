"""Gets a session for a kernel: finds it or makes it, and waits until it can be used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotRunning, SessionNotFound, StartFailed
from jupyter_sessmgr.model.events import Event, StartProgressed
from jupyter_sessmgr.model.naming import new_session_id
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning.held import Held
from jupyter_sessmgr.provisioning.locate import Home

#: Seconds between looks at whether the clock stands still.
LOOK = 1.0
#: A kernel can be listed then; one whose session is suspended goes on when somebody opens it.
_SETTLED = frozenset({SessionStatus.RUNNING, SessionStatus.SUSPENDED})


def find_session(home: Home, kernel_id: str) -> Held | None:
    """Take the live session of this id, if the home's owner has one.

    Raises
    ------
    NotRunning
        when the session has no kernel, or has ended and a server would confuse the two.
    """
    try:
        session = home.find(kernel_id)
    except SessionNotFound:
        return None
    if session.is_live:
        if not session.spec.kernel:
            raise NotRunning(
                f"Session {session.name} has no kernel, so no notebook can use it.",
                session=session.name,
            )
        return Held(home, session.id, made=False)
    if home.is_server:
        raise NotRunning(
            f"Session {session.name} has ended. Start a new kernel.", session=session.name
        )
    return None


async def make_session(home: Home, request: CreateRequest) -> Held:
    """Create the session of a kernel; whoever is cancelled meanwhile leaves nothing behind."""
    session_id = _unused_id(home, request.session_id or new_session_id())
    request = replace(request, session_id=session_id)
    abandoned = made = False

    async def make() -> None:
        nonlocal made
        with telling(home.sessions, session_id):
            await home.sessions.create(request, home.owner)
        made = True
        if abandoned:
            await home.sessions.destroy(session_id)

    home.managed.add(session_id)
    try:
        await home.finish(make)
    except BaseException:
        home.managed.discard(session_id)
        abandoned = True
        if made:
            home.post(lambda: home.sessions.destroy(session_id))
        raise
    return Held(home, session_id, made=True)


def _unused_id(home: Home, kernel_id: str) -> str:
    """Choose the session's id: the kernel's.

    Outside a server a kernel manager may start again after its shutdown; the id of the session
    that ended is used up then.
    """
    try:
        home.find(kernel_id)
    except SessionNotFound:
        return kernel_id
    return kernel_id if home.is_server else new_session_id()


async def wait_until_settled(held: Held, timeout: float) -> ComputeSession:
    """Wait until the session's kernel can be used.

    Called by the provisioner. `timeout` is in seconds and stands still while the session waits in
    the queue, and while an image is pulled.

    Raises
    ------
    StartFailed
        when the session ended instead, or the time is over; the text is for people.
    """
    session = await held.home.call(lambda: _settle(held, timeout))
    if session.status not in _SETTLED:
        raise StartFailed(_ended_text(session), session=session.name)
    return session


async def _settle(held: Held, timeout: float) -> ComputeSession:
    sessions, left = held.home.sessions, timeout
    with telling(sessions, held.id):
        while left > 0:
            stands_still = _is_queued(held) or _is_pulling(held)
            try:
                return await sessions.settled(held.id, timeout=min(left, LOOK))
            except TimeoutError:
                left -= 0.0 if stands_still else LOOK
    raise StartFailed(_late_text(held, timeout), session=held.id)


@contextlib.contextmanager
def telling(sessions: ComputeSessionManager, session_id: str) -> Iterator[None]:
    """Log how far a start has come, and what admission remarks, a line for each new phase."""
    said = ""

    def listen(event: Event) -> None:
        nonlocal said
        if not isinstance(event, StartProgressed) or event.session.id != session_id:
            return
        words = event.info if event.phase == "queued" else event.phase
        if words != said:
            sessions.log.info("Session %s: %s", event.session.name, event.info or event.phase)
        said = words

    unsubscribe = sessions.subscribe(listen)
    try:
        yield
    finally:
        unsubscribe()


def _is_queued(held: Held) -> bool:
    return held.home.sessions.queue.place_of(held.id) is not None


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
