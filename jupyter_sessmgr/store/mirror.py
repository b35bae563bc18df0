"""What every store keeps in memory, and answers reads from."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Any

from traitlets import Float, Integer

from jupyter_sessmgr.model.errors import InvalidRequest, NameTaken, SessionNotFound
from jupyter_sessmgr.model.requests import Page
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.base import Change, Store
from jupyter_sessmgr.store.pages import Shelves

_BY_NUMBER = attrgetter("number")
_DAY = 24 * 3600.0


class Mirror:
    """Sessions and places, indexed as they are asked for.

    Written on the event loop only, and only after the change is on disk.
    """

    def __init__(
        self,
        sessions: Iterable[ComputeSession] = (),
        places: Iterable[Place] = (),
        last_number: int = 0,
    ) -> None:
        self._live: dict[str, ComputeSession] = {}
        self._ended: dict[str, ComputeSession] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, str] = {}
        self._shelves = Shelves()
        self._places = {place.id: place for place in places}
        #: Sessions that another server changed, as they were before, until that is told.
        self._untold: dict[str, ComputeSession | None] = {}
        #: The highest number that any session ever had.
        self.last_number = last_number
        for session in sessions:
            self.put(session)

    def put(self, session: ComputeSession) -> ComputeSession:
        """Remember a session, new or changed, and return it."""
        before = self.get(session.id)
        if before is not None and session.revision > before.revision + 1:
            self._untold.setdefault(session.id, before)  # this write found another's
        self._unname(session.id)
        self._shelves.move(before, session)
        (self._ended if session.is_live else self._live).pop(session.id, None)
        (self._live if session.is_live else self._ended)[session.id] = session
        if session.is_live:
            self._names[session.owner, session.name] = session.id
        self._numbers[str(session.number)] = session.id
        self.last_number = max(self.last_number, session.number)
        return session

    def drop(self, *session_ids: str) -> None:
        """Forget sessions; harmless when they are not known."""
        for session_id in session_ids:
            self._unname(session_id)
            session = self._live.pop(session_id, None) or self._ended.pop(session_id, None)
            if session is not None:
                self._shelves.drop(session)
                self._numbers.pop(str(session.number), None)

    def take_over(
        self, sessions: Iterable[ComputeSession], gone: Iterable[str], places: Iterable[Place]
    ) -> list[Change]:
        """Remember what others wrote, all places included; say what changed."""
        for session in sessions:
            self._untold.setdefault(session.id, self.get(session.id))
            self.put(session)
        for session_id in gone:
            self._untold.setdefault(session_id, self.get(session_id))
            self.drop(session_id)
        self._places = {place.id: place for place in places}
        untold, self._untold = self._untold, {}
        return [Change(before, self.get(session_id)) for session_id, before in untold.items()]

    def _unname(self, session_id: str) -> None:
        session = self._live.get(session_id)
        # Another may have the name by now: changes of other servers come in any order.
        if session is not None and self._names.get((session.owner, session.name)) == session_id:
            del self._names[session.owner, session.name]

    def get(self, session_id: str) -> ComputeSession | None:
        """Find by UUID."""
        return self._live.get(session_id) or self._ended.get(session_id)

    def named(self, owner: str, name: str) -> ComputeSession | None:
        """Find an owner's live session by name."""
        return self._live.get(self._names.get((owner, name), ""))

    def find(self, owner: str, reference: str, *, name_last: bool = False) -> ComputeSession | None:
        """Find by the name of a live session, UUID or number; exact matches only."""
        named = self.named(owner, reference)
        known = self.get(reference) or self.get(self._numbers.get(reference, ""))
        if known is not None and known.owner != owner:
            known = None
        return (known or named) if name_last else (named or known)

    def sessions(self, owner: str | None = None, *, live: bool = True) -> list[ComputeSession]:
        """List, newest first."""
        found = list(self._live.values())
        if not live:
            found += self._ended.values()
        if owner is not None:
            found = [session for session in found if session.owner == owner]
        found.sort(key=_BY_NUMBER, reverse=True)
        return found

    def page(
        self,
        owner: str,
        statuses: Collection[SessionStatus],
        *,
        limit: int,
        before: int | None,
        offset: int,
    ) -> Page:
        """Give one page, newest first."""
        numbers = self._shelves.page(owner, statuses, limit=limit + 1, before=before, offset=offset)
        found = (self.get(self._numbers[str(number)]) for number in numbers[:limit])
        return Page(
            items=tuple(session for session in found if session is not None),
            total=self._shelves.count(owner, statuses),
            next=numbers[limit - 1] if len(numbers) > limit else None,
        )

    def put_place(self, place: Place) -> None:
        """Remember a place, new or changed."""
        self._places[place.id] = place

    def drop_place(self, place_id: str) -> None:
        """Forget a place; harmless when it is not known."""
        self._places.pop(place_id, None)

    def place(self, place_id: str) -> Place | None:
        """Find a place."""
        return self._places.get(place_id)

    def places(self) -> list[Place]:
        """List all places, in the order they were intended."""
        return list(self._places.values())

    def outdated(self, *, before: float, most: int) -> list[str]:
        """Say which ended sessions ended before `before`, or are not among the newest `most`."""
        ended = sorted(self._ended.values(), key=_by_end, reverse=True)
        return [
            session.id
            for rank, session in enumerate(ended)
            if rank >= most or _by_end(session)[0] < before
        ]


