"""Writes wishes down, and has them looked at. Nothing else writes a session's wishes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol
from weakref import WeakValueDictionary

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal

#: Why sessions end that somebody asked to end, and those that end with their server.
USER_REQUESTED, SERVER_STOPPED = "user-requested", "server-stopped"
#: Why those end whose kernel Jupyter started again in vain.
KERNEL_DIED = "kernel-died"


class Looker(Protocol):
    """Who looks at sessions of which something is wished."""

    leads: bool

    def poke(self, session_id: str) -> None:
        """Look at a session soon."""

    def interrupt_start(self, session_id: str) -> None:
        """Break off a start that is under way."""


class Wishes:
    """The pen of the manager."""

    def __init__(self, parts: Parts, looker: Looker) -> None:
        self._parts = parts
        self._looker = looker
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def made(self, session: ComputeSession) -> None:
        """Have a session that was just added looked at."""
        self._looker.poke(session.id)

    async def stop(
        self,
        session: ComputeSession,
        *,
        forced: bool = False,
        reason: str = USER_REQUESTED,
        as_judged: bool = False,
    ) -> None:
        """Wish for a session's end. A wish that cannot be stored travels in memory, if it can.

        Of several reasons the first is kept: it is the one that the session ends for. One that is
        to end `as_judged` does not when it was given more time since.

        Raises
        ------
        StoreError
            when it cannot be stored, and another server is the one to do it.
        """

        def wish(current: ComputeSession) -> ComputeSession:
            if as_judged and _time_given(current) != _time_given(session):
                return current
            return replace(
                current,
                goal=Goal.STOP,
                forced=forced or current.forced,
                stop_reason=current.stop_reason or reason,
            )

        try:
            saved = await self._change(session, wish)
            if saved.goal is not Goal.STOP:
                return
        except StoreError as error:
            if not self._looker.leads:
                raise
            self._parts.log.warning(
                "The end of session %s is not written down yet: %s", session.name, error
            )
            self._parts.memory.unsaved_stops[session.id] = wish
        self._looker.interrupt_start(session.id)
        self._looker.poke(session.id)

    async def stop_all(
        self, sessions: Sequence[ComputeSession], *, reason: str = SERVER_STOPPED
    ) -> None:
        """Wish for the end of these, and wait until nothing of them is left."""
        for session in sessions:
            await self.stop(session, reason=reason)
        ids = [session.id for session in sessions]
        await self._parts.bus.until(lambda: not any(map(self._is_live, ids)))

    async def restart(self, session: ComputeSession) -> None:
        """Wish for another kernel: a number, so a wish that is repeated does no harm.

        A suspended session is resumed for it.
        """
        await self._change(
            session,
            lambda current: replace(
                _unless_ending(current, Goal.RUN), generation=_newest(current) + 1
            ),
        )

    async def aim(self, session: ComputeSession, goal: Goal) -> ComputeSession:
        """Wish that a session runs or is suspended; one that is to end stays so."""
        return await self._change(session, lambda current: _unless_ending(current, goal))

    async def exempt(self, session: ComputeSession, exempt: bool) -> ComputeSession:
        """Except a session from the limits of time, or undo that."""
        return await self._change(session, lambda current: replace(current, idle_exempt=exempt))

    async def keep(self, session: ComputeSession, until: float) -> ComputeSession:
        """Note that want of use is not to end a session before a time. A later one stays."""
        return await self._change(
            session,
            lambda current: replace(current, kept_until=max(until, current.kept_until or 0.0)),
        )

    async def expect_exit(self, session: ComputeSession) -> ComputeSession:
        """Note that the kernel that runs now was asked to end, so that its end is no death."""
        return await self._change(
            session, lambda current: replace(current, exit_wished=current.generation)
        )

    async def rename(self, session: ComputeSession, name: str) -> ComputeSession:
        """Give a session another name."""
        return await self._change(session, lambda current: replace(current, name=name))

    async def open_ports(
        self, session: ComputeSession, change: Callable[[tuple[int, ...]], tuple[int, ...]]
    ) -> ComputeSession:
        """Change which ports its owner opened inside a session."""
        return await self._change(
            session,
            lambda current: replace(current, opened_ports=change(current.opened_ports)),
        )

    async def _change(
        self, session: ComputeSession, wish: Callable[[ComputeSession], ComputeSession]
    ) -> ComputeSession:
        """Write wishes that build on those which are there: one writer of a session at a time."""
        lock = self._locks.setdefault(session.id, asyncio.Lock())
        async with lock:
            current = self._parts.store.get(session.id) or session
            saved = await self._parts.store.save_wish(wish(current))
        self._looker.poke(session.id)
        return saved

    def _is_live(self, session_id: str) -> bool:
        ended = session_id in self._parts.memory.unsaved_ends
        session = self._parts.store.get(session_id)
        return not ended and session is not None and session.is_live


def _newest(session: ComputeSession) -> int:
    """Say which kernel the session wished for or has: a row of an old copy may be behind."""
    return max(session.generation, session.observed_generation)


def _time_given(session: ComputeSession) -> tuple[float | None, bool]:
    return session.kept_until, session.idle_exempt


def _unless_ending(session: ComputeSession, goal: Goal) -> ComputeSession:
    return session if session.goal is Goal.STOP else replace(session, goal=goal)
