"""Which kinds of streams there are; each is imported when it is asked for first."""

from __future__ import annotations

import importlib

from .refusals import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .frames import Frames
    from .premises import Premises

_KINDS = {
    "tunnel": ("tunnel", "serve"),
    "terminal": ("terminal", "serve"),
    "list": ("files", "serve_list"),
    "read": ("files", "serve_read"),
    "archive": ("files", "serve_archive"),
    "write": ("files", "serve_write"),
    "journal": ("journalverbs", "serve_read"),
    "execution": ("journalverbs", "serve_execution"),
}


async def serve(kind: str, args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Open a stream and serve it until it ends."""
    if kind not in _KINDS:
        raise Invalid("unknown stream %.60r" % kind)
    module, function = _KINDS[kind]
    await getattr(importlib.import_module("." + module, __package__), function)(
        args, frames, premises
    )