def _by_end(session: ComputeSession) -> tuple[float, int]:
    ended_at = session.created_at if session.ended_at is None else session.ended_at
    return ended_at, session.number


class MirroredStore(Store):
    """A store that answers reads from memory."""

    keep_ended_days = Float(
        7.0,
        min=0.0,
        help="For how many days a session that ended can still be looked up. Raise it to keep a "
        "longer history; its files and containers are gone in any case.",
    ).tag(config=True)

    keep_ended_most = Integer(
        500,
        min=0,
        help="How many sessions that ended are kept at most; older ones are forgotten first. "
        "Lower it when sessions come and go by the thousand: each takes up to 64 KiB of memory.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._mirror = Mirror()

    def get(self, session_id: str) -> ComputeSession | None:
        """Find a session by UUID, ended ones included."""
        return self._mirror.get(session_id)

    def find(self, owner: str, reference: str, *, name_last: bool = False) -> ComputeSession | None:
        """Find an owner's session by the name of a live one, else by UUID, else by number."""
        return self._mirror.find(owner, reference, name_last=name_last)

    def sessions(self, *, owner: str | None = None, live: bool = True) -> Sequence[ComputeSession]:
        """List sessions, newest first. With `live` false, ended ones are listed too."""
        return self._mirror.sessions(owner, live=live)

    def page(
        self,
        owner: str,
        statuses: Collection[SessionStatus],
        *,
        limit: int,
        before: int | None = None,
        offset: int = 0,
    ) -> Page:
        """List one page of an owner's sessions, newest first."""
        return self._mirror.page(owner, statuses, limit=limit, before=before, offset=offset)

    def place(self, place_id: str) -> Place | None:
        """Find a place by id."""
        return self._mirror.place(place_id)

    def places(self) -> Sequence[Place]:
        """List all places that have a row."""
        return self._mirror.places()

    def outdated(self, *, but: str = "") -> list[str]:
        """Say which ended sessions a store is to forget now; `but` is never among them."""
        before = time.time() - self.keep_ended_days * _DAY
        found = self._mirror.outdated(before=before, most=self.keep_ended_most)
        return [session_id for session_id in found if session_id != but]


def refuse_taken(session: ComputeSession, holder_id: str) -> NameTaken:
    """Make the error that says which live session has the name."""
    return NameTaken(
        f"You have a session named {session.name!r} already; use it, destroy it, or choose "
        "another name.",
        session=session.name,
        existingSessionId=holder_id,
    )


def refuse_known(session: ComputeSession) -> InvalidRequest:
    """Make the error that says that an id was used before."""
    return InvalidRequest(
        f"The session id {session.id} was used before; choose another or let the server choose.",
        session=session.name,
    )


def refuse_unknown(session_id: str) -> SessionNotFound:
    """Make the error that says that a session has no row (any more)."""
    return SessionNotFound(f"There is no session {session_id}.", session=session_id)
