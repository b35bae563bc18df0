"""Who starts next, and why the others wait. Pure, and tested as a table.

1. Owners take turns; each owner's own sessions come in the order they were asked for.
2. A session that does not fit is passed by those behind it that do.
3. But not for ever: of the sessions that stand first in their owner's line, the one that has stood
   there longest, and longer than `patience`, comes before all others, and what it needs is kept
   for it until it fits.

So nothing starves: whoever stands first in a line comes to stand there longest, since everybody
who passes it leaves the head of another line to a newcomer; and so each line moves up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from jupyter_sessmgr.model.resources import Resources, spell_size

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of the host may be given away, or is left. None: any amount."""

    cpu: Decimal | None = None
    #: Bytes.
    mem: int | None = None
    #: By slot name; a slot that is not here is not counted.
    devices: Mapping[str, int] = field(default_factory=lambda: _NONE)

    def without(self, needs: Resources) -> Room:
        """Give away what a session needs. May fall below zero."""
        return Room(
            cpu=None if self.cpu is None else self.cpu - (needs.cpu or 0),
            mem=None if self.mem is None else self.mem - (needs.mem or 0),
            devices={name: n - needs.devices.get(name, 0) for name, n in self.devices.items()},
        )

    def lacks(self, needs: Resources) -> str:
        """Say what there is too little of: ``4 GiB of memory; 2 GiB are free``; "" for nothing.

        What a session has no limit on, it needs none of.
        """
        if self.cpu is not None and needs.cpu and needs.cpu > self.cpu:
            return f"{needs.cpu} processors; {max(self.cpu, Decimal(0))} are free"
        if self.mem is not None and needs.mem and needs.mem > self.mem:
            return f"{spell_size(needs.mem)} of memory; {spell_size(max(self.mem, 0))} are free"
        for name, count in needs.devices.items():
            if name in self.devices and count > self.devices[name]:
                return f"{count} {name}; {max(self.devices[name], 0)} are free"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MostRunning:
    """How many sessions may be let in at once. None, or no key: any number."""

    owner: int | None = None
    groups: Mapping[str, int] = field(default_factory=lambda: _NONE)
    server: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the order obeys."""

    room: Room = Room()
    most_running: MostRunning = MostRunning()
    #: How many may be on their way up at once.
    most_starting: int = 10
    #: Seconds at the head of a line after which room is kept.
    patience: float = 300.0
    #: Why nobody is let in at all, for people; "" when that is not so.
    closed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A session as far as the order is concerned."""

    id: str
    #: In the order they were asked for.
    number: int
    owner: str
    group: str
    needs: Resources
    #: It is on its way up.
    starting: bool = False
    #: Seconds that it has stood first in its owner's line.
    stood: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a session waits."""

    #: From 1.
    position: int
    #: For people: ``waits for 4 GiB of memory; 2 GiB are free``.
    reason: str
    #: It stands first in its owner's line.
    first: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is let in, in order, and why the others wait."""

    starts: tuple[str, ...]
    waits: Mapping[str, Wait]


#: When an owner last had a turn: comparable with the numbers of sessions.
Turn = tuple[int, int]


def next_starts(
    waiting: Sequence[Claim],
    running: Sequence[Claim],
    rules: Rules,
    turns: Mapping[str, Turn] = MappingProxyType({}),
) -> Verdict:
    """Say who starts now.

    Parameters
    ----------
    waiting, running : sequence of Claim
        Sessions that were not let in yet, and those that were; in any order.
    turns : mapping
        When each owner last had one let in; an owner that is not here never had.
    """
    house = _House(running, rules)
    lines = _lines(waiting)
    heads = {_head(line, house) for line in lines.values()}
    order = _take_turns(lines, turns)
    patient = [one for one in order if one.id in heads and one.stood >= rules.patience]
    if patient:
        eldest = max(patient, key=lambda one: (one.stood, -one.number))
        order.remove(eldest)
        order.insert(0, eldest)
        if house.too_full(eldest):
            house.keep_for(eldest)
    starts: list[str] = []
    waits: dict[str, Wait] = {}
    for one in order:
        reason = house.why_not(one)
        if not reason:
            house.let_in(one)
            starts.append(one.id)
        else:
            first = one.id in heads
            waits[one.id] = Wait(position=len(waits) + 1, reason=reason, first=first)
    return Verdict(tuple(starts), waits)


