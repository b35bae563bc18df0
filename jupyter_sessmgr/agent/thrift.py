"""Keeps the agent small: each session has one, so each has all that its agent has in memory."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Later(ModuleType):
    """Stands in for a module until something of it is asked for that is not here."""

    def __getattr__(self, name: str) -> Any:
        loader = self.__spec__.loader if self.__spec__ is not None else None
        if loader is None or name == "__path__":
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        loader.exec_module(self)
        return getattr(self, name)


class LaterLogger:
    """Stands in for a logger until there is something to log."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, *_: object, **__: object) -> None:
        """Leave it out: asyncio tells each loop's kind so, and nobody listens."""

    def __getattr__(self, name: str) -> Any:
        logging = sys.modules["logging"]
        assert logging.Handler is not None  # it is loaded now
        return getattr(logging.getLogger(self._name), name)


class AnyType:
    """Stands in for what types are spelled with where nobody reads them."""

    def __getitem__(self, _: object) -> AnyType:
        return self


_ANY = AnyType()
#: What asyncio and ssl import, and use when something goes wrong, if at all: two MiB. With each
#: what is asked of it meanwhile.
_HARDLY_NEEDED: dict[str, dict[str, Any]] = {
    "base64": {},
    # asyncio asks it whether what it is to call on a signal is one, which ours never are
    "inspect": {"iscoroutinefunction": lambda _: False},
    "locale": {},
    "logging": {"getLogger": LaterLogger, "DEBUG": 10},
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},
    "textwrap": {},
    "tokenize": {},
    "typing": {
        "final": lambda made: made,
        **dict.fromkeys(("Any", "Awaitable", "Callable", "Iterable", "List"), _ANY),
        **dict.fromkeys(("Optional", "Tuple", "Type"), _ANY),
    },
}


def put_off() -> None:
    """Have modules loaded when something of them is needed, not when they are imported."""
    for name, meanwhile in _HARDLY_NEEDED.items():
        spec = importlib.util.find_spec(name)
        if name not in sys.modules and spec is not None:
            made = sys.modules[name] = Later(name)
            made.__spec__, made.__loader__, made.__file__ = spec, spec.loader, spec.origin
            vars(made).update(meanwhile)


def give_back() -> None:
    """Give memory back to the system that is not used any more, as after the start."""
    import ctypes  # noqa: PLC0415 - a start must not wait for it

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
