"""The store that lasts: one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from traitlets import Float

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.store import rows
from jupyter_sessmgr.store.base import Cipher, StoreHealth
from jupyter_sessmgr.store.database import Database
from jupyter_sessmgr.store.dbfile import Damaged, Transaction
from jupyter_sessmgr.store.mirror import (
    Mirror,
    MirroredStore,
    refuse_known,
    refuse_taken,
    refuse_unknown,
)
from jupyter_sessmgr.store.quota import Alive, Quota, Tally, check_quota

T = TypeVar("T")
R = TypeVar("R")

FILE_NAME = "sessions.db"
#: What is sealed into the file, to recognise the installation by.
_SEALED = "jupyter_sessmgr"


class _Writer:
    """An open file, the one thread that touches it, and the order of its writes.

    Each write commits and changes the mirror before the next begins, so the mirror is never
    behind the file when a write starts.
    """

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessmgr-store")
        self._order = asyncio.Lock()
        self._pending: set[asyncio.Task[Any]] = set()

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def write(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        """Commit `work` and then `remember` its result, also when the caller is cancelled."""
        return await self._whole(self._commit(work, remember))

    async def close(self) -> None:
        """Let go of the file, after the writes that wait."""
        await self._whole(self._finish())

    def abandon(self) -> None:
        """Let go of the file without waiting for it."""
        self._thread.submit(self._database.close)
        self._thread.shutdown(wait=False)

    async def _whole(self, action: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(action)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return await asyncio.shield(task)

    async def _commit(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        async with self._order:
            result = await self.run(
                lambda: self._database.transaction(
                    lambda transaction: work(transaction, self._cipher)
                )
            )
            return remember(result)

    async def _finish(self) -> None:
        async with self._order:
            await self.run(self._database.close)
            self._thread.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was in the file."""

    sessions: list[ComputeSession]
    places: list[Place]
    last_number: int
    #: Ids of sessions and of places whose rows make no sense.
    unreadable: tuple[list[str], list[str]]