def after_turns(
    turns: Mapping[str, Turn], waiting: Sequence[Claim], starts: Sequence[str]
) -> dict[str, Turn]:
    """Note who had a turn: later than all other turns, and than all who wait now came."""
    latest = max(
        [one.number for one in waiting] + [number for number, _ in turns.values()], default=0
    )
    serial = max((serial for _, serial in turns.values()), default=0)
    owners = {one.id: one.owner for one in waiting}
    taken = {owners[one]: (latest, serial + n) for n, one in enumerate(starts, 1)}
    still = {owner for one, owner in owners.items() if one not in starts}
    return {owner: turn for owner, turn in {**turns, **taken}.items() if owner in still}


def _lines(waiting: Sequence[Claim]) -> dict[str, list[Claim]]:
    lines: dict[str, list[Claim]] = {}
    for one in sorted(waiting, key=lambda claim: claim.number):
        lines.setdefault(one.owner, []).append(one)
    return lines


def _head(line: Sequence[Claim], house: _House) -> str:
    """Find who stands first; those that only limits of their own hold back stand aside."""
    return next((one.id for one in line if not house.own_limit(one)), "")


def _take_turns(lines: Mapping[str, Sequence[Claim]], turns: Mapping[str, Turn]) -> list[Claim]:
    """Put the first of each line, then the second of each, and so on.

    Among owners, whoever came or had a turn the longest ago goes first.
    """
    since = {
        owner: max(turns.get(owner, (0, 0)), (line[0].number, 0)) for owner, line in lines.items()
    }
    ranked = [
        ((rank, since[owner], one.number), one)
        for owner, line in lines.items()
        for rank, one in enumerate(line)
    ]
    ranked.sort(key=lambda pair: pair[0])
    return [one for _, one in ranked]


class _House:
    """What is let in while the order is gone through."""

    def __init__(self, running: Sequence[Claim], rules: Rules) -> None:
        self._most = rules.most_running
        self._most_starting = rules.most_starting
        self._starting = sum(one.starting for one in running)
        self._all = 0
        self._owners: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._closed = rules.closed
        self._free = rules.room
        #: What is free for all but the one that room is kept for.
        self._open = rules.room
        for one in running:
            self._count(one)

    def why_not(self, one: Claim) -> str:
        """Say why a session cannot be let in now; "" when it can."""
        stopped = self._closed or self.own_limit(one) or self.too_full(one)
        if stopped:
            return stopped
        if self._open.lacks(one.needs):
            return "waits behind a session that has waited for long; what is free is kept for it"
        if self._starting >= self._most_starting:
            return f"waits for its turn: at most {self._most_starting} start at once"
        return ""

    def own_limit(self, one: Claim) -> str:
        """Say which limit of its owner or group holds a session back."""
        mine, ours = self._owners.get(one.owner, 0), self._groups.get(one.group, 0)
        if self._most.owner is not None and mine >= self._most.owner:
            return f"waits for another session of its owner to end: {mine} run, the most allowed"
        most = self._most.groups.get(one.group)
        if most is not None and ours >= most:
            return (
                f"waits for another session of group {one.group} to end: {ours} run, the most "
                "allowed"
            )
        return ""

    def too_full(self, one: Claim) -> str:
        """Say what the host lacks for a session."""
        if self._most.server is not None and self._all >= self._most.server:
            return f"waits for another session to end: {self._all} run, the most allowed here"
        lacks = self._free.lacks(one.needs)
        return f"waits for {lacks}" if lacks else ""

    def keep_for(self, one: Claim) -> None:
        """Keep what a session needs from everybody else."""
        self._open = self._open.without(one.needs)

    def let_in(self, one: Claim) -> None:
        """Note that a session starts."""
        self._starting += 1
        self._count(one)

    def _count(self, one: Claim) -> None:
        self._all += 1
        self._owners[one.owner] = self._owners.get(one.owner, 0) + 1
        self._groups[one.group] = self._groups.get(one.group, 0) + 1
        self._free = self._free.without(one.needs)
        self._open = self._open.without(one.needs)
