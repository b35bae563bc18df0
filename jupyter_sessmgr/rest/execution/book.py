"""The runs that somebody may ask for, and how many there may be."""

from __future__ import annotations

import asyncio
import secrets

from jupyter_sessmgr.model.errors import InvalidRequest, TooManyRequests
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.execution.console import Budget
from jupyter_sessmgr.rest.execution.run import Run

#: Runs that a session may have unfinished, and all sessions together.
SESSION_RUNS, ALL_RUNS = 32, 512
#: Runs that are kept in all, finished ones that nobody asked for included.
KEPT_RUNS = 2048
#: Seconds that nobody asks for a run, after which it is forgotten if it has finished, and
#: interrupted if it waits for input.
PATIENCE = 3600.0
#: Seconds between two looks for those.
SWEEP = 60.0


class RunBook:
    """Keeps runs by session and id, oldest first, within bounds."""

    def __init__(self) -> None:
        self.budget = Budget()
        self._runs: dict[tuple[str, str], Run] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, session_id: str, run_id: str) -> Run | None:
        """Return a run; None when there is none, or no longer."""
        return self._runs.get((session_id, run_id))

    def find(self, session_id: str, run_id: str) -> Run:
        """Return a run.

        Raises
        ------
        InvalidRequest
            when there is none, or no longer.
        """
        run = self.get(session_id, run_id)
        if run is None:
            raise InvalidRequest(
                f"runId: this session has no run {run_id!r:.80} (any more). Begin one with the "
                'mode "query".',
                field="runId",
            )
        return run

    def add(self, session: ComputeSession, code: str, run_id: str = "") -> Run:
        """Make a run, and room for it.

        Raises
        ------
        TooManyRequests
            when too many are not finished.
        """
        self._make_room(session)
        run = Run(run_id or secrets.token_hex(8), code, self.budget)
        self._runs[session.id, run.id] = run
        if self._sweep is None:
            self._expire()
        return run

    def forget(self, session_id: str, run_id: str) -> None:
        """Drop a run, and what it wrote."""
        run = self._runs.pop((session_id, run_id), None)
        if run is not None:
            run.forget()

    def of(self, session_id: str) -> list[Run]:
        """List the runs of a session."""
        return [run for (of_session, _), run in self._runs.items() if of_session == session_id]

    def close(self, exit_code: int, words: str) -> None:
        """End all runs there are."""
        if self._sweep is not None:
            self._sweep.cancel()
        for run in self._runs.values():
            run.end(exit_code, words)
        self._runs.clear()

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
            self.forget(*next(key for key, run in self._runs.items() if run.ended.is_set()))

    def _expire(self) -> None:
        """Forget the finished runs that nobody asked for in a long time."""
        for key, run in tuple(self._runs.items()):
            if run.ended.is_set() and run.unasked > PATIENCE:
                self.forget(*key)
        again = asyncio.get_running_loop().call_later
        self._sweep = again(SWEEP, self._expire) if self._runs else None
