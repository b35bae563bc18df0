"""What text does to the line it is written to, so that what was overwritten need not be kept."""

from __future__ import annotations

#: A longer line is not followed: nothing of it is dropped until the next one begins.
LONGEST = 8192
#: Messages that may have made one line.
_MOST_PARTS = 1000
#: A message with more text before its last line is kept whole.
_MOST_BEFORE = 64 * 1024


class Line:
    r"""The last line of one output as people see it, and where the next character goes.

    The rules are JupyterLab's: ``\r`` goes to the line's start, what is written there replaces
    as many characters, ``\n`` ends the line behind its last one.
    """

    def __init__(self) -> None:
        #: None: not followed, until the next line.
        self._text: str | None = ""
        self._column = 0
        #: The messages that made it: number, and what to keep when this line is written anew.
        self._parts: list[tuple[int, str]] = []

    def write(self, number: int, text: str) -> tuple[str, list[tuple[int, str]]]:
        """Write the text of message `number`.

        Returns what to keep of it, and what to keep of messages before: number and text. Whoever
        has seen any of these messages and is shown the rest sees what all would have made.
        """
        if "\r" not in text and "\b" not in text:
            return self._write_plainly(number, text)
        first, *others = text.split("\n")
        kept, replaced = self._continue(first)
        for other in others:
            self._text, self._column = "", 0
            before = kept + "\n"
            kept = before + self._spell(other)
        if others:
            self._begin(number, before)
        else:
            self._parts.append((number, ""))
        self._check()
        return kept, replaced

    def _write_plainly(self, number: int, text: str) -> tuple[str, list[tuple[int, str]]]:
        before, newline, last = text.rpartition("\n")
        if newline:
            self._text, self._column = "", 0
            self._begin(number, before + newline)
        else:
            self._parts.append((number, ""))
        self._put(last)
        self._check()
        return text, []

    def _begin(self, number: int, before: str) -> None:
        self._parts = [(number, before)] if len(before) <= _MOST_BEFORE else []

    def _continue(self, text: str) -> tuple[str, list[tuple[int, str]]]:
        """Go on with the line; one that is written from its start replaces what made it."""
        spelled = self._spell(text)
        if self._text is None or "\r" not in text:
            return spelled, []
        replaced, self._parts = self._parts, []
        return "\r" + spelled, replaced

    def _spell(self, text: str) -> str:
        """Write, and return how that is said; with a return in it, what the whole line is."""
        if "\b" in text:
            self._text = None
        if self._text is None or "\r" not in text:
            self._put(text)
            return text
        pieces = text.split("\r")
        self._put(pieces[0])
        for piece in pieces[1:]:
            self._column = 0
            self._put(piece)
        moved = self._column < len(self._text)
        return self._text + ("\r" + self._text[: self._column] if moved else "")

    def _put(self, text: str) -> None:
        if self._text is None or not text:
            return
        end = self._column + len(text)
        self._text = self._text[: self._column] + text + self._text[end:]
        self._column = end

    def _check(self) -> None:
        """Give up a line that takes too much to follow."""
        if self._text is not None and (len(self._text) > LONGEST or len(self._parts) > _MOST_PARTS):
            self._text = None
        if self._text is None:
            self._parts = []
