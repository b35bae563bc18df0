"""Rows and models: one becomes the other here, without I/O.

A column has the name of the field that it holds. Fields that are not plain values are JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

from jupyter_sessmgr.model.codec import from_plain, to_plain
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.naming import is_text
from jupyter_sessmgr.model.resources import MAX_NUMBER
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState
from jupyter_sessmgr.model.status import Goal
from jupyter_sessmgr.store.base import Cipher
from jupyter_sessmgr.store.merging import FACTS, FIXED, WISHES
from jupyter_sessmgr.store.quota import MICROS, Tally, tally_of

#: What a column can hold.
Value = str | int | float | None
Row = Mapping[str, Value]

#: Copies of numbers in the spec, for the database to sum.
TAKINGS = ("cpu_micros", "mem", "devices")
_JSON = frozenset({"spec", "endpoints", "kernel_exit", "usage", "history", "opened_ports"})


def session_row(session: ComputeSession, cipher: Cipher) -> dict[str, Value]:
    """Make the whole row of a session; the values of `environ` are sealed."""
    row = {name: _column(session, name) for name in (*FIXED, *WISHES, *FACTS)}
    spec = to_plain(session.spec)
    spec["environ"] = {name: cipher.seal(text) for name, text in spec["environ"].items()}
    takes = tally_of(session)
    return row | {
        "spec": _dump(spec),
        "cpu_micros": _counted(takes.cpu * MICROS),
        "mem": _counted(takes.mem),
        "devices": _counted(takes.devices),
        "number": session.number or None,
        "revision": session.revision,
    }


def wish_row(session: ComputeSession) -> dict[str, Value]:
    """Make the columns that the manager writes, and the id."""
    return {name: _column(session, name) for name in ("id", *WISHES)}


def facts_row(session: ComputeSession) -> dict[str, Value]:
    """Make the columns that the reconciler writes, and the id."""
    return {name: _column(session, name) for name in ("id", *FACTS)}


def use_row(session: ComputeSession) -> dict[str, Value]:
    """Make the columns that say how a session was used, and the id."""
    names = ("id", "queries", "connected_at", "last_active_at")
    return {name: _column(session, name) for name in names}


def place_row(place: Place) -> dict[str, Value]:
    """Make the whole row of a place.

    Raises
    ------
    InvalidRequest
        naming the field that cannot be stored, as `storable` does.
    """
    for field in fields(Place):
        _refuse_unstorable(field.name, getattr(place, field.name))
    return {field.name: to_plain(getattr(place, field.name)) for field in fields(Place)}


def session_from_row(row: Row, cipher: Cipher) -> ComputeSession:
    """Read a session's row.

    Raises
    ------
    ValueError
        when the row makes no sense, or `cipher` did not seal it.
    """
    plain: dict[str, Any] = {
        name: json.loads(str(row[name])) if name in _JSON and row[name] is not None else row[name]
        for name in (*FIXED, *WISHES, *FACTS, "number", "revision")
    }
    spec = _object(plain["spec"])
    sealed = _object(spec.get("environ", {}))
    environ = {name: cipher.unseal(str(text)) for name, text in sealed.items()}
    plain["spec"] = spec | {"environ": environ}
    session: ComputeSession = from_plain(ComputeSession, plain)
    return session


def tally_from_row(row: Row) -> Tally:
    """Read one row of `count_live`."""
    counted = {name: int(row[name] or 0) for name in ("sessions", "pending", "mem", "devices")}
    return Tally(**counted, cpu=Decimal(int(row["cpu_micros"] or 0)) / MICROS)


def place_from_row(row: Row) -> Place:
    """Read a place's row.

    Raises
    ------
    ValueError
        when the row makes no sense.
    """
    place: Place = from_plain(Place, {field.name: row[field.name] for field in fields(Place)})
    return place


def may_claim(session: ComputeSession, spare: Place | None) -> bool:
    """Tell whether two rows are free for each other: a session that waits for a place, a spare."""
    return (
        session.is_live
        and session.goal is not Goal.STOP
        and not session.place_id
        and not session.failure
        and spare is not None
        and spare.state is PlaceState.MADE
        and spare.session_id is None
        and bool(spare.pool_key)
    )


def storable(session: ComputeSession) -> ComputeSession:
    """Return `session` as a store can hold it (FAULTS S8).

    What people asked for is refused when it cannot be stored: it should not have come here.
    What was reported from inside a session is mended instead, because a fact that cannot be
    saved would hold up everything else about the session.

    Raises
    ------
    InvalidRequest
        naming the field: text with half a character in it, a number beyond 64 bits or no number.
    """
    for name in (*FIXED, *WISHES, "place_id"):
        _refuse_unstorable(name, getattr(session, name))
    for variable, text in session.spec.environ.items():
        _refuse_unstorable(f"environ {variable!r:.80}", text)
    mended: dict[str, Any] = {
        name: _mended(getattr(session, name))
        for name in FACTS
        if isinstance(getattr(session, name), str | int | float) and name != "status"
    }
    changed = {name: value for name, value in mended.items() if value != getattr(session, name)}
    return replace(session, **changed) if changed else session


def _refuse_unstorable(name: str, value: object) -> None:
    if isinstance(value, str | int | float) and _mended(value) != value:
        raise InvalidRequest(
            f"{name}: this text or number cannot be stored; use whole characters, and numbers "
            "of at most 64 bits.",
            field=name,
        )


def _mended(value: str | float) -> str | int | float | None:
    if isinstance(value, str):
        return value if is_text(value) else value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return max(-MAX_NUMBER, min(value, MAX_NUMBER))
    return value if math.isfinite(value) else None


def _column(session: ComputeSession, name: str) -> Value:
    value = to_plain(getattr(session, name))
    if name in _JSON and value is not None:
        return _dump(value)
    plain: Value = int(value) if isinstance(value, bool) else value
    return plain


def _counted(amount: Decimal | int) -> int:
    return int(max(0, min(amount, MAX_NUMBER)))


def _dump(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"))


def _object(plain: Any) -> dict[str, Any]:
    if not isinstance(plain, Mapping):
        raise ValueError(f"not an object: {plain!r:.60}")  # noqa: TRY004 - a row is wrong, not a type
    return dict(plain)
