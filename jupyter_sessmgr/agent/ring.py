"""The last output of a kernel, in bounded memory."""

from __future__ import annotations

import os


class Ring:
    """Keeps the last bytes written to it.

    Parameters
    ----------
    limit : int
        How many bytes are kept; at most twice as many are held.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        #: How many bytes were ever written.
        self.written = 0

    def write(self, data: bytes) -> None:
        """Append; the oldest bytes give way."""
        self._data += data
        self.written += len(data)
        if len(self._data) > 2 * self._limit:
            del self._data[: len(self._data) - self._limit]

    def tail(self, size: int) -> str:
        """Return the last `size` bytes as text, beginning at a line where one begins."""
        size = max(0, min(size, self._limit))
        if size == 0:
            return ""
        kept = bytes(self._data[-size:])
        if len(self._data) > size:
            first_line_end = kept.find(b"\n")
            if 0 <= first_line_end < len(kept) - 1:
                kept = kept[first_line_end + 1 :]
        return kept.decode("utf-8", "replace")


class Output(Ring):
    """A ring that is filled from a pipe, which processes write to.

    Parameters
    ----------
    limit : int
        As for `Ring`.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.end, self.start = os.pipe()
        os.set_blocking(self.end, False)

    def drain(self) -> None:
        """Take over what was written so far. Never blocks."""
        for _ in range(64):  # a flood must not starve everything else
            try:
                self.write(os.read(self.end, 65536))
            except BlockingIOError:
                return
