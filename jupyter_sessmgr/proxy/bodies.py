"""A request's body on its way through: a few pieces at a time, never the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

#: Pieces, of at most 64 KiB each, that wait for a slow service before the client is held back.
_WAITING = 4


class PassingBody:
    """What a client sends, as it comes. Filled by tornado, read by the upstream request."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._unwanted = False

    async def put(self, piece: bytes) -> None:
        """Take a piece; returns when there is room for another."""
        if not self._unwanted:
            await self._pieces.put(piece)

    async def end(self) -> None:
        """Say that it is whole."""
        if not self._unwanted:
            await self._pieces.put(None)

    def drop(self) -> None:
        """Let the rest go nowhere: the service answered without reading it."""
        self._unwanted = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the pieces in their order."""
        while (piece := await self._pieces.get()) is not None:
            yield piece
