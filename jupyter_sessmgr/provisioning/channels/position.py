"""Where a browser's knowledge ends, as it says in ``?replay=``. Pure but for one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from jupyter_sessmgr.model.errors import InvalidRequest

#: How the id of a message is marked; all else is a number of the journal.
_MESSAGE = "msg:"
#: Messages that may be named, and how long their ids may be.
_MOST, _LONGEST = 8, 200
_DIGITS = 15
#: Seconds for which messages are looked for that the journal does not know, and between looks:
#: what a browser heard a moment ago can still be on its way to the journal.
_PATIENCE, _PAUSE = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class Position:
    """The last that a browser has: a number of the journal, or one of these messages.

    The latest counts that is known.
    """

    seq: int = 0
    message_ids: tuple[str, ...] = ()


def read_position(values: Sequence[str]) -> Position | None:
    """Read what ``?replay=`` says; None when it was not given.

    Raises
    ------
    InvalidRequest
        when it is not a number, or up to eight ids of messages, or both.
    """
    if not values:
        return None
    ids = tuple(one.removeprefix(_MESSAGE) for one in values if one.startswith(_MESSAGE))
    numbers = [one for one in values if not one.startswith(_MESSAGE)]
    are_ids = len(ids) <= _MOST and all(0 < len(one) <= _LONGEST for one in ids)
    if are_ids and len(numbers) <= 1 and all(map(_is_number, numbers)):
        return Position(int(*numbers), ids)
    raise InvalidRequest(
        "replay: give the number of the last message you have (0: all that is kept), or "
        f"{_MESSAGE} and its id, up to {_MOST} times, or both: the latest counts.",
        field="replay",
    )


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _DIGITS


async def find(position: Position, look_up: Callable[[str], Awaitable[int | None]]) -> int:
    """Say the number of the last message a browser has; 0 when none that it names is kept.

    That none is kept is said after two seconds: until then it may be too new, not too old.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        found = [await look_up(one) for one in position.message_ids]
        known = [seq for seq in found if seq is not None]
        if known or not found or asyncio.get_running_loop().time() > deadline:
            return max([position.seq, *known])
        await asyncio.sleep(_PAUSE)
