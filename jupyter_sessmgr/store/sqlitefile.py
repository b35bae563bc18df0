"""The database file behind the store: opened, led or followed, and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from traitlets import Float

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.store import rows
from jupyter_sessmgr.store.base import Change, Cipher, StoreHealth
from jupyter_sessmgr.store.database import Database, Opened
from jupyter_sessmgr.store.dbfile import Transaction
from jupyter_sessmgr.store.mirror import Mirror, MirroredStore
from jupyter_sessmgr.store.writer import Writer

T = TypeVar("T")
R = TypeVar("R")

FILE_NAME = "sessions.db"
#: What is sealed into the file, to recognise the installation by.
_SEALED = "jupyter_sessmgr"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was in the file."""

    sessions: list[ComputeSession]
    places: list[Place]
    last_number: int
    #: Ids of sessions and of places whose rows make no sense.
    unreadable: tuple[list[str], list[str]]
    #: Ids of all sessions that have a row.
    ids: frozenset[str]


class SqliteFile(MirroredStore):
    """The file, what was read of it, and what other servers write into it."""

    lock_wait = Float(
        5.0,
        min=0.0,
        help="For how many seconds a write waits, twice, for another program that holds the "
        "database. Raise it when backups or virus scanners hold the file for longer.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writer: Writer | None = None
        #: What came to light when this server became the leader.
        self._late: list[Change] = []

    async def open(self, folder: Path, cipher: Cipher, *, leads: bool = True) -> StoreHealth:
        """Open the file in `folder`, and load all rows; the leader makes and mends it."""
        await self.close()
        database = Database(
            folder / FILE_NAME,
            lock_wait=self.lock_wait,
            restore=lambda transaction: _write_all(transaction, self._mirror, cipher),
            log=self.log,
            leads=leads,
        )
        writer = Writer(database, cipher)
        try:
            opened, loaded = await writer.open(_read_all)
            self._mirror = Mirror(loaded.sessions, loaded.places, loaded.last_number)
            self._writer = writer
            return await self._tidy(opened, loaded) if leads else StoreHealth(is_new=False)
        except BaseException:
            self._writer = None
            writer.abandon()
            raise

    async def lead(self) -> StoreHealth:
        """Open the file anew, as the leader does."""
        opened, loaded = await self._opened().lead(_read_all)
        known = _revisions(self._mirror)
        changed = [one for one in loaded.sessions if known.pop(one.id, 0) != one.revision]
        self._late += self._mirror.take_over(changed, known, loaded.places)
        return await self._tidy(opened, loaded)

    async def _tidy(self, opened: Opened, loaded: _Loaded) -> StoreHealth:
        """Delete rows that make no sense, or that nobody asks for any more."""
        corrupt_copy = opened.corrupt_copy
        sessions, places = loaded.unreadable
        if sessions or places:
            corrupt_copy = str(await self._opened().keep_copy())
            text = "Rows that cannot be read are deleted: %s. A copy of the whole file is %s."
            self.log.error(text, ", ".join([*sessions, *places]), corrupt_copy)
        await self._forget_all([*sessions, *self.outdated()], places)
        return StoreHealth(is_new=opened.is_new, corrupt_copy=corrupt_copy)

    async def refresh(self) -> Sequence[Change]:
        """Take over what other connections committed."""
        known: dict[str, int] = {}

        def read(transaction: Transaction, cipher: Cipher) -> _Loaded:
            known.update(_revisions(self._mirror))
            return _read_all(transaction, cipher, known)

        def remember(loaded: _Loaded) -> list[Change]:
            gone = known.keys() - loaded.ids
            return self._mirror.take_over(loaded.sessions, gone, loaded.places)

        changes = [] if self._writer is None else await self._writer.read_news(read, remember)
        late, self._late = self._late, []
        return [*late, *(changes or ())]

    async def close(self) -> None:
        """Finish pending writes, and let go of the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    async def _forget_all(self, session_ids: list[str], place_ids: Sequence[str] = ()) -> None:
        if session_ids or place_ids:
            await self._write(
                lambda transaction, _: delete_rows(transaction, session_ids, place_ids),
                lambda _: self._mirror.drop(*session_ids),
            )

    async def _write(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        return await self._opened().write(work, remember)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise StoreError("The state is not open: the server is starting or shutting down.")
        return self._writer


def _read_all(
    transaction: Transaction, cipher: Cipher, known: Mapping[str, int] | None = None
) -> _Loaded:
    """Read all rows; of sessions only those that are not `known` by their revision."""
    if known is None:
        _check_seal(transaction, cipher)
        found = transaction.rows("all_sessions")
        ids = frozenset(str(row["id"]) for row in found)
    else:
        revisions = transaction.rows("revisions")
        ids = frozenset(str(row["id"]) for row in revisions)
        new = [
            {"id": row["id"]} for row in revisions if known.get(str(row["id"])) != row["revision"]
        ]
        found = [row for one in new for row in transaction.rows("session", one)]
    sessions: list[ComputeSession] = []
    places: list[Place] = []
    unreadable: tuple[list[str], list[str]] = ([], [])
    for row in found:
        try:
            sessions.append(rows.session_from_row(row, cipher))
        except ValueError:
            unreadable[0].append(str(row["id"]))
    for row in transaction.rows("all_places"):
        try:
            places.append(rows.place_from_row(row))
        except ValueError:
            unreadable[1].append(str(row["id"]))
    return _Loaded(sessions, places, transaction.number("last_number"), unreadable, ids)


def _revisions(mirror: Mirror) -> dict[str, int]:
    return {session.id: session.revision for session in mirror.sessions(live=False)}


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


def delete_rows(
    transaction: Transaction, session_ids: Sequence[str], place_ids: Sequence[str] = ()
) -> None:
    """Delete these rows."""
    for session_id in session_ids:
        transaction.run("forget_session", {"id": session_id})
    for place_id in place_ids:
        transaction.run("forget_place", {"id": place_id})
