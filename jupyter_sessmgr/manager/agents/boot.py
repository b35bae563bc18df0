"""What an engine feeds to the agent's standard input: the agent itself, and its orders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources


def make_boot(config: Mapping[str, object]) -> bytes:
    """Make the bytes for `Engine.start`, to be written to the agent's standard input.

    Called by the reconciler, once for each start of a place. They hold the place's secrets, so
    they travel by standard input only and are never logged or stored.
    """
    sources = agent_sources()
    orders = json.dumps(config, separators=(",", ":")).encode()
    sizes = json.dumps({"sources": len(sources), "config": len(orders)}).encode()
    return sizes + b"\n" + sources + orders


@cache
def agent_sources() -> bytes:
    """Read the agent's modules as JSON ``{module: source}``.

    The first call reads files, so the manager makes it while it opens, in a thread.
    """
    folder = resources.files("jupyter_sessmgr.agent")
    sources = {
        entry.name[: -len(".py")]: entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".py") and entry.name not in ("__init__.py", "bootstrap.py")
    }
    return json.dumps(sources, separators=(",", ":")).encode()
