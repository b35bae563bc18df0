"""Gives spares to sessions, and tells their agents whose they are."""

from __future__ import annotations

from dataclasses import replace

from jupyter_sessmgr.manager.agents.bootconfig import lease_of, volatile_environ
from jupyter_sessmgr.manager.loop.claims import make_claim, read_claim
from jupyter_sessmgr.manager.loop.facts import Facts
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool.warm import WarmPool
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import STARTING, SessionStatus


class Claims:
    """The steps of a session that gets a spare; see `Steps`.

    A claim is one transaction, and what follows from it can be repeated: a server that is killed
    in between leaves a session with a place whose agent does not know it yet, as its greeting
    shows.
    """

    def __init__(self, parts: Parts, facts: Facts, pool: WarmPool | None) -> None:
        self._parts = parts
        self._facts = facts
        self._pool = pool

    async def claim(self, session: ComputeSession) -> bool:
        """Give a session a spare, if there is one for it; returns whether it has one now."""
        if self._pool is None:
            return False
        volatile = bool(volatile_environ(session, self._parts.memory.base_url))
        async with self._pool.taking(session, volatile=volatile) as spare:
            if spare is None:
                return False
            changed = replace(
                session,
                status=SessionStatus.CREATING,
                status_info="a spare session is taken",
                place_id=spare.place.id,
                endpoints=spare.endpoints,
            )
            place = replace(spare.place, session_id=session.id)
            return await self._facts.claim(changed, place) is not None

    def is_unsettled(self, session: ComputeSession, place: Place) -> bool:
        """Tell whether a session was given a spare whose agent may not know it yet."""
        waits = session.status in STARTING and bool(place.pool_key)
        return waits and place.id not in self._parts.memory.settled

    def recognise(self, session: ComputeSession, place: Place) -> None:
        """Note, after a connection was made, whether the agent knows whose it is."""
        if not self.is_unsettled(session, place):
            return
        link = self._parts.links.get(place.id)
        try:
            known = read_claim(link.hello.claim, self._parts.secrets).id == session.id
        except ValueError:
            known = False
        if known:
            self._parts.memory.settled.add(place.id)

    async def settle(self, _step: object, session: ComputeSession, place: Place | None) -> None:
        """Tell a spare's agent whose it is, and its kernel what was not known before."""
        if place is None:
            return
        parts = self._parts
        environ = volatile_environ(session, parts.memory.base_url)
        try:
            link = parts.links.get(place.id)
            if environ:
                await link.personalise(environ, session.spec.workdir)
            await link.set_claim(make_claim(session, parts.secrets), lease_of(session, place))
        except SessmgrError as error:
            parts.log.warning(
                "Session %s does not take the spare: %s It is made anew.", session.name, error
            )
            await self.leave(_step, session, place)
            return
        parts.memory.settled.add(place.id)

    async def leave(self, _step: object, session: ComputeSession, place: Place | None) -> None:
        """Let go of a spare that is of no use; the session is made as if there were no pool."""
        await self._facts.save(replace(session, place_id="", endpoints=(), status_info="made anew"))
        if place is None:
            return
        self._parts.memory.forget_place(place.id)
        # Nobody's place, so the sweep would remove it; this is only sooner.
        await self._parts.store.save_place(replace(place, session_id=None, state=PlaceState.DOOMED))
        if self._pool is not None:
            self._pool.remove(place)
