"""Keeps the agent small: each session has one, so each has all that its agent has in memory."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What asyncio and ssl import, and use when something goes wrong, if at all: more than a MiB.
_HARDLY_NEEDED = ("base64", "inspect", "locale", "textwrap", "tokenize")


class Later(ModuleType):
    """Stands in for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        loader = self.__spec__.loader if self.__spec__ is not None else None
        if loader is None or name == "__path__":
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        loader.exec_module(self)
        return getattr(self, name)


def put_off() -> None:
    """Have modules loaded when something of them is needed, not when they are imported."""
    for name in _HARDLY_NEEDED:
        spec = importlib.util.find_spec(name)
        if name not in sys.modules and spec is not None:
            made = sys.modules[name] = Later(name)
            made.__spec__, made.__loader__, made.__file__ = spec, spec.loader, spec.origin
    # asyncio asks it whether what it is to call on a signal is one, which ours never are
    vars(sys.modules["inspect"]).setdefault("iscoroutinefunction", lambda _: False)


def give_back() -> None:
    """Give memory back to the system that is not used any more, as after the start."""
    import ctypes  # noqa: PLC0415 - a start must not wait for it

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
