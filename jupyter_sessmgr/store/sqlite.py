"""The store that lasts: one SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.store import rows
from jupyter_sessmgr.store.base import Cipher
from jupyter_sessmgr.store.dbfile import Damaged, Transaction
from jupyter_sessmgr.store.merging import Use, with_facts, with_use, with_wishes
from jupyter_sessmgr.store.mirror import refuse_known, refuse_taken, refuse_unknown
from jupyter_sessmgr.store.quota import Alive, Quota, Tally, check_quota
from jupyter_sessmgr.store.sqlitefile import SqliteFile, delete_rows


class SqliteStore(SqliteFile):
    """Keeps rows in ``sessions.db``.

    One thread of its own touches the file, so the event loop never waits for a disk. A write
    changes memory after its commit, and does both even when its caller is cancelled meanwhile.
    """

    async def add(self, session: ComputeSession, quota: Quota) -> ComputeSession:
        """Write a new session's row."""
        session = rows.storable(session)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession:
            if transaction.row("session", {"id": session.id}) is not None:
                raise refuse_known(session)
            _check_name(transaction, session)
            check_quota(session, quota, _count_alive(transaction, session))
            new = replace(session, number=0, revision=1)
            transaction.run("add_session", rows.session_row(new, cipher))
            return _read(transaction, session.id, cipher)

        return await self._write(work, self._mirror.put)

    async def save_wish(self, session: ComputeSession) -> ComputeSession:
        """Write the wish columns."""
        session, base = rows.storable(session), self.get(session.id)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession:
            changed = with_wishes(_read(transaction, session.id, cipher), session, base)
            _check_name(transaction, changed)
            transaction.run("save_wish", rows.wish_row(changed))
            return changed

        return await self._write(work, self._mirror.put)

    async def save_facts(self, session: ComputeSession) -> ComputeSession:
        """Write the fact columns; when the session ended, forget the ones that ended long ago."""
        session, base = rows.storable(session), self.get(session.id)
        outdated = [] if session.is_live else self.outdated(but=session.id)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession:
            changed = with_facts(_read(transaction, session.id, cipher), session, base)
            _check_name(transaction, changed)
            transaction.run("save_facts", rows.facts_row(changed))
            delete_rows(transaction, outdated)
            return changed

        def remember(changed: ComputeSession) -> ComputeSession:
            self._mirror.drop(*outdated)
            return self._mirror.put(changed)

        return await self._write(work, remember)

    async def add_use(self, uses: Sequence[Use]) -> None:
        """Add how sessions were used."""

        def work(transaction: Transaction, cipher: Cipher) -> list[ComputeSession]:
            changed = []
            for use in uses:
                if transaction.row("session", {"id": use.session_id}) is not None:
                    stored = with_use(_read(transaction, use.session_id, cipher), use)
                    transaction.run("add_use", rows.use_row(stored))
                    changed.append(stored)
            return changed

        await self._write(work, lambda changed: [self._mirror.put(one) for one in changed])

    async def forget(self, session_id: str) -> None:
        """Delete a session's row."""
        await self._forget_all([session_id])

    async def save_place(self, place: Place) -> None:
        """Write a place's row."""
        row = rows.place_row(place)
        await self._write(
            lambda transaction, _: transaction.run("save_place", row),
            lambda _: self._mirror.put_place(place),
        )

    async def claim(self, session: ComputeSession, place: Place) -> ComputeSession | None:
        """Give a spare to a session."""
        session, row, base = rows.storable(session), rows.place_row(place), self.get(session.id)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession | None:
            stored = _read(transaction, session.id, cipher)
            spare = transaction.row("place", {"id": place.id})
            if not rows.may_claim(stored, None if spare is None else rows.place_from_row(spare)):
                return None
            changed = with_facts(stored, session, base)
            transaction.run("save_facts", rows.facts_row(changed))
            transaction.run("save_place", row)
            return changed

        def remember(changed: ComputeSession | None) -> ComputeSession | None:
            if changed is None:
                return None
            self._mirror.put_place(place)
            return self._mirror.put(changed)

        return await self._write(work, remember)

    async def forget_place(self, place_id: str) -> None:
        """Delete a place's row."""
        await self._write(
            lambda transaction, _: transaction.run("forget_place", {"id": place_id}),
            lambda _: self._mirror.drop_place(place_id),
        )


def _read(transaction: Transaction, session_id: str, cipher: Cipher) -> ComputeSession:
    row = transaction.row("session", {"id": session_id})
    if row is None:
        raise refuse_unknown(session_id)
    try:
        return rows.session_from_row(row, cipher)
    except ValueError as error:
        raise Damaged(
            f"The row of session {session_id} cannot be read: {error}.", reason="damaged"
        ) from error


def _check_name(transaction: Transaction, session: ComputeSession) -> None:
    holder = transaction.row("live_name", {"owner": session.owner, "name": session.name})
    if session.is_live and holder is not None and holder["id"] != session.id:
        raise refuse_taken(session, str(holder["id"]))


def _count_alive(transaction: Transaction, session: ComputeSession) -> Alive:
    whose = {"owner": session.owner, "group": session.group}
    parts = transaction.rows("count_live", whose)
    tallies = [(part, rows.tally_from_row(part)) for part in parts]
    return Alive(
        owner=sum((tally for part, tally in tallies if part["of_owner"]), Tally()),
        group=sum((tally for part, tally in tallies if part["of_group"]), Tally()),
        server=sum((tally for _, tally in tallies), Tally()),
    )
