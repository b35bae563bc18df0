"""Runs in the kernel's own interpreter, before `stem` does: what each first cell waits for.

Only what every kernel imports, and only ASCII, as `stem`.
"""

from __future__ import annotations

import sys


def read_a_cell() -> None:
    """Have IPython read a cell: it makes the patterns that it reads with when they are used first.

    No shell is there yet, and nothing is run.
    """
    transformer = sys.modules["IPython.core.inputtransformer2"].TransformerManager()
    compile(transformer.transform_cell("6 * 7\n"), "<rehearsal>", "exec", dont_inherit=True)


def show_a_result() -> None:
    """Have IPython show a value, to nobody: it makes what shows values when there is one first."""
    sys.modules["IPython.core.formatters"].DisplayFormatter().format(0)


def find_room() -> None:
    """Have Python find where temporary files go, by writing one; cells are named after that."""
    sys.modules["tempfile"].gettempdir()


REHEARSALS = (read_a_cell, show_a_result, find_room)
