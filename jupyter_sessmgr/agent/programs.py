"""Puts modules of the agent's into a file without a name, for another Python to run.

In it are, by `marshal`, whose code that is, and of each module its name, code and text. A Python
with the same bytecode runs the code, any other the text.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Tuple

    #: Name, code and text of a module; empty what there is not.
    Module = Tuple[str, bytes, str]

#: Reads such a file: makes `read_modules`, which yields names and code.
READER = """\
def read_modules(file):
    import importlib.util, marshal, sys
    mine = importlib.util.MAGIC_NUMBER.hex() + sys.implementation.cache_tag + sys.abiflags
    whose, modules = marshal.load(file)
    for name, code, text in modules:
        able = code and whose == mine
        yield name, marshal.loads(code) if able else compile(text, "<%s>" % name, "exec", 0, True)
"""
#: A form of `marshal` that each version reads.
_FORM = 2
_THIS = os.path.realpath(sys.executable)


def modules(names: Iterable[str], python: str, package: str = "") -> list[Module]:
    """Return modules of the agent's for a Python, as modules of a package there.

    Without their text where that Python is this one, which runs the code.
    """
    finder, ours = _finder(), __name__.rpartition(".")[0] + "."
    found = [(package + name, finder.get_marshalled(ours + name), "") for name in names]
    if os.path.realpath(python) == _THIS and all(code for _, code, _ in found):
        return found
    texts = finder.get_sources()
    return [(name, code, texts[name[len(package) :]]) for name, code, _ in found]


def put(modules: Iterable[Module]) -> int:
    """Put modules into a file; returns its descriptor, which the caller closes."""
    made = os.memfd_create("sessmgr")
    with open(made, "wb", closefd=False) as stream:
        marshal.dump((_finder().bytecode, list(modules)), stream, _FORM)
    os.lseek(made, 0, os.SEEK_SET)
    return made


def _finder() -> Any:
    here = sys.modules[__name__].__spec__
    assert here is not None
    return here.loader
