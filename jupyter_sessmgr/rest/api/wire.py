"""Writes the values of our own routes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.model.requests import Health
from jupyter_sessmgr.model.resources import MAX_SECONDS
from jupyter_sessmgr.rest.api.types import HealthReply, OfferList, OfferReply


def render_health(health: Health, trouble: str) -> HealthReply:
    """Write how the whole is; `trouble` says why the manager is not open, if it is not."""
    return {
        "engine": health.engine,
        "available": health.available and not trouble,
        "reason": trouble or health.reason,
        "notes": list(health.notes),
        "follows": health.follows,
        "suspends": health.suspends,
        "maxExtension": min(health.max_extension, MAX_SECONDS),
    }


def render_offers(offers: Sequence[Offer]) -> OfferList:
    """Write all that can be started."""
    return {"items": [render_offer(offer) for offer in offers]}


def render_offer(offer: Offer) -> OfferReply:
    """Write one thing that can be started."""
    preset = offer.preset
    return {
        "kernelName": offer.kernel_name,
        "displayName": offer.display_name,
        "language": offer.language,
        "preset": preset.name,
        "title": preset.title,
        "description": preset.description,
        "image": preset.image,
        "network": preset.network,
        "notebookFolder": preset.notebook_folder,
        "home": preset.home,
        "resources": dict(preset.resources),
        "listed": preset.listed,
    }
