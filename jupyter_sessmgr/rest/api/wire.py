"""Writes the values of our own routes. Pure."""

from __future__ import annotations

from typing import Any

from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.model.requests import Health


def render_health(health: Health, trouble: str) -> dict[str, Any]:
    """Write how the whole is; `trouble` says why the manager is not open, if it is not."""
    return {
        "engine": health.engine,
        "available": health.available and not trouble,
        "reason": trouble or health.reason,
        "notes": list(health.notes),
        "standby": health.standby,
    }


def render_offer(offer: Offer) -> dict[str, Any]:
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
