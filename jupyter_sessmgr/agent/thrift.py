"""Keeps the agent small: each session has one, so each has all that its agent has in memory."""

from __future__ import annotations

import importlib.util
import sys
from types import FunctionType, ModuleType

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
        try:
            loader.exec_module(self)
        except BaseException:
            self.__class__ = Later  # there may be a file to read it from another time
            raise
        return getattr(self, name)


class Logger:
    """Stands in for asyncio's logger: says on standard error what somebody should know.

    It needs nothing that is not loaded: trouble is often that no file can be opened any more.
    """

    def __init__(self, _name: str) -> None:
        return

    def debug(self, *_: object, **__: object) -> None:
        """Leave it out."""

    info = debug

    def warning(self, message: str, *args: object, exc_info: Any = None, **_: object) -> None:
        """Say it, with the exception, as `logging` does."""
        sys.stderr.write("%s\n" % (message % args if args else message))
        if isinstance(exc_info, BaseException):
            exc_info = type(exc_info), exc_info, exc_info.__traceback__
        elif exc_info and not isinstance(exc_info, tuple):
            exc_info = sys.exc_info()
        if exc_info and exc_info[0] is not None:
            sys.excepthook(*exc_info)

    error = critical = warning

    def log(self, level: int, *args: Any, **named: Any) -> None:
        """Say it when it is worth that."""
        if self.isEnabledFor(level):
            self.warning(*args, **named)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - its name in `logging`
        """Say whether something of this level is said."""
        return level >= _WARNING


class AnyType:
    """Stands in for what types are spelled with where nobody reads them."""

    def __getitem__(self, _: object) -> AnyType:
        return self


_ANY = AnyType()
_WARNING = 30
#: What asyncio and ssl import, and use when something goes wrong, if at all: two MiB. With each
#: what is asked of it meanwhile.
_HARDLY_NEEDED: dict[str, dict[str, Any]] = {
    "base64": {},
    # asyncio asks it whether what it is to call on a signal is one, which ours never are; and where
    # a callback is from that failed
    "inspect": {
        "iscoroutinefunction": lambda _: False,
        "unwrap": lambda wrapper: wrapper,
        "isfunction": lambda made: isinstance(made, FunctionType),
    },
    "locale": {},
    "logging": {"getLogger": Logger, "DEBUG": 10, "INFO": 20, "WARNING": _WARNING},
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


def say_trouble(_loop: Any, context: dict[str, Any]) -> None:
    """Say what went wrong in a callback or task. Called by asyncio, whose own way needs files."""
    error = context.get("exception")
    try:
        Logger("").error(context.get("message", "Something went wrong."), exc_info=error)
    except OSError:
        return  # nobody reads what this one says


def give_back() -> None:
    """Give memory back to the system that is not used any more, as after the start."""
    import ctypes  # noqa: PLC0415 - a start must not wait for it

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
