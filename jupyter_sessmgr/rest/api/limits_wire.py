"""Writes what somebody may still ask for. Pure."""

from __future__ import annotations

import math
from decimal import Decimal

from jupyter_sessmgr.manager.admission.allowance import Allowance, PresetTerms, Span
from jupyter_sessmgr.manager.admission.idling import SHORTEST_IDLE, ServerLimits
from jupyter_sessmgr.model.images import Image
from jupyter_sessmgr.rest.api.limits_types import (
    AmountLimits,
    ImageReply,
    LimitsReply,
    PresetReply,
)


def render_limits(allowance: Allowance, time: ServerLimits, *, folders: bool) -> LimitsReply:
    """Write what somebody may still ask for."""
    return {
        "group": allowance.group,
        "groups": list(allowance.groups),
        "sessions": {"most": allowance.most_sessions, "used": allowance.sessions},
        "cpu": _span(allowance.cpu),
        "mem": _span(allowance.mem),
        "devices": {slot: _span(span) for slot, span in allowance.devices.items()},
        "idleTimeout": {
            "least": SHORTEST_IDLE,
            "durable": _number(time.durable_idle_timeout) or None,
            "interactive": _number(time.idle_timeout) or None,
        },
        "presets": [_preset(terms) for terms in allowance.presets],
        "images": [_image(image) for image in allowance.images],
        "folders": folders,
        "mounts": [
            {"name": name, "writable": writable} for name, writable in allowance.mounts.items()
        ],
    }


def _span(span: Span) -> AmountLimits:
    return {
        "least": float(span.least),
        "most": _number(span.most),
        "left": _number(span.left),
        "used": float(span.used),
        "there": _number(span.there),
    }


def _preset(terms: PresetTerms) -> PresetReply:
    preset, usual = terms.preset, terms.usual
    return {
        "name": preset.name,
        "title": preset.title,
        "description": preset.description,
        "image": preset.image,
        "kernel": preset.kernel,
        "network": preset.network,
        "notebookFolder": preset.notebook_folder,
        "home": preset.home,
        "listed": preset.listed,
        "usual": {"cpu": _number(usual.cpu), "mem": usual.mem, "devices": dict(usual.devices)},
    }


def _image(image: Image) -> ImageReply:
    return {
        "name": image.reference,
        "leastCpu": _number(image.min_cpu),
        "mostCpu": _number(image.max_cpu),
        "leastMem": image.min_mem,
        "mostMem": image.max_mem,
    }


def _number(amount: float | Decimal | None) -> float | None:
    return None if amount is None or not math.isfinite(amount) else float(amount)
