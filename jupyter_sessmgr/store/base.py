"""The promise every store keeps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessmgr.model.requests import Page
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.merging import Use
from jupyter_sessmgr.store.quota import Quota
from jupyter_sessmgr.traits import ConfigurableABC


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """What opening the store found."""

    #: No rows were ever written here. Not a proof of a fresh installation: an emptied file looks
    #: the same (FAULTS S5), so nothing that exists may be removed on this word.
    is_new: bool
    #: Where a damaged file was copied or moved to; "" when there was none. Rows that it held may
    #: be missing now, so nothing that exists may be removed for want of one.
    corrupt_copy: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What another server wrote of one session."""

    #: As it was known here before; None: not at all.
    before: ComputeSession | None
    #: As it is now; None: its row is gone.
    after: ComputeSession | None


class Cipher:
    """Encrypts the values of `environ` in rows.

    The manager gives the store one that derives its key from the installation's master secret.
    """

    def seal(self, text: str) -> str:
        """Return `text` as it may lie on disk."""
        raise NotImplementedError

    def unseal(self, sealed: str) -> str:
        """Return what was sealed.

        Raises
        ------
        ValueError
            when it was not sealed by this installation.
        """
        raise NotImplementedError


class SharedFile(ConfigurableABC):
    """What servers on the same state folder share: one leads, and others follow."""

    @abstractmethod
    async def open(self, folder: Path, cipher: Cipher, *, leads: bool = True) -> StoreHealth:
        """Open or create the store in `folder`, and load what is alive.

        Parameters
        ----------
        leads : bool
            Whether this server leads the folder. One that follows writes wishes and notes of use
            only; it neither makes nor mends the store.

        Raises
        ------
        StoreRefused
            when the folder's schema is newer than this program, or it may not be written.
        StoreError
            when the store of the one that leads is not there (yet).
        """

    async def lead(self) -> StoreHealth:
        """Become the leader's store: from now on it mends what is broken, as `open` does.

        Raises
        ------
        StoreRefused, StoreError
            and then it is as before.
        """
        return StoreHealth(is_new=False)

    async def refresh(self) -> Sequence[Change]:
        """Take over what other servers wrote since the last time, and say what that was.

        Costs little when there is nothing. Stores that nobody shares have nothing to say.
        """
        return ()

    @abstractmethod
    async def add_use(self, uses: Sequence[Use]) -> None:
        """Add how sessions were used; those that are gone are passed over."""

    @abstractmethod
    async def close(self) -> None:
        """Finish pending writes and let go of the file. Harmless when not open."""


class Store(SharedFile):
    """Rows of sessions and places.

    Called by the manager and the reconciler, on one event loop. Reads are answered from memory:
    they never block and never fail. Writes return after the change is on disk, and either
    happen whole or not at all. A write that fails leaves memory as it was.

    Every write raises `StoreError` when the disk is full, the file is locked for longer than the
    store waits, or the file is damaged.
    """

    @abstractmethod
    async def add(self, session: ComputeSession, quota: Quota) -> ComputeSession:
        """Write a new session's row, durably, and return it with its `number` and `revision`.

        Raises
        ------
        NameTaken
            when a live session of this owner has the name; `data["existingSessionId"]` says
            which. The database itself sees to it.
        LimitExceeded, TooManyRequests
            when the quota is used up, counted in the same transaction (FAULTS T8).
        InvalidRequest
            when the id was used before, or a value cannot be stored (FAULTS S8).
        """

    @abstractmethod
    async def save_wish(self, session: ComputeSession) -> ComputeSession:
        """Write the wish columns: goal, generation, forced, name, tag and the like.

        Returns the row as it is now: `session`'s wishes with the stored facts. What another
        server wished meanwhile is kept where `session` changes nothing.

        Raises
        ------
        SessionNotFound
            when there is no such row (any more).
        NameTaken
            when another live session of the owner has the new name.
        InvalidRequest
            when a value cannot be stored.
        """

    @abstractmethod
    async def save_facts(self, session: ComputeSession) -> ComputeSession:
        """Write every column that is neither a wish nor fixed at creation.

        Returns the row as it is now: `session`'s facts with the stored wishes. When the new
        status is final, the name is free again, and sessions that ended long ago are forgotten.
        Texts and numbers that cannot be stored are mended (FAULTS S8).

        Raises
        ------
        SessionNotFound
            when there is no such row (any more).
        """

    @abstractmethod
    async def forget(self, session_id: str) -> None:
        """Delete the row of a session that ended."""

    @abstractmethod
    async def save_place(self, place: Place) -> None:
        """Write a place's row, durably: before its engine is asked to make it."""

    @abstractmethod
    async def claim(self, session: ComputeSession, place: Place) -> ComputeSession | None:
        """Give a spare to a session: both rows change in one step, or neither.

        `session` brings its facts, `place` its new owner. Returns the session's row as it is now;
        None when one of the two is not free: the spare was claimed, drained or doomed, or the
        session has a place, is to end, or ended.

        Raises
        ------
        SessionNotFound
            when there is no such row (any more).
        """

    @abstractmethod
    async def forget_place(self, place_id: str) -> None:
        """Delete the row of a place that is gone. Harmless when it is not there."""

    @abstractmethod
    def get(self, session_id: str) -> ComputeSession | None:
        """Find a session by UUID, ended ones included."""

    @abstractmethod
    def find(self, owner: str, reference: str, *, name_last: bool = False) -> ComputeSession | None:
        """Find an owner's session by the name of a live one, else by UUID, else by number.

        Exact matches only. Among ended sessions only UUID and number find. With `name_last`, a
        name counts only where there is no such UUID or number.
        """

    @abstractmethod
    def sessions(self, *, owner: str | None = None, live: bool = True) -> Sequence[ComputeSession]:
        """List sessions, newest first. With `live` false, ended ones are listed too."""

    @abstractmethod
    def page(
        self,
        owner: str,
        statuses: Collection[SessionStatus],
        *,
        limit: int,
        before: int | None = None,
        offset: int = 0,
    ) -> Page:
        """List one page of an owner's sessions that have one of `statuses`, newest first.

        Its cost does not grow with the number of sessions that are not on it.

        Parameters
        ----------
        limit : int
            Most sessions on the page, at least 1.
        before : int, optional
            Only sessions with a smaller number: the `next` of the page before.
        offset : int
            Of these, leave out so many of the newest.
        """

    @abstractmethod
    def place(self, place_id: str) -> Place | None:
        """Find a place by id."""

    @abstractmethod
    def places(self) -> Sequence[Place]:
        """List all places that have a row."""
