"""How commands write: tables or JSON on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Self

from tqdm import tqdm

from jupyter_sessmgr.cli.failures import CommandFailed

#: Mark of a finding, and what stands for it where the terminal is not UTF-8.
MARKS = {"ok": ("✓", "ok  "), "note": ("·", "note"), "warn": ("!", "warn"), "fail": ("✗", "FAIL")}


def print_json(value: object) -> None:
    """Write one JSON document; what ``--json`` promises."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def print_line(text: str = "") -> None:
    """Write a line of the command's answer."""
    sys.stdout.write(_writable(text, sys.stdout) + "\n")


def print_note(text: str) -> None:
    """Write a line that is not part of the answer: to standard error."""
    sys.stderr.write(_writable(text, sys.stderr) + "\n")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write columns, as wide as their widest cell."""
    table = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line("  ".join(cells).rstrip())


def printable(text: str) -> str:
    """Replace characters that would steer a terminal: names and reasons come from others."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if unicodedata.category(char).startswith("C") else char for char in text)


def mark(level: str) -> str:
    """Give the sign of a finding in `check`."""
    fancy, plain = MARKS[level]
    return fancy if speaks_unicode() else plain


def speaks_unicode() -> bool:
    """Tell whether standard output can show more than ASCII."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    return encoding.startswith("utf")


def age(seconds: float) -> str:
    """Spell a duration for a table: ``45 s``, ``12 min``, ``3 h``, ``2 d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def confirm(question: str) -> None:
    """Ask before something that cannot be undone.

    Raises
    ------
    CommandFailed
        unless the answer is yes; also where there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise CommandFailed("Nobody can answer here; say --yes when you mean it.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandFailed("Nothing was done.")


class Progress:
    """A progress bar on standard error for a long wait; silent where there is no terminal.

    Parameters
    ----------
    title : str
        What is waited for.
    total : int, optional
        How many steps there are; None when a share between 0 and 1 will be told, or nothing.
    """

    def __init__(self, title: str, total: int | None = None) -> None:
        self._bar = tqdm(
            desc=title,
            total=total,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            leave=False,
            bar_format=None if total else "{desc}: {postfix} ({elapsed})",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()

    def say(self, text: str) -> None:
        """Show what is happening now."""
        self._bar.set_postfix_str(printable(text), refresh=True)

    def step(self) -> None:
        """Count one step as done."""
        self._bar.update(1)


def _writable(text: str, stream: object) -> str:
    encoding = getattr(stream, "encoding", None) or "ascii"
    return text.encode(encoding, errors="replace").decode(encoding, errors="replace")