class SqliteStore(MirroredStore):
    """Keeps rows in ``sessions.db``.

    One thread of its own touches the file, so the event loop never waits for a disk. A write
    changes memory after its commit, and does both even when its caller is cancelled meanwhile.
    """

    lock_wait = Float(
        5.0,
        min=0.0,
        help="For how many seconds a write waits, twice, for another program that holds the "
        "database. Raise it when backups or virus scanners hold the file for longer.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writer: _Writer | None = None

    async def open(self, folder: Path, cipher: Cipher) -> StoreHealth:
        """Open or create the file in `folder`, and load all rows."""
        await self.close()
        database = Database(
            folder / FILE_NAME,
            lock_wait=self.lock_wait,
            restore=lambda transaction: _write_all(transaction, self._mirror, cipher),
            log=self.log,
        )
        writer = _Writer(database, cipher)
        try:
            opened, loaded = await writer.run(
                lambda: database.open(lambda transaction: _read_all(transaction, cipher))
            )
            self._mirror = Mirror(loaded.sessions, loaded.places, loaded.last_number)
            corrupt_copy = opened.corrupt_copy
            self._writer = writer
            sessions, places = loaded.unreadable
            if sessions or places:
                corrupt_copy = str(await writer.run(database.keep_copy))
                text = "Rows that cannot be read are deleted: %s. A copy of the whole file is %s."
                self.log.error(text, ", ".join([*sessions, *places]), corrupt_copy)
            await self._forget_all([*sessions, *self.outdated()], places)
        except BaseException:
            self._writer = None
            writer.abandon()
            raise
        return StoreHealth(is_new=opened.is_new, corrupt_copy=corrupt_copy)

    async def close(self) -> None:
        """Finish pending writes, and let go of the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

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
        session = rows.storable(session)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession:
            changed = rows.with_wishes(_read(transaction, session.id, cipher), session)
            _check_name(transaction, changed)
            transaction.run("save_wish", rows.wish_row(changed))
            return changed

        return await self._write(work, self._mirror.put)

    async def save_facts(self, session: ComputeSession) -> ComputeSession:
        """Write the fact columns; when the session ended, forget the ones that ended long ago."""
        session = rows.storable(session)
        outdated = [] if session.is_live else self.outdated(but=session.id)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession:
            changed = rows.with_facts(_read(transaction, session.id, cipher), session)
            _check_name(transaction, changed)
            transaction.run("save_facts", rows.facts_row(changed))
            _delete(transaction, outdated)
            return changed

        def remember(changed: ComputeSession) -> ComputeSession:
            self._drop(outdated)
            return self._mirror.put(changed)

        return await self._write(work, remember)

    async def forget(self, session_id: str) -> None:
        """Delete a session's row."""
        await self._forget_all([session_id])

    async def _forget_all(self, session_ids: list[str], place_ids: Sequence[str] = ()) -> None:
        if session_ids or place_ids:
            await self._write(
                lambda transaction, _: _delete(transaction, session_ids, place_ids),
                lambda _: self._drop(session_ids),
            )

    def _drop(self, session_ids: list[str]) -> None:
        for session_id in session_ids:
            self._mirror.drop(session_id)

    async def save_place(self, place: Place) -> None:
        """Write a place's row."""
        row = rows.place_row(place)
        await self._write(
            lambda transaction, _: transaction.run("save_place", row),
            lambda _: self._mirror.put_place(place),
        )

    async def claim(self, session: ComputeSession, place: Place) -> ComputeSession | None:
        """Give a spare to a session."""
        session, row = rows.storable(session), rows.place_row(place)

        def work(transaction: Transaction, cipher: Cipher) -> ComputeSession | None:
            stored = _read(transaction, session.id, cipher)
            spare = transaction.row("place", {"id": place.id})
            if not rows.may_claim(stored, None if spare is None else rows.place_from_row(spare)):
                return None
            changed = rows.with_facts(stored, session)
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

    async def _write(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        if self._writer is None:
            raise StoreError("The state is not open: the server is starting or shutting down.")
        return await self._writer.write(work, remember)


def _read_all(transaction: Transaction, cipher: Cipher) -> _Loaded:
    _check_seal(transaction, cipher)
    sessions: list[ComputeSession] = []
    places: list[Place] = []
    unreadable: tuple[list[str], list[str]] = ([], [])
    for row in transaction.rows("all_sessions"):
        try:
            sessions.append(rows.session_from_row(row, cipher))
        except ValueError:
            unreadable[0].append(str(row["id"]))
    for row in transaction.rows("all_places"):
        try:
            places.append(rows.place_from_row(row))
        except ValueError:
            unreadable[1].append(str(row["id"]))
    return _Loaded(sessions, places, transaction.number("last_number"), unreadable)


def _check_seal(transaction: Transaction, cipher: Cipher) -> None:
    row = transaction.row("seal")
    if row is None:
        transaction.run("add_seal", {"sealed": cipher.seal(_SEALED)})
        return
    try:
        cipher.unseal(str(row["sealed"]))
    except ValueError as error:
        raise StoreRefused(
            f"{FILE_NAME} belongs to another installation: the master secret in its folder was "
            "replaced or lost, and what it protects cannot be read without it. Put the secret "
            f"back, or move {FILE_NAME} away to start afresh."
        ) from error


def _write_all(transaction: Transaction, mirror: Mirror, cipher: Cipher) -> None:
    transaction.run("add_seal", {"sealed": cipher.seal(_SEALED)})
    for session in mirror.sessions(live=False):
        transaction.run("add_session", rows.session_row(session, cipher))
    for place in mirror.places():
        transaction.run("save_place", rows.place_row(place))
    if mirror.last_number:
        transaction.run("forget_last_number")
        transaction.run("say_last_number", {"number": mirror.last_number})


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


def _delete(
    transaction: Transaction, session_ids: Sequence[str], place_ids: Sequence[str] = ()
) -> None:
    for session_id in session_ids:
        transaction.run("forget_session", {"id": session_id})
    for place_id in place_ids:
        transaction.run("forget_place", {"id": place_id})
