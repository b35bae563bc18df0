"""Finds a page of an owner's sessions without sorting or copying the others."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator
from heapq import merge
from itertools import islice

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus


class Shelves:
    """The numbers of sessions by owner and status, each list in ascending order.

    A new session has the highest number, so most changes are at an end of a list.
    """

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, SessionStatus], list[int]] = defaultdict(list)

    def move(self, before: ComputeSession | None, session: ComputeSession) -> None:
        """Put a session where it belongs now; `before` is what it was, if it was there."""
        if before is not None:
            if before.status is session.status:
                return
            self.drop(before)
        insort(self._shelves[session.owner, session.status], session.number)

    def drop(self, session: ComputeSession) -> None:
        """Remove a session; harmless when it is not there."""
        numbers = self._shelves.get((session.owner, session.status), [])
        place = bisect_left(numbers, session.number)
        if place < len(numbers) and numbers[place] == session.number:
            del numbers[place]
        if not numbers:
            self._shelves.pop((session.owner, session.status), None)

    def count(self, owner: str, statuses: Collection[SessionStatus]) -> int:
        """Count an owner's sessions of these statuses."""
        return sum(map(len, self._of(owner, statuses)))

    def page(
        self,
        owner: str,
        statuses: Collection[SessionStatus],
        *,
        limit: int,
        before: int | None = None,
        offset: int = 0,
    ) -> list[int]:
        """List at most `limit` numbers, the highest first.

        Parameters
        ----------
        before : int, optional
            Only smaller numbers.
        offset : int
            Of these, leave out so many of the highest.
        """
        shelves = self._of(owner, statuses)
        ends = [
            len(numbers) if before is None else bisect_left(numbers, before) for numbers in shelves
        ]
        if offset:
            ends = _skip(shelves, ends, offset)
        pages = [_downwards(numbers, end) for numbers, end in zip(shelves, ends, strict=True)]
        return list(islice(merge(*pages, reverse=True), limit))

    def _of(self, owner: str, statuses: Collection[SessionStatus]) -> list[list[int]]:
        found = (self._shelves.get((owner, status)) for status in set(statuses))
        return [numbers for numbers in found if numbers]


def _downwards(numbers: list[int], end: int) -> Iterator[int]:
    return (numbers[place] for place in range(end - 1, -1, -1))


def _skip(shelves: list[list[int]], ends: list[int], offset: int) -> list[int]:
    """Move the ends down by `offset` numbers in all: by halving, not by walking."""
    total = sum(ends)
    if offset >= total:
        return [0] * len(ends)
    top = max(numbers[end - 1] for numbers, end in zip(shelves, ends, strict=True) if end)

    def below(number: int) -> list[int]:
        return [
            min(bisect_left(numbers, number), end)
            for numbers, end in zip(shelves, ends, strict=True)
        ]

    # The smallest number with `total - offset` numbers below it: everything from it on is left out.
    return below(bisect_left(range(top + 2), total - offset, key=lambda one: sum(below(one))))
