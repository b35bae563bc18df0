"""How big a session will be: what was asked, the image's bounds, the server's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.model.errors import InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.images import Image
from jupyter_sessmgr.model.resources import Resources, parse_count, parse_size, spell_size

#: Below this no kernel starts, so asking for less is a mistake.
SMALLEST_MEM = 32 * 2**20
SMALLEST_CPU = Decimal("0.01")
USUAL_SHMEM = 64 * 2**20
_ALIASES = {"cuda.devices": "cuda.device"}

Amount = TypeVar("Amount", int, Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one session may have on this server, and has when nobody says."""

    default_cpu: Decimal | None
    default_mem: int
    max_cpu: Decimal
    max_mem: int
    max_shmem: int
    max_devices: int
    pids: int


def size(
    slots: Mapping[str, object], shmem: object, image: Image, engine: Engine, limits: Limits
) -> Resources:
    """Make a session's resources.

    Parameters
    ----------
    slots
        As written by a request over those of its preset; None means: not given.
    shmem
        As written; None means: what the image prefers.

    Raises
    ------
    InvalidRequest
        for slots that cannot be read or do not exist.
    LimitExceeded
        with the slot, the limit and what was asked.
    """
    asked = {_ALIASES.get(name, name): value for name, value in slots.items() if value is not None}
    cpu = _cpu(asked.pop("cpu", None), image, limits)
    mem = _mem(asked.pop("mem", None), image, limits)
    devices = {name: _device(name, value, engine, limits) for name, value in asked.items()}
    return Resources(
        cpu=cpu,
        mem=mem,
        shmem=_shmem(shmem, image, mem, limits),
        devices=MappingProxyType({name: count for name, count in devices.items() if count}),
        pids=limits.pids,
    )


def _cpu(asked: object, image: Image, limits: Limits) -> Decimal | None:
    if asked is None:
        return image.min_cpu or limits.default_cpu
    cpu = parse_count(asked, "cpu")
    _at_least("cpu", cpu, image.min_cpu or SMALLEST_CPU)
    _at_most("cpu", cpu, image.max_cpu, "the image takes")
    _at_most("cpu", cpu, limits.max_cpu, "this server gives")
    return cpu


def _mem(asked: object, image: Image, limits: Limits) -> int:
    if asked is None:
        usual = max(limits.default_mem, image.min_mem or 0)
        return min(usual, limits.max_mem, image.max_mem or limits.max_mem)
    mem = parse_size(asked, "mem")
    _at_least("mem", mem, image.min_mem or SMALLEST_MEM)
    _at_most("mem", mem, image.max_mem, "the image takes")
    _at_most("mem", mem, limits.max_mem, "this server gives")
    return mem


def _shmem(asked: object, image: Image, mem: int, limits: Limits) -> int:
    if asked is None:
        return min(image.shmem or USUAL_SHMEM, limits.max_shmem, mem)
    shmem = parse_size(asked, "shmem")
    _at_most("shmem", shmem, limits.max_shmem, "this server gives")
    if shmem > mem:
        raise InvalidRequest(
            f"shmem: {spell_size(shmem)} are more than the session's memory of {spell_size(mem)}, "
            "which includes them.",
            field="shmem",
        )
    return shmem


def _device(name: str, asked: object, engine: Engine, limits: Limits) -> int:
    if name == "cuda.shares":
        raise LimitExceeded(
            "cuda.shares: parts of a GPU cannot be given here; ask for whole ones by cuda.device.",
            field=name,
            limit=0,
            asked=str(asked)[:60],
        )
    if name != "cuda.device":
        raise InvalidRequest(f"There is no resource slot {name!r:.60}.", field=str(name)[:60])
    count = parse_count(asked, name)
    if count != int(count):
        raise InvalidRequest(f"{name}: whole devices only.", field=name)
    if count and name not in engine.capabilities.devices:
        raise LimitExceeded(
            f"{name}: the {engine.name} engine has no GPU to give; leave it out, or ask the "
            "administrator for an engine with GPUs.",
            field=name,
            limit=0,
            asked=int(count),
        )
    _at_most(name, count, Decimal(limits.max_devices), "this server gives")
    return int(count)


def _at_least(slot: str, asked: Amount, least: Amount) -> None:
    if asked < least:
        raise LimitExceeded(
            f"{slot}: {_spell(asked)} is too little; the image needs at least {_spell(least)}.",
            field=slot,
            limit=str(least),
            asked=str(asked),
            fits=str(least),
        )


def _at_most(slot: str, asked: Amount, most: Amount | None, who: str) -> None:
    if most is not None and asked > most:
        raise LimitExceeded(
            f"{slot}: {_spell(asked)} is too much; {who} at most {_spell(most)}.",
            field=slot,
            limit=str(most),
            asked=str(asked),
            fits=str(most),
        )


def _spell(amount: Amount) -> str:
    """Spell bytes, which are whole numbers, with a unit; counts, which are decimals, without."""
    return spell_size(amount) if isinstance(amount, int) else str(amount)
