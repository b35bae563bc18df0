"""How much may be alive at once, and how it is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal

from jupyter_sessmgr.model.errors import LimitExceeded, TooManyRequests
from jupyter_sessmgr.model.resources import spell_size
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus

#: Fractions of a processor are counted in these, as whole numbers.
MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that one owner, one group or the server may have alive. None: any number."""

    sessions: int | None = None
    #: Of these, how many may be PENDING.
    pending: int | None = None
    cpu: Decimal | None = None
    #: Bytes.
    mem: int | None = None
    #: Devices of all kinds.
    devices: int | None = None


NO_CEILING = Ceiling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What `Store.add` checks, in the transaction that adds a session."""

    owner: Ceiling = NO_CEILING
    group: Ceiling = NO_CEILING
    server: Ceiling = NO_CEILING


#: For what must not fail for a limit.
UNLIMITED = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is alive. A session without a limit on processors or memory counts as none of it."""

    sessions: int = 0
    pending: int = 0
    cpu: Decimal = Decimal(0)
    mem: int = 0
    devices: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Count both."""
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in _MEASURES}
        return Tally(**sums)


_MEASURES = fields(Tally)


def tally_of(session: ComputeSession) -> Tally:
    """Count one session."""
    takes = session.spec.resources
    return Tally(
        sessions=1,
        pending=int(session.status is SessionStatus.PENDING),
        cpu=takes.cpu or Decimal(0),
        mem=takes.mem or 0,
        devices=sum(takes.devices.values()),
    )


@dataclass(frozen=True, slots=True)
class Alive:
    """What a session's owner, its group and the server have alive."""

    owner: Tally
    group: Tally
    server: Tally


def count_alive(session: ComputeSession, live: Iterable[ComputeSession]) -> Alive:
    """Count live sessions for a new one."""
    owner = group = server = Tally()
    for one in live:
        counted = tally_of(one)
        server += counted
        if one.owner == session.owner:
            owner += counted
        if one.group == session.group:
            group += counted
    return Alive(owner, group, server)


def check_quota(session: ComputeSession, quota: Quota, alive: Alive) -> None:
    """Refuse one session more than the quota allows.

    Raises
    ------
    LimitExceeded
        saying which limit, what was asked for, and what would fit.
    TooManyRequests
        the same, when only too many sessions wait to be started: time helps.
    """
    needs = tally_of(session)
    for whose, ceiling, has in (
        ("owner", quota.owner, alive.owner),
        ("group", quota.group, alive.group),
        ("server", quota.server, alive.server),
    ):
        for measure in _MEASURES:
            most = getattr(ceiling, measure.name)
            need, used = getattr(needs, measure.name), getattr(has, measure.name)
            if most is not None and need and used + need > most:
                raise _refusal(session, whose, measure.name, most=most, used=used, need=need)


#: How a sentence about each begins.
_WHOSE = {"owner": "You have", "group": "The group {group} has", "server": "This server has"}
_WORDS = {
    "sessions": "sessions",
    "pending": "sessions that wait to be started",
    "cpu": "processors in sessions",
    "mem": "of memory in sessions",
    "devices": "devices in sessions",
}


def _refusal(
    session: ComputeSession,
    whose: str,
    measure: str,
    *,
    most: int | Decimal,
    used: int | Decimal,
    need: int | Decimal,
) -> LimitExceeded | TooManyRequests:
    left = max(most - used, most - most)
    spell = (lambda size: spell_size(int(size))) if measure == "mem" else str
    asked = "" if measure in {"sessions", "pending"} else f"; {spell(need)} more were asked for"
    remedy = "try again soon" if measure == "pending" else "destroy one first"
    if measure in {"cpu", "mem", "devices"} and left:
        remedy = f"ask for at most {spell(left)}, or {remedy}"
    kind = TooManyRequests if measure == "pending" else LimitExceeded
    return kind(
        f"{_WHOSE[whose].format(group=session.group)} {spell(used)} {_WORDS[measure]}, and "
        f"{spell(most)} are allowed{asked}: {remedy}.",
        session=session.name,
        limit=f"{measure} per {whose}",
        most=_plain(most),
        used=_plain(used),
        asked=_plain(need),
        fits=_plain(left),
    )


def _plain(amount: int | Decimal) -> int | str:
    return amount if isinstance(amount, int) else str(amount)
