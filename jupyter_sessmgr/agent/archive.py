"""Writes a tar archive; imported when one is asked for."""

from __future__ import annotations

import os
import tarfile


def write_archive(path: str, target: int) -> None:
    """Write a file, or a folder with all in it, to a descriptor, and close that.

    The archive holds it under its last name. Links stay links; sockets are left out.
    """
    name = os.path.basename(path) or "files"
    with os.fdopen(target, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        archive.add(os.path.realpath(path), arcname=name, filter=_named_only)


def _named_only(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is no file, and numbers of users that mean nothing elsewhere."""
    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
