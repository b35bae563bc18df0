"""The runs of all sessions: queued, kept for their clients, ended with their kernel."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import zmq.asyncio

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NotRunning,
    SessmgrError,
    TooManyRequests,
)
from jupyter_sessmgr.model.events import Event, KernelDied, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession, KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.execution.channels import make_context
from jupyter_sessmgr.rest.execution.console import Budget
from jupyter_sessmgr.rest.execution.line import Line
from jupyter_sessmgr.rest.execution.run import GONE, Run

#: Runs that a session may have unfinished, and all sessions together.
SESSION_RUNS, ALL_RUNS = 32, 512
#: Runs that are kept in all, finished ones that nobody asked for included.
KEPT_RUNS = 2048
#: Seconds that nobody asks for a run, after which it is forgotten if it has finished, and
#: interrupted if it waits for input.
PATIENCE = 3600.0
#: Seconds between two looks for those.
SWEEP = 60.0
#: Seconds that a completion may take; the first of a kernel takes long, a busy one gives none.
COMPLETION_TIMEOUT = 10.0

#: A kernel does not heed an interrupt in the moment in which it begins; so it gets several, and
#: these seconds to heed each.
INTERRUPTS, INTERRUPT_PAUSE = 3, 2.0

_ALIVE = frozenset({SessionStatus.RUNNING, SessionStatus.SUSPENDED})
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
        self._budget = Budget()
        self._lines: dict[str, Line] = {}
        #: Every run that is kept, oldest first, with its session's id.
        self._runs: dict[tuple[str, str], Run] = {}
        self._context: zmq.asyncio.Context | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

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
        known = self._runs.get((session.id, run_id))
        if known is not None:
            if known.code != code:
                raise InvalidRequest(f"runId: {run_id!r:.80} is another run.", field="runId")
            return known
        line = self._line(session)
        self._make_room(session)
        run = Run(run_id or secrets.token_hex(8), code, self._budget)
        self._runs[session.id, run.id] = run
        self._spawn(self._conduct(session, line, run))
        if self._sweep is None:
            self._expire()
        return run

    def find(self, session_id: str, run_id: str) -> Run:
        """Find a run.

        Raises
        ------
        InvalidRequest
            when there is none, or no longer.
        """
        run = self._runs.get((session_id, run_id))
        if run is None:
            raise InvalidRequest(
                f"runId: this session has no run {run_id!r:.80} (any more). Begin one with the "
                'mode "query".',
                field="runId",
            )
        return run

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
        self._lines[session_id].answer(text)
        run.answered()

    async def interrupt(self, session: ComputeSession) -> None:
        """Interrupt what the session's kernel is doing, in the way the kernel wants it."""
        session = await self._sessions.resume_for_use(session.id)
        if self._sessions.interrupt_mode(session.id) != "message":
            await self._sessions.interrupt(session.id)
            return
        async with self._line(session).channels() as channels:
            channels.interrupt()

    def abandon(self, session: ComputeSession, run: Run) -> None:
        """Interrupt a run that nobody can ask for any more, when its turn has come."""
        self._spawn(self._interrupt_when_started(session, run))

    async def complete(self, session: ComputeSession, code: str, cursor: int) -> list[str] | None:
        """Ask the kernel what could stand at the cursor; None while it is busy."""
        session = await self._sessions.resume_for_use(session.id)
        async with self._line(session).channels() as channels:
            return await channels.complete(code, cursor, COMPLETION_TIMEOUT)

    async def close(self) -> None:
        """Let go of all kernels; what they do goes on, and its output is lost here."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._sweep is not None:
            self._sweep.cancel()
        for run in self._runs.values():
            run.end(GONE, "The server stops; what the code does in its session goes on.")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._lines.values():
            await line.close()
        self._lines.clear()
        self._runs.clear()
        if self._context is not None:
            self._context.destroy(linger=0)

    def _line(self, session: ComputeSession) -> Line:
        """Return the connection to a session's kernel of now, open or not."""
        died = self._sessions.kernel_exit(session.id)
        if died is not None:
            raise NotRunning(f"{_why_died(died)} Restart the session.", session=session.name)
        ready = session.observed_generation >= session.generation
        if session.status is not SessionStatus.RUNNING or not ready:
            raise NotRunning(
                f"Session {session.name} is {session.status}, so it runs no code now.",
                session=session.name,
            )
        info = self._sessions.connection_info(session.id)
        line = self._lines.get(session.id)
        if line is None or line.kernel != (session.place_id, session.observed_generation):
            self._listen()
            self._hang_up(session.id)
            line = Line(session, info, self._shared_context(), self._log)
            self._lines[session.id] = line
        return line

    def _shared_context(self) -> zmq.asyncio.Context:
        if self._context is None:
            self._context = make_context()
        return self._context

    def _listen(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self._sessions.subscribe(self._on_event)

    def _make_room(self, session: ComputeSession) -> None:
        """Refuse more than can be done, and forget what was finished longest ago."""
        going_on = [key for key, run in self._runs.items() if not run.ended.is_set()]
        of_session = sum(session_id == session.id for session_id, _ in going_on)
        if of_session >= SESSION_RUNS or len(going_on) >= ALL_RUNS:
            raise TooManyRequests(
                f"{of_session} runs of this session and {len(going_on)} in all are not finished "
                f"(at most {SESSION_RUNS} and {ALL_RUNS}). Wait for one of them.",
                session=session.name,
            )
        while len(self._runs) >= KEPT_RUNS:
            finished = next(key for key, run in self._runs.items() if run.ended.is_set())
            self._forget(finished)

    def _forget(self, key: tuple[str, str]) -> None:
        run = self._runs.pop(key, None)
        if run is not None:
            run.forget()

    def _expire(self) -> None:
        """Forget the finished runs that nobody asked for in a long time."""
        for key, run in tuple(self._runs.items()):
            if run.ended.is_set() and run.unasked > PATIENCE:
                self._forget(key)
        again = asyncio.get_running_loop().call_later
        self._sweep = again(SWEEP, self._expire) if self._runs else None

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
        while not await run.wait_for_end(SWEEP):
            if run.waits_for_input and run.unasked > PATIENCE:
                await self.interrupt(session)

    async def _interrupt_when_started(self, session: ComputeSession, run: Run) -> None:
        await run.started.wait()
        try:
            for _ in range(INTERRUPTS):
                if not run.ended.is_set():
                    await self.interrupt(session)
                    await run.wait_for_end(INTERRUPT_PAUSE)
        except SessmgrError as error:
            self._log.info("A run of session %s goes on: %s", session.id, error.message)
        await run.ended.wait()
        self._forget((session.id, run.id))

    @contextmanager
    def _noted(self, session_id: str) -> Iterator[None]:
        """Count an execution, and keep its session from being taken for idle meanwhile."""
        self._sessions.activity.note_query(session_id)
        with self._sessions.activity.client(session_id):
            yield

    def _on_event(self, event: Event) -> None:
        match event:
            case KernelDied():
                self._end_runs(event.session, _exit_code(event.exit), _why_died(event.exit))
            case StatusChanged() if event.session.status not in _ALIVE:
                self._end_runs(event.session, GONE, _why_gone(event.session))

    def _end_runs(self, session: ComputeSession, exit_code: int, words: str) -> None:
        for (session_id, _), run in self._runs.items():
            if session_id == session.id:
                run.end(exit_code, words)
        self._hang_up(session.id)

    def _hang_up(self, session_id: str) -> None:
        line = self._lines.pop(session_id, None)
        if line is not None:
            self._spawn(line.close())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="sessmgr-run")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("A run broke off.", exc_info=task.exception())


def _exit_code(ended: KernelExit) -> int:
    """Say a kernel's end as a shell does; one that ended with 0 did not finish the run either."""
    if not ended.code:
        return GONE
    return ended.code if ended.code > 0 else _SIGNALLED - ended.code


def _why_died(ended: KernelExit) -> str:
    return f"The kernel died: {ended.reason or 'nobody knows why.'}"


def _why_gone(session: ComputeSession) -> str:
    if session.status is SessionStatus.RESTARTING:
        return "The session was restarted; this run did not finish."
    why = session.failure or session.status_info
    return f"The session was ended; this run did not finish. {why}".strip()
