"""How much of the host there is to give away. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

from jupyter_sessmgr.engines.base import Capabilities, Capacity
from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.model.errors import LimitExceeded
from jupyter_sessmgr.model.resources import Resources, spell_size

#: How often the host is given away where the engine holds sessions to their limits: most use a
#: small part of theirs, and processors can be shared.
USUAL_CPU, USUAL_MEM = Decimal(16), Decimal(4)


def room_of(
    has: Capacity, can: Capabilities, *, cpu_factor: float | None, mem_factor: float | None
) -> Room:
    """Say how much may be given away.

    A factor of None is the usual one where the engine enforces limits, and no end where it does
    not; `inf` is no end, too. Devices are never given away twice. An engine that queues by itself
    looks after its hosts.
    """
    if can.queues:
        return Room()
    cpu = _factor(cpu_factor, USUAL_CPU if can.hard_cpu else None)
    mem = _factor(mem_factor, USUAL_MEM if can.hard_memory else None)
    return Room(
        cpu=None if has.cpu is None or cpu is None else has.cpu * cpu,
        mem=None if has.mem is None or mem is None else int(has.mem * mem),
        devices=has.devices,
    )


def _factor(chosen: float | None, usual: Decimal | None) -> Decimal | None:
    if chosen is None:
        return usual
    return None if math.isinf(chosen) else Decimal(str(chosen))


def most_for_one(has: Capacity, can: Capabilities, room: Room) -> Room:
    """Say what one session can have of the empty host."""
    if not can.hard_cpu or has.cpu is None:
        return room
    # No engine gives one session more processors than there are.
    return replace(room, cpu=has.cpu if room.cpu is None else min(room.cpu, has.cpu))


def check_fits(needs: Resources, has: Capacity, can: Capabilities, room: Room) -> None:
    """Refuse a session that would wait for ever.

    Raises
    ------
    LimitExceeded
        when the empty host has too little for it; says what would fit.
    """
    cores = most_for_one(has, can, room).cpu
    if cores is not None and needs.cpu and needs.cpu > cores:
        raise _refusal("cpu", str(needs.cpu), str(cores), "processors")
    if room.mem is not None and needs.mem and needs.mem > room.mem:
        raise _refusal("mem", spell_size(needs.mem), spell_size(room.mem), "of memory")
    for name, count in needs.devices.items():
        if name in room.devices and count > room.devices[name]:
            raise _refusal(name, str(count), str(room.devices[name]), name)


def _refusal(slot: str, asked: str, most: str, what: str) -> LimitExceeded:
    return LimitExceeded(
        f"{slot}: {asked} is too much; this host can give a session at most {most} {what}.",
        field=slot,
        limit=f"{slot} of the host",
        asked=asked,
        fits=most,
    )
