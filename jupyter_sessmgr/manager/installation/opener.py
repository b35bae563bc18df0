"""Opens the manager of a server, and goes on trying."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError

#: Seconds until it is tried again where that can help.
OPEN_AGAIN = 2.0


class Opener:
    """Opens the manager once, whoever asks first, and again after it could not be opened.

    Parameters
    ----------
    sessions : ComputeSessionManager
        What is opened.
    loop : asyncio.AbstractEventLoop
        The server's, running or not.
    on_open : callable
        Called, and waited for, when it is open.
    log : logging.Logger
        Gets one line for each new reason why it cannot be opened.
    """

    def __init__(
        self,
        sessions: ComputeSessionManager,
        loop: asyncio.AbstractEventLoop,
        on_open: Callable[[], Awaitable[None]],
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._sessions = sessions
        self._loop = loop
        self._on_open = on_open
        self._log = log
        self._attempt: asyncio.Task[SessmgrError | None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._told = ""
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether the manager is open."""
        return self._open

    def begin(self) -> asyncio.Task[SessmgrError | None]:
        """Start to open, unless that is done or being done."""
        if self._attempt is None or (self._attempt.done() and not self._open):
            self._attempt = self._loop.create_task(self._try())
        return self._attempt

    async def ready(self) -> None:
        """Return when the manager is open. Whoever gives up waiting does not stop the opening.

        Raises
        ------
        SessmgrError
            which says why it cannot be opened, and what to do.
        """
        if self._open:
            return
        error = await asyncio.shield(self.begin())
        if error is not None:
            raise error

    async def trouble(self) -> str:
        """Say why the manager cannot be opened; "" when it is open."""
        if self._open:
            return ""
        error = await asyncio.shield(self.begin())
        return "" if error is None else error.message

    async def close(self) -> None:
        """Stop opening, and close what is open."""
        if self._again is not None:
            self._again.cancel()
        if self._attempt is not None and not self._attempt.done():
            self._attempt.cancel()
            await asyncio.wait({self._attempt})
        await self._sessions.close()

    async def _try(self) -> SessmgrError | None:
        try:
            await self._sessions.open()
        except SessmgrError as error:
            self._tell(f"No remote kernels: {error.message}")
            if error.retryable:  # until another server has ended, or has made its database
                self._again = self._loop.call_later(OPEN_AGAIN, self.begin)
            return error
        except Exception:  # noqa: BLE001 - see below
            # Whatever breaks here must not take local kernels along, and has to be seen.
            self._log.exception("No remote kernels: the session manager could not be opened.")
            return SessmgrError("The session manager could not be opened; see the server's log.")
        self._open = True
        try:
            await self._on_open()
        except Exception:  # noqa: BLE001 - as above
            self._log.exception("The session manager is open, but not all that follows was done.")
        return None

    def _tell(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._log.warning("%s", words)
