"""Read the agent and its orders from standard input, and run it.

This text is the ``-c`` argument of the place's Python, so it is public: what is secret follows by
standard input. There: one line ``{"bytecode": B, "sources": N, "code": C, "config": M}``, N bytes
of JSON ``{module: source}``, compressed, C bytes of the same as code, by `marshal`, for a Python
whose `bytecode` is B, and M bytes of JSON config.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # importing typing would cost milliseconds of every start
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

PACKAGE = "sessmgr_agent"


def bytecode() -> str:
    """Say which code this Python runs: that of another version may crash it."""
    return importlib.util.MAGIC_NUMBER.hex() + str(sys.implementation.cache_tag) + sys.abiflags


class Finder:
    """Imports the agent's modules from memory, each when it is needed first.

    Parameters
    ----------
    packed : bytes
        The modules' sources, as JSON, compressed: few need them where there is code.
    codes : dict
        Their code, by name; {} where this Python does not run it.
    """

    def __init__(self, packed: bytes, codes: dict[str, bytes]) -> None:
        self._packed = packed
        self._codes = codes
        self._sources: dict[str, str] = {} if codes else self.get_sources()
        self._names = {*codes, *self._sources}
        self.bytecode = bytecode()

    def get_sources(self) -> dict[str, str]:
        """Unpack the texts of all modules, by name."""
        import zlib  # noqa: PLC0415 - few need it

        sources: dict[str, str] = json.loads(zlib.decompress(self._packed))
        return sources

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Tell the import system whether a module is here."""
        base = name.rpartition(".")[2]
        if name != PACKAGE and name != PACKAGE + "." + base:
            return None
        if name != PACKAGE and base not in self._names:
            return None
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name == PACKAGE)

    def get_source(self, name: str) -> str:
        """Return the text of a module, as Python itself asks for it to show an error."""
        return (self._sources or self.get_sources()).get(name[len(PACKAGE) + 1 :], "")

    def get_marshalled(self, name: str) -> bytes:
        """Return the code of a module; b"" when it is only there as text."""
        return self._codes.get(name[len(PACKAGE) + 1 :], b"")

    def get_code(self, name: str) -> CodeType:
        """Return the code of a module, compiled if it has to be."""
        made = self.get_marshalled(name)
        if made:
            code: CodeType = marshal.loads(made)
            return code
        text = self.get_source(name) if name != PACKAGE else ""
        return compile(text, "<%s>" % name, "exec", dont_inherit=True, optimize=2)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave making the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code. It is run once, so it is let go of."""
        exec(self.get_code(module.__name__), module.__dict__)
        self._codes.pop(module.__name__[len(PACKAGE) + 1 :], None)


def boot() -> None:
    """Read everything, then hand over to the agent; ends the process."""
    stream = sys.stdin.buffer
    head = json.loads(stream.readline(256))
    packed, codes = stream.read(head["sources"]), stream.read(head["code"])
    config = json.loads(stream.read(head["config"]))
    finder: Any = Finder(packed, marshal.loads(codes) if head["bytecode"] == bytecode() else {})
    sys.meta_path.insert(0, finder)
    main = __import__(PACKAGE + ".main", fromlist=["run"])
    sys.exit(main.run(config))


if __name__ == "__main__":
    boot()
