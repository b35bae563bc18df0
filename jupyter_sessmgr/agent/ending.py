"""Runs in the kernel's own interpreter, before `stem` does: how its Python ends.

A Python that ends takes all modules apart. For the hundreds that a kernel has in common with its
template that is half of the time from being asked to end until it is gone, and a copy of most of
the memory that they share. In these nothing is a user's, and the system frees it all at once a
moment later: so they are left whole. What was imported or made since is taken apart as ever, with
all that it does then, as a file that is flushed.

Only what every kernel imports, and only ASCII, as `stem`.
"""

from __future__ import annotations

import ctypes
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

#: Python itself looks for these when it ends, or they are somebody's own.
_TAKEN_APART = ("__main__", "builtins", "sys", "sitecustomize", "usercustomize")


class Ending:
    """What was imported until now; lives until Python has stopped all threads, and ends.

    Takes the place of what is called before a prompt, if ever there is one: of what Python lets go
    of before all modules, as it has since 3.4, nothing else is used in a kernel.

    Parameters
    ----------
    prompting : callable, optional
        What was there.
    """

    def __init__(self, prompting: Any) -> None:
        self._prompting = prompting
        self._known: dict[str, ModuleType] = {
            name: module for name, module in sys.modules.items() if name not in _TAKEN_APART
        }
        self._modules = sys.modules
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._known))  # nobody lets go of it

    def __call__(self) -> None:
        """Do what was to be done before a prompt."""
        if self._prompting is not None:
            self._prompting()

    def __del__(self) -> None:
        """Take modules from where Python finds what to take apart."""
        if not sys.is_finalizing():
            return  # somebody replaced it
        for name, module in self._known.items():
            if self._modules.get(name) is module:
                del self._modules[name]


def leave_modules_whole() -> None:
    """Have what was imported until now left whole."""
    sys.__interactivehook__ = Ending(getattr(sys, "__interactivehook__", None))
