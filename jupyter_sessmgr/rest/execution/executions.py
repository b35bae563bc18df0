"""Runs code in the kernels of sessions, from its first request to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import InvalidRequest, SessmgrError
from jupyter_sessmgr.model.events import Event, KernelDied, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession, KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.execution import book
from jupyter_sessmgr.rest.execution.exchange import Exchange, why_died
from jupyter_sessmgr.rest.execution.line import Line
from jupyter_sessmgr.rest.execution.run import GONE, Run, fingerprint, within
from jupyter_sessmgr.rest.execution.tasks import Tasks

#: Seconds that a completion may take; the first of a kernel takes long, a busy one gives none.
COMPLETION_TIMEOUT = 10.0
#: A kernel does not heed an interrupt in the moment in which it begins; so it gets several, and
#: these seconds to heed each.
INTERRUPTS, INTERRUPT_PAUSE = 3, 2.0

_ALIVE = frozenset({SessionStatus.RUNNING, SessionStatus.SUSPENDED})
#: What a shell adds to the number of the signal that ended a process.
_SIGNALLED = 128


class Executions:
    """Runs code in kernels, on behalf of clients that come and go.

    Made by the extension's app. A run goes on when its client goes away; whoever knows its id,
    and owns its session, can go on with it.

    Parameters
    ----------
    sessions : ComputeSessionManager
        Whose kernels they are.
    log : logging.Logger
        The server's.
    """

    def __init__(
        self,
        sessions: ComputeSessionManager,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._sessions = sessions
        self._log = log
        self._tasks = Tasks(log)
        self._runs = book.RunBook()
        self._exchange = Exchange(sessions, self._tasks, log)
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self, session: ComputeSession, code: str, run_id: str = "") -> Run:
        """Begin a run, behind those that the session's kernel has to do already.

        The same code under the same id is the run that was begun before: an answer that was lost
        may be asked for again.

        Raises
        ------
        NotRunning
            unless the session has a kernel that runs.
        InvalidRequest
            when another run has this id.
        TooManyRequests
            when there are too many runs.
        """
        session = await self._sessions.resume_for_use(session.id)
        known = self._runs.get(session.id, run_id)
        if known is not None:
            if known.fingerprint != fingerprint(code):
                raise InvalidRequest(f"runId: {run_id!r:.80} is another run.", field="runId")
            return known
        line = self._exchange.line(session)
        run = self._runs.add(session, code, run_id)
        if self._unsubscribe is None:
            self._unsubscribe = self._sessions.subscribe(self._on_event)
        self._tasks.spawn(self._conduct(session, line, run))
        return run

    def find(self, session_id: str, run_id: str) -> Run:
        """Find a run.

        Raises
        ------
        InvalidRequest
            when there is none, or no longer.
        """
        return self._runs.find(session_id, run_id)

    def answer(self, session_id: str, run: Run, text: str) -> None:
        """Give a run the line of input that it waits for.

        Raises
        ------
        InvalidRequest
            when it works on, and waits for none.
        """
        if run.ended.is_set():
            return
        if not run.waits_for_input:
            raise InvalidRequest("mode: this run does not wait for input.", field="mode")
        self._exchange.answer(session_id, text)
        run.answered()

    async def interrupt(self, session: ComputeSession) -> None:
        """Interrupt what the session's kernel is doing, in the way the kernel wants it."""
        session = await self._sessions.resume_for_use(session.id)
        if self._sessions.interrupt_mode(session.id) != "message":
            await self._sessions.interrupt(session.id)
            return
        async with self._exchange.line(session).channels() as channels:
            channels.interrupt()

    def abandon(self, session: ComputeSession, run: Run) -> None:
        """Interrupt a run that nobody can ask for any more, when its turn has come."""
        self._tasks.spawn(self._interrupt_when_started(session, run))

    async def complete(self, session: ComputeSession, code: str, cursor: int) -> list[str] | None:
        """Ask the kernel what could stand at the cursor; None while it is busy."""
        session = await self._sessions.resume_for_use(session.id)
        async with self._exchange.line(session).channels() as channels:
            return await channels.complete(code, cursor, COMPLETION_TIMEOUT)

    async def close(self) -> None:
        """Let go of all kernels; what they do goes on, and its output is lost here."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._runs.close(GONE, "The server stops; what the code does in its session goes on.")
        await self._tasks.close()
        await self._exchange.close()

    async def _conduct(self, session: ComputeSession, line: Line, run: Run) -> None:
        """See a run through."""
        try:
            async with line.channels() as channels:
                with self._noted(session.id):
                    channels.execute(run)
                    await self._until_ended(session, run)
                channels.drop(run)
        except SessmgrError as error:
            run.end(GONE, error.message)
        finally:
            run.end(GONE, "The run was given up; the server's log says why.")

    async def _until_ended(self, session: ComputeSession, run: Run) -> None:
        """Wait until a run has ended; interrupt one whose question nobody hears."""
        while not await within(run.ended, book.SWEEP):
            if run.waits_for_input and run.unasked > book.PATIENCE:
                await self.interrupt(session)

    async def _interrupt_when_started(self, session: ComputeSession, run: Run) -> None:
        await run.started.wait()
        try:
            for _ in range(INTERRUPTS):
                if not run.ended.is_set():
                    await self.interrupt(session)
                    await within(run.ended, INTERRUPT_PAUSE)
        except SessmgrError as error:
            self._log.info("A run of session %s goes on: %s", session.id, error.message)
        await run.ended.wait()
        self._runs.forget(session.id, run.id)

    @contextmanager
    def _noted(self, session_id: str) -> Iterator[None]:
        """Count an execution, and keep its session from being taken for idle meanwhile."""
        self._sessions.activity.note_query(session_id)
        with self._sessions.activity.client(session_id):
            yield

    def _on_event(self, event: Event) -> None:
        """End the runs of a kernel that has gone."""
        match event:
            case KernelDied():
                for run in self._runs.of(event.session.id):
                    run.die(_exit_code(event.exit), why_died(event.exit))
            case StatusChanged() if event.session.status not in _ALIVE:
                for run in self._runs.of(event.session.id):
                    run.end(GONE, _why_gone(event.session))
                self._exchange.hang_up(event.session.id)


def _exit_code(ended: KernelExit) -> int:
    """Say a kernel's end as a shell does; one that ended with 0 did not finish the run either."""
    if not ended.code:
        return GONE
    return ended.code if ended.code > 0 else _SIGNALLED - ended.code


def _why_gone(session: ComputeSession) -> str:
    if session.status is SessionStatus.RESTARTING:
        return "The session was restarted; this run did not finish."
    why = session.failure or session.status_info
    return f"The session was ended; this run did not finish. {why}".strip()
