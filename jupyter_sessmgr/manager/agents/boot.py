"""What an engine feeds to the agent's standard input: the agent itself, and its orders."""

from __future__ import annotations

import hashlib
import json
import marshal
import zlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources

from jupyter_sessmgr.agent.bootstrap import PACKAGE, bytecode


def make_boot(config: Mapping[str, object]) -> bytes:
    """Make the bytes for `Engine.start`, to be written to the agent's standard input.

    Called by the reconciler, once for each start of a place. They hold the place's secrets, so
    they travel by standard input only and are never logged or stored.
    """
    return pack(agent_sources(), config)


def pack(sources: bytes, config: Mapping[str, object]) -> bytes:
    """Make the same of any program's modules, such as a test's own; `run` of ``main`` is called."""
    packed, code = _compiled(sources)
    orders = json.dumps(config, separators=(",", ":")).encode()
    sizes = {"sources": len(packed), "code": len(code), "config": len(orders)}
    head = json.dumps({"bytecode": bytecode(), **sizes}).encode()
    return head + b"\n" + packed + code + orders


@cache
def agent_sources() -> bytes:
    """Read the agent's modules as JSON ``{module: source}``.

    The first call reads files; see `prepare`.
    """
    folder = resources.files("jupyter_sessmgr.agent")
    sources = {
        entry.name[: -len(".py")]: entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".py") and entry.name not in ("__init__.py", "bootstrap.py")
    }
    return json.dumps(sources, separators=(",", ":")).encode()


def agent_digest() -> str:
    """Tell one release's agent from another's."""
    return _digest(agent_sources())


def prepare() -> None:
    """Read and compile the agent, which takes a moment. The manager does while it opens."""
    _compiled(agent_sources())


@lru_cache(maxsize=2)
def _compiled(sources: bytes) -> tuple[bytes, bytes]:
    """Compress the agent, and compile it for places whose Python runs the same code as this one.

    Compiling takes a place's Python longer than all else that the agent does until it answers.
    """
    code = dict(_compile_each(json.loads(sources)))
    return zlib.compress(sources), marshal.dumps(code)


@lru_cache(maxsize=2)
def _digest(sources: bytes) -> str:
    return hashlib.sha256(sources).hexdigest()


def _compile_each(sources: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name, text in sources.items():
        called = f"<{PACKAGE}.{name}>"
        made = compile(text, called, "exec", dont_inherit=True, optimize=2)
        yield name, marshal.dumps(made)
