"""How much of a machine a session may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from jupyter_sessmgr.model.errors import InvalidRequest

#: SQLite and JSON readers stop being exact here.
MAX_NUMBER = 2**63 - 1
#: A hundred years: longer than anything lives, and a time that every calendar knows.
MAX_SECONDS = 100 * 365 * 86400

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE = re.compile(r"(?P<number>[0-9]{1,19}(?:\.[0-9]{1,6})?)(?P<unit>[kmgtp]?)(?:i?b)?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?", re.ASCII)


def parse_size(value: object, name: str) -> int:
    """Read bytes from ``"512m"``, ``"4.5g"``, ``"1073741824"`` or an integer; units are x1024.

    Raises
    ------
    InvalidRequest
        for anything else: negative, NaN, hex, exponents, over 2**63 - 1, booleans.
    """
    text = _number_text(value)
    match = _SIZE.fullmatch(text.lower())
    if match is None:
        raise InvalidRequest(
            f"{name}: {value!r:.60} is not a size; write bytes or a number with k, m, g or t, "
            'such as "512m" or "4.5g".',
            field=name,
        )
    size = int(Decimal(match["number"]) * _UNITS[match["unit"]])
    if size > MAX_NUMBER:
        raise InvalidRequest(f"{name}: {value!r:.60} is more than 2**63 - 1 bytes.", field=name)
    return size


def parse_count(value: object, name: str) -> Decimal:
    """Read a decimal number of things, such as processors: ``2``, ``"0.5"``.

    Raises
    ------
    InvalidRequest
        for anything that is not a plain decimal number below a million.
    """
    text = _number_text(value)
    if _COUNT.fullmatch(text) is None:
        raise InvalidRequest(
            f'{name}: {value!r:.60} is not a count; write a plain number such as "2" or "0.5".',
            field=name,
        )
    return Decimal(text)


def parse_seconds(value: object, name: str) -> float:
    """Read a number of seconds: ``3600``, ``"90.5"``.

    Raises
    ------
    InvalidRequest
        for anything that is not a plain decimal number up to `MAX_SECONDS`.
    """
    text = _number_text(value)
    if _SECONDS.fullmatch(text) is None or float(text) > MAX_SECONDS:
        raise InvalidRequest(
            f"{name}: {value!r:.60} is not a number of seconds up to {MAX_SECONDS}; write a plain "
            'one such as "3600".',
            field=name,
        )
    return float(text)


def spell_size(size: int) -> str:
    """Spell a number of bytes for people: ``4 GiB``, ``512 MiB``, ``100 bytes``."""
    for unit, one in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= one * 0.9995:  # what would be spelled as 1024 of the next smaller unit
            return f"{size / one:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


def _number_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return ""
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a session asked for, or may use at most."""

    #: Processors; fractions allowed. None: not limited.
    cpu: Decimal | None = None
    #: Bytes of memory, `shmem` included. None: not limited.
    mem: int | None = None
    #: Bytes of ``/dev/shm``, counted inside `mem`.
    shmem: int = 64 * 2**20
    #: Whole devices by slot name, such as ``{"cuda.device": 1}``.
    devices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    #: Processes and threads.
    pids: int = 512
