"""The manager: what the doors may ask for. Wishes in; the reconciler makes the facts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jupyter_sessmgr.manager.admission import Admitted
from jupyter_sessmgr.manager.admission.allowance import Allowance, Situation
from jupyter_sessmgr.manager.admission.descriptors import check_descriptors
from jupyter_sessmgr.manager.admission.idling import check_idle_timeout
from jupyter_sessmgr.manager.pausing import PauseVerbs
from jupyter_sessmgr.manager.queue.room import most_for_one
from jupyter_sessmgr.manager.wishes import USER_REQUESTED
from jupyter_sessmgr.model.errors import (
    EngineUnavailable,
    NameTaken,
    NotRunning,
    SessionNotFound,
    StartFailed,
)
from jupyter_sessmgr.model.events import StartProgressed, StatusChanged
from jupyter_sessmgr.model.images import with_tag
from jupyter_sessmgr.model.naming import check_session_name, new_session_id, new_session_name
from jupyter_sessmgr.model.requests import CreateRequest, Page
from jupyter_sessmgr.model.session import ComputeSession, StatusNote
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.store.quota import Tally, tally_of

#: What can be given another kernel; a suspended session is resumed for it.
RESTARTABLE = frozenset({SessionStatus.RUNNING, SessionStatus.RESTARTING, SessionStatus.SUSPENDED})


class ComputeSessionManager(PauseVerbs):
    """Compute sessions and what may happen to them. Called by the doors, on one event loop.

    `open` before anything else; every other method raises `Standby` until then.
    """

    async def create(self, request: CreateRequest, owner: str) -> tuple[ComputeSession, bool]:
        """Write down the wish for a session, or find the one to reuse.

        Returns the session (PENDING when fresh; `settled` waits for it) and whether it is fresh.

        Raises
        ------
        InvalidRequest, ImageNotFound, LimitExceeded, TooManyRequests, NameTaken,
        EngineUnavailable, StoreError, Standby
            and then nothing was made.
        """
        parts = self._open_parts()
        name = new_session_name() if request.name is None else check_session_name(request.name)
        known = self._reusable(request, owner, name)
        if known is not None:
            return known, False
        if not parts.engine.engine_id or self._unavailable:
            raise EngineUnavailable(
                f"No session can be made now: {self._unavailable or 'the engine does not answer.'}"
            )
        check_descriptors()
        state, now = Path(self.state_dir), time.time()
        admitted = await self.admission.admit(request, owner, parts.engine, state)
        self.queue.check(admitted.spec.resources)
        check_idle_timeout(admitted.spec, self.idle)
        session = ComputeSession(
            id=request.session_id or new_session_id(),
            name=name,
            owner=owner,
            domain=request.domain,
            group=request.group,
            tag=request.tag,
            origin=request.origin,
            server_id=self.server_id,
            spec=admitted.spec,
            created_at=now,
            status_info="queued",
            history=(StatusNote(status=SessionStatus.PENDING, at=now, info="queued"),),
        )
        return await self._add(session, request, admitted)

    async def _add(
        self, session: ComputeSession, request: CreateRequest, admitted: Admitted
    ) -> tuple[ComputeSession, bool]:
        parts = self._open_parts()
        try:
            session = await parts.store.add(session, admitted.quota)
        except NameTaken:
            await parts.others.look()  # it may have been made elsewhere this moment
            known = self._reusable(request, session.owner, session.name)
            if known is None:
                raise
            return known, False
        self.log.info("Session %s (%s): made for %s", session.name, session.id, session.owner)
        self.pool.note(session, admitted.digest)
        parts.bus.publish(StatusChanged(session, None))
        for remark in ("queued", *admitted.remarks):
            parts.bus.publish(StartProgressed(session, "queued", remark))
        self._open_wishes().made(session)
        return session, True

    def _reusable(self, request: CreateRequest, owner: str, name: str) -> ComputeSession | None:
        if request.name is None:
            return None
        known = self._open_parts().store.find(owner, name)
        if known is None or known.name != name or not known.is_live:
            return None
        image = request.image or known.spec.image
        if request.reuse and with_tag(image) == with_tag(known.spec.image):
            return known
        raise NameTaken(
            f"session already exists: {name} is {known.status}. Destroy it first, choose "
            "another name, or ask for the same image with reuseIfExists.",
            session=name,
            existingSessionId=known.id,
        )

    def allowance(self, owner: str, group: str = "") -> Allowance:
        """Say what an owner may still ask for; from memory. "" is the first of the owner's groups.

        Raises
        ------
        InvalidRequest
            when there is no such group, or the owner may not use it.
        """
        engine, has = self._open_parts().engine, self.queue.capacity
        now = Situation(
            engine=engine,
            has=has,
            host=most_for_one(has, engine.capabilities, self.queue.room()),
            images=self._board.images if self._board is not None else (),
            taken=sum(map(tally_of, self.list(owner)), Tally()),
        )
        return self.admission.allowance(owner, group, now)

    async def settled(self, session_id: str, timeout: float | None = None) -> ComputeSession:
        """Wait until a session runs or is suspended as wished, or has ended; return it then.

        Raises
        ------
        TimeoutError
            when it takes longer than `timeout` seconds; the session goes on all the same.
        """

        def is_settled() -> bool:
            session = self._session(session_id)
            running = session.status is SessionStatus.RUNNING
            return (
                session.status.is_final
                or (
                    running
                    and session.observed_generation >= session.generation
                    and self._reaches(session_id)
                )
                or (session.status is SessionStatus.SUSPENDED and session.goal is Goal.SUSPEND)
            )

        async with asyncio.timeout(timeout):
            await self._open_parts().bus.until(is_settled)
        return self._session(session_id)

    def find(self, reference: str, owner: str, *, name_last: bool = False) -> ComputeSession:
        """Find an owner's session by name, UUID or number, in this order; from memory.

        With `name_last`, by number or UUID before the name.

        Raises
        ------
        SessionNotFound
            when there is none, or it is another owner's: one answer for both (THREATS E1).
        """
        parts = self._open_parts()
        session = parts.store.find(owner, reference, name_last=name_last)
        if session is None:
            raise SessionNotFound(f"There is no session {reference!r:.80}.")
        session = self._as_it_is(session)
        if session.status.is_final and session.name == reference:
            raise SessionNotFound(f"There is no session {reference!r:.80}.")  # names find live ones
        unknown = parts.memory.unknown.get(session.id)
        return replace(session, status_info=unknown) if unknown else session

    def list(self, owner: str, live: bool = True) -> Sequence[ComputeSession]:
        """List an owner's sessions, newest first; from memory."""
        parts = self._open_parts()
        rows = parts.store.sessions(owner=owner, live=live)
        found = [self._as_it_is(row) for row in rows]
        return [session for session in found if session.is_live or not live]

    def page(
        self,
        owner: str,
        statuses: Collection[SessionStatus],
        *,
        limit: int,
        before: int | None = None,
        offset: int = 0,
    ) -> Page:
        """List a page of an owner's sessions that have one of `statuses`; see `Store.page`."""
        parts = self._open_parts()
        page = parts.store.page(owner, statuses, limit=limit, before=before, offset=offset)
        found = (self._as_it_is(row) for row in page.items)
        return replace(page, items=tuple(one for one in found if one.status in statuses))

    def _as_it_is(self, row: ComputeSession) -> ComputeSession:
        """Return a row with what is not written (yet): its end, its use, its place in line."""
        ended = self._open_parts().memory.unsaved_ends.get(row.id)
        if ended is not None:
            return ended
        place = self.queue.place_of(row.id)
        known = self.activity.stamp(row)
        return known if place is None else replace(known, status_info=str(place))

    def census(self) -> Mapping[SessionStatus, int]:
        """Count everybody's live sessions by status; from memory. For metrics."""
        parts = self._open_parts()
        ended = parts.memory.unsaved_ends
        return Counter(one.status for one in parts.store.sessions() if one.id not in ended)

    async def destroy(
        self, session_id: str, forced: bool = False, reason: str = USER_REQUESTED
    ) -> ComputeSession:
        """End a session, and return it after its removal. Harmless when it ended already.

        `reason` is a word for why; see `wishes`.

        Raises
        ------
        EngineUnavailable
            when that took longer than `destroy_timeout`; it is ended as soon as possible.
        """
        session = self._session(session_id)
        if session.status.is_final:
            return session
        await self._open_wishes().stop(session, forced=forced, reason=reason)
        try:
            async with asyncio.timeout(self.destroy_timeout):
                await self._open_parts().bus.until(
                    lambda: self._session(session_id).status.is_final
                )
        except TimeoutError:
            why = self._open_parts().memory.unknown.get(session_id, "it takes long")
            raise EngineUnavailable(
                f"The session is not gone yet: {why} It will be ended as soon as possible.",
                session=session.name,
            ) from None
        return self._session(session_id)

    async def restart(self, session_id: str, timeout: float | None = None) -> ComputeSession:
        """Give a session a fresh kernel; returns when that is ready.

        Raises
        ------
        NotRunning
            unless it is running; StartFailed when it ended instead; TimeoutError.
        """
        session = self._session(session_id)
        if session.status.is_final or session.goal is Goal.STOP:
            raise NotRunning(f"Session {session.name} has ended.", session=session.name)
        if session.status not in RESTARTABLE:
            raise NotRunning(
                f"Session {session.name} is {session.status}, so it cannot be restarted now.",
                session=session.name,
            )
        memory = self._open_parts().memory
        memory.deaths.pop(session_id, None)
        memory.expected_exits.discard(session_id)
        await self._open_wishes().restart(session)
        self.activity.touch(session_id)
        settled = await self.settled(session_id, timeout)
        if settled.status.is_final:
            raise StartFailed(
                settled.failure or "The session was ended meanwhile.", session=session.name
            )
        return settled

    async def rename(self, session_id: str, name: str) -> ComputeSession:
        """Give a session another name.

        Raises
        ------
        NameTaken
            when another live session of its owner has it.
        """
        session = self._session(session_id)
        return await self._open_wishes().rename(session, check_session_name(name))
