"""Read the agent and its orders from standard input, and run it.

This text is the ``-c`` argument of the place's Python, so it is public: what is secret follows by
standard input. There: one line ``{"sources": N, "config": M}``, N bytes of JSON
``{module: source}``, M bytes of JSON config.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # importing typing would cost milliseconds of every start
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

PACKAGE = "sessmgr_agent"


class Finder:
    """Imports the agent's modules from memory, each when it is needed first."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Tell the import system whether a module is here."""
        base = name.rpartition(".")[2]
        if name != PACKAGE and name != PACKAGE + "." + base:
            return None
        if name != PACKAGE and base not in self.sources:
            return None
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name == PACKAGE)

    def get_source(self, name: str) -> str:
        """Return the text of a module."""
        return self.sources.get(name[len(PACKAGE) + 1 :], "")

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave making the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's source."""
        code = compile(
            self.get_source(module.__name__), "<%s>" % module.__name__, "exec", dont_inherit=True
        )
        exec(code, module.__dict__)


def boot() -> None:
    """Read everything, then hand over to the agent; ends the process."""
    stream = sys.stdin.buffer
    sizes = json.loads(stream.readline(256))
    sources = json.loads(stream.read(sizes["sources"]))
    config = json.loads(stream.read(sizes["config"]))
    finder: Any = Finder(sources)
    sys.meta_path.insert(0, finder)
    main = __import__(PACKAGE + ".main", fromlist=["run"])
    sys.exit(main.run(config))


if __name__ == "__main__":
    boot()
