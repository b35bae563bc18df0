"""A store that forgets: for private managers and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.store import rows
from jupyter_sessmgr.store.base import Cipher, StoreHealth
from jupyter_sessmgr.store.merging import Use, with_facts, with_use, with_wishes
from jupyter_sessmgr.store.mirror import (
    Mirror,
    MirroredStore,
    refuse_known,
    refuse_taken,
    refuse_unknown,
)
from jupyter_sessmgr.store.quota import Quota, check_quota, count_alive


class MemoryStore(MirroredStore):
    """Keeps the promises of `Store` for as long as the process lives, and touches no disk."""

    async def open(self, folder: Path, cipher: Cipher, *, leads: bool = True) -> StoreHealth:
        """Start empty. Nothing that is given is used."""
        _ = folder, cipher, leads
        self._mirror = Mirror()
        return StoreHealth(is_new=True)

    async def close(self) -> None:
        """Do nothing: what was stored can still be read."""

    async def add(self, session: ComputeSession, quota: Quota) -> ComputeSession:
        """Remember a new session."""
        session = rows.storable(session)
        if self.get(session.id) is not None:
            raise refuse_known(session)
        self._check_name(session)
        check_quota(session, quota, count_alive(session, self.sessions()))
        number = self._mirror.last_number + 1
        return self._mirror.put(replace(session, number=number, revision=1))

    async def save_wish(self, session: ComputeSession) -> ComputeSession:
        """Remember the wishes."""
        session = rows.storable(session)
        changed = with_wishes(self._stored(session.id), session)
        self._check_name(changed)
        return self._mirror.put(changed)

    async def save_facts(self, session: ComputeSession) -> ComputeSession:
        """Remember the facts."""
        session = rows.storable(session)
        changed = with_facts(self._stored(session.id), session)
        self._check_name(changed)
        outdated = [] if changed.is_live else self.outdated(but=changed.id)
        for session_id in outdated:
            self._mirror.drop(session_id)
        return self._mirror.put(changed)

    async def add_use(self, uses: Sequence[Use]) -> None:
        """Remember how sessions were used."""
        for use in uses:
            stored = self.get(use.session_id)
            if stored is not None:
                self._mirror.put(with_use(stored, use))

    async def forget(self, session_id: str) -> None:
        """Forget a session."""
        self._mirror.drop(session_id)

    async def save_place(self, place: Place) -> None:
        """Remember a place."""
        rows.place_row(place)  # refuses what cannot be stored
        self._mirror.put_place(place)

    async def claim(self, session: ComputeSession, place: Place) -> ComputeSession | None:
        """Give a spare to a session."""
        session = rows.storable(session)
        stored = self._stored(session.id)
        if not rows.may_claim(stored, self.place(place.id)):
            return None
        self._mirror.put_place(place)
        return self._mirror.put(with_facts(stored, session))

    async def forget_place(self, place_id: str) -> None:
        """Forget a place."""
        self._mirror.drop_place(place_id)

    def _stored(self, session_id: str) -> ComputeSession:
        stored = self.get(session_id)
        if stored is None:
            raise refuse_unknown(session_id)
        return stored

    def _check_name(self, session: ComputeSession) -> None:
        holder = self._mirror.named(session.owner, session.name)
        if session.is_live and holder is not None and holder.id != session.id:
            raise refuse_taken(session, holder.id)
