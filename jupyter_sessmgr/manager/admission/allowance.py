"""What an owner may still ask for: the limits as people meet them. Pure.

Only the owner's own sessions are counted. What others have shows in no figure (THREATS E1); where
a group or the server is full for their sake, a request is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from jupyter_sessmgr.engines.base import Capacity, Engine
from jupyter_sessmgr.manager.admission.sizing import SMALLEST_CPU, SMALLEST_MEM, Limits, size
from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.model.errors import InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.images import Image, is_allowed, with_tag
from jupyter_sessmgr.model.presets import Preset
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.store.quota import Quota, Tally

Amount = int | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How much of one thing a session may have. None: any amount, or not known."""

    least: Amount
    #: Of one session, whatever else there is.
    most: Amount | None
    #: What the owner's live sessions leave of what one owner may have; never below zero.
    left: Amount | None
    #: What the owner's live sessions have.
    used: Amount
    #: What the engine's host has in all.
    there: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetTerms:
    """A preset, and what a session of it has when nothing else is asked for."""

    preset: Preset
    usual: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What limits are applied to."""

    engine: Engine
    #: What the host has.
    has: Capacity
    #: The most of it that one session can get.
    host: Room
    #: What is here.
    images: Sequence[Image]
    #: What the owner's live sessions have.
    taken: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What an owner may still ask for in a group."""

    group: str
    #: The owner's groups; none where the admin described none.
    groups: tuple[str, ...]
    #: How many live sessions one owner may have, and this one has.
    most_sessions: int | None
    sessions: int
    cpu: Span
    mem: Span
    #: By slot; only what the engine can give.
    devices: Mapping[str, Span]
    presets: tuple[PresetTerms, ...]
    images: tuple[Image, ...]
    #: Names of mounts, and whether they can be written to.
    mounts: Mapping[str, bool]


def cpu_span(limits: Limits, quota: Quota, now: Situation) -> Span:
    """Say how many processors a session may have."""
    most = (limits.max_cpu, now.host.cpu)
    return _span("cpu", quota, now, least=SMALLEST_CPU, most=most, there=now.has.cpu)


def mem_span(limits: Limits, quota: Quota, now: Situation) -> Span:
    """Say how many bytes of memory a session may have."""
    most = (limits.max_mem, now.host.mem)
    return _span("mem", quota, now, least=SMALLEST_MEM, most=most, there=now.has.mem)


def device_spans(limits: Limits, quota: Quota, now: Situation) -> Mapping[str, Span]:
    """Say how many devices of each slot a session may have; a ceiling is one for all slots."""
    spans = {}
    for slot in sorted(now.engine.capabilities.devices):
        most = (limits.max_devices, now.host.devices.get(slot))
        there = now.has.devices.get(slot)
        spans[slot] = _span("devices", quota, now, least=0, most=most, there=there)
    return spans


def _span(
    measure: str,
    quota: Quota,
    now: Situation,
    *,
    least: Amount,
    most: Iterable[Amount | None],
    there: Amount | None,
) -> Span:
    mine, *others = (getattr(one, measure) for one in (quota.owner, quota.group, quota.server))
    used = getattr(now.taken, measure)
    return Span(
        least=least,
        most=min((one for one in (*most, mine, *others) if one is not None), default=None),
        left=None if mine is None else max(mine - used, mine - mine),
        used=used,
        there=there,
    )


def preset_terms(
    presets: Iterable[Preset], images: Iterable[Image], limits: Limits, engine: Engine
) -> tuple[PresetTerms, ...]:
    """Say what sessions of each preset have; presets that no session can be made of are left out.

    Those are presets whose image is not here and cannot be fetched, whose network the engine
    cannot give, or that want more than is allowed.
    """
    by_name = {with_tag(image.reference): image for image in images}
    terms = []
    for preset in presets:
        image = by_name.get(with_tag(preset.image))
        if image is None or preset.network not in engine.capabilities.networks:
            continue
        try:
            usual = size(preset.resources, None, image, engine, limits)
        except (InvalidRequest, LimitExceeded):
            continue
        terms.append(PresetTerms(preset=preset, usual=usual))
    return tuple(terms)


def images_for(
    patterns: Sequence[str], presets: Iterable[Preset], now: Situation
) -> tuple[Image, ...]:
    """List the images that may be asked for: those that are here, and presets' to be fetched."""
    here = {with_tag(image.reference): image for image in now.images}
    if now.engine.capabilities.pull:
        for preset in presets:  # until it is fetched, its labels are not known
            name = with_tag(preset.image)
            here.setdefault(name, Image(reference=name, digest=""))
    return tuple(image for name, image in sorted(here.items()) if is_allowed(name, patterns))
