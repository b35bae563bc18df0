"""Folders that containers see, each its own, for sockets on which the server listens.

They are mounted read-only, which still lets a container connect: it can neither fill the disk nor
put anything into the server's way.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Collection
from pathlib import Path

#: Seconds after which a folder without a container counts as left over: it is made first.
_LEFT_OVER = 300.0


class Landings:
    """Makes and removes these folders. Owned by the engine.

    Parameters
    ----------
    root : Path, optional
        Where they are; None where the engine does not see this machine's folders.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def path(self, place_id: str) -> Path | None:
        """Name a place's folder; None where there are none."""
        return self._root / place_id if self._root is not None else None

    async def make(self, place_id: str) -> str:
        """Make a place's folder, and return its path; "" where there are none.

        One that cannot be made, as on a full disk, is done without: there are streams.
        """
        path = self.path(place_id)
        if path is None:
            return ""
        try:
            await asyncio.to_thread(_make, path)
        except OSError:
            return ""
        return str(path)

    async def remove(self, place_id: str) -> None:
        """Remove a place's folder; harmless when it is gone."""
        path = self.path(place_id)
        if path is not None:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    async def sweep(self, places: Collection[str]) -> None:
        """Remove folders of places that are gone: all but these, and those just made.

        Private managers have theirs here, too, so `places` are those of every installation.
        """
        if self._root is not None:
            await asyncio.to_thread(_sweep, self._root, places)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(exist_ok=True)
    path.chmod(0o755)  # whoever the container runs as; nobody else gets past the folder above


def _sweep(root: Path, places: Collection[str]) -> None:
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.name not in places and _is_old(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _LEFT_OVER
    except FileNotFoundError:
        return False  # its place was removed this moment
