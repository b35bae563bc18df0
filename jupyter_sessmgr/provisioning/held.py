"""A session in the hands of a kernel manager: taken, watched, restarted, given back."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_sessmgr.manager.wishes import USER_REQUESTED
from jupyter_sessmgr.model.errors import SessionNotFound, SessmgrError, Standby, StartFailed
from jupyter_sessmgr.model.session import ComputeSession, KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning.control import never_wait
from jupyter_sessmgr.provisioning.locate import Home

#: Seconds that Jupyter waits for the removal of a session; it goes on without anybody waiting.
DESTROY_TIMEOUT = 30.0
#: An exit code where the true one is unknown.
UNKNOWN_EXIT = 1


class Held:
    """One kernel manager's hold on one session.

    While it lasts, the manager leaves a dead kernel to Jupyter, and nobody else adopts it.

    Parameters
    ----------
    home : Home
        Where the session lives.
    session_id : str
        Which session.
    made : bool
        Whether this kernel manager made the session; if so, it ends with its kernel.
    """

    def __init__(self, home: Home, session_id: str, *, made: bool) -> None:
        self.home = home
        self.id = session_id
        self.made = made
        #: Whether Jupyter's restarter was asked to say when it gives up.
        self.watched = False
        #: Whether it is Jupyter that restarts the kernel just now.
        self.restarting = False
        #: Whether the kernel is known to greet who begins to listen to it.
        self.greets = False
        self._given_back = False
        home.managed.add(session_id)
        home.tell(lambda: home.sessions.keep(session_id))

    def find(self) -> ComputeSession | None:
        """Look the session up in memory, an ended one included; None once the manager closed."""
        try:
            return self.home.find(self.id)
        except (SessionNotFound, Standby):
            return None

    def kernel_exit(self) -> KernelExit | None:
        """Say how the kernel ended; None while it lives or nothing is known."""
        try:
            return self.home.sessions.kernel_exit(self.id)
        except (SessionNotFound, Standby):
            return None

    def exit_code(self) -> int | None:
        """Say the kernel's exit code, from memory; None while it lives or nothing is known.

        A session whose engine or agent does not answer counts as alive: unknown is not dead. One
        that is being ended does, too, until it is gone: nobody should start its kernel again.
        """
        session = self.find()
        if session is None:
            return UNKNOWN_EXIT
        if session.status is SessionStatus.TERMINATING:
            return None
        ended = self.kernel_exit()
        if ended is None and session.is_live:
            return None
        return UNKNOWN_EXIT if ended is None or ended.code is None else ended.code

    def why_ended(self) -> str:
        """Say for people why the kernel or its session ended; "" when nothing is known."""
        session, ended = self.find(), self.kernel_exit()
        if session is None:
            return ""
        return session.failure or (ended.reason if ended is not None else "")

    async def interrupt(self, manager: Any) -> None:
        """Interrupt the kernel in the way its own kernelspec asks for.

        By SIGINT to its process group, which also ends blocking C code and child processes, or,
        where the kernelspec inside the image says so, by a message only: a kernel that wants
        messages may not survive the signal.
        """
        sessions = self.home.sessions
        if manager is not None and sessions.interrupt_mode(self.id) == "message":
            manager._connect_control_socket()  # noqa: SLF001 - as KernelManager does it
            never_wait(manager)
            message = manager.session.msg("interrupt_request", content={})
            manager.session.send(manager._control_socket, message)  # noqa: SLF001 - as above
        else:
            await self.home.call(lambda: sessions.interrupt(self.id))

    async def signal(self, signum: int) -> None:
        """Signal the kernel's process group."""
        await self.home.call(lambda: self.home.sessions.signal(self.id, signum))

    async def signal_or_log(self, signum: int) -> None:
        """Signal a kernel that is about to be ended anyway; its session is, in any case."""
        if self.exit_code() is not None:
            return
        try:
            await self.expect_exit()
            await self.signal(signum)
        except SessmgrError as error:
            self.home.sessions.log.warning("Session %s: signal %d: %s", self.id, signum, error)

    async def wake(self) -> None:
        """Resume the session if it is suspended, since its kernel is about to be spoken to."""
        if not is_suspended(self):
            return
        try:
            await self.home.call(lambda: self.home.sessions.resume_for_use(self.id))
        except SessmgrError as error:
            self.home.sessions.log.warning("Session %s is not resumed: %s", self.id, error)

    async def expect_exit(self) -> None:
        """Note that Jupyter asks the kernel to end; never fails, since it is ended anyway."""
        try:
            await self.home.call(lambda: self.home.sessions.expect_exit(self.id))
        except SessmgrError as error:
            self.home.sessions.log.debug("Session %s: %s", self.id, error)

    async def restart(self, timeout: float) -> None:
        """Have another kernel in the same session.

        Raises
        ------
        StartFailed
            when it was not ready within `timeout` seconds.
        """
        self.restarting = True
        try:
            await self.home.call(lambda: self.home.sessions.restart(self.id, timeout=timeout))
        except TimeoutError:
            raise StartFailed(
                f"The kernel did not restart within {timeout:g} s. Start it anew; if the engine "
                "is slow, raise SessionProvisioner.launch_timeout.",
                session=self.id,
            ) from None
        finally:
            self.restarting = False

    async def destroy(self, reason: str = USER_REQUESTED) -> None:
        """End the session, and return when nothing is left of it or after `DESTROY_TIMEOUT`.

        Never fails: Jupyter could do nothing about it, and the wish to end stands.
        """
        log = self.home.sessions.log
        try:
            async with asyncio.timeout(DESTROY_TIMEOUT):
                await self.home.finish(lambda: self.home.sessions.destroy(self.id, reason=reason))
        except SessionNotFound:
            log.debug("Session %s was gone already.", self.id)
        except TimeoutError:
            log.warning("Session %s is still ending; nobody waits for it any more.", self.id)
        except SessmgrError as error:
            log.warning("Session %s ends later: %s", self.id, error)
        finally:
            self.give_back()

    async def abandon(self, reason: str = USER_REQUESTED) -> None:
        """Let go of a session whose kernel Jupyter gave up: end it when it was made here."""
        if self.made:
            await self.destroy(reason)
        else:
            self.give_back()

    def forgotten(self) -> None:
        """Let go when the kernel manager was dropped without a word, from whichever thread.

        jupyter_client does so when a start fails or is cancelled after the kernel was launched.
        """
        if not self._given_back and not self.home.loop.is_closed():
            self.home.post(self.abandon)

    def give_back(self) -> None:
        """End the hold; the session goes on under the manager's own care."""
        if self._given_back:
            return
        self._given_back = True
        self.home.managed.discard(self.id)
        try:
            self.home.tell(lambda: self.home.sessions.unkeep(self.id))
        except Standby:
            self.home.sessions.log.debug("Session %s: the manager closed before.", self.id)


def held_of(manager: Any) -> Held | None:
    """Find the session of a kernel manager; None when its kernel is not one of ours."""
    held = getattr(getattr(manager, "provisioner", None), "held", None)
    return held if isinstance(held, Held) else None


def is_suspended(held: Held) -> bool:
    """Tell whether a session's clock stands; from memory."""
    session = held.find()
    return session is not None and session.status is SessionStatus.SUSPENDED
