"""Look at the state folder: private, local, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

from traitlets.config import Config

from jupyter_sessmgr.cli.check.findings import Finding
from jupyter_sessmgr.cli.local import state_folder
from jupyter_sessmgr.manager.installation.statefolder import LOCK_FILE, StateFolder, filesystem_type
from jupyter_sessmgr.model.errors import SessmgrError


def look_at_folder(config: Config) -> Iterator[Finding]:
    """Check the folder that a server would use, without taking it."""
    folder = state_folder(config)
    if not folder.path.exists():
        yield Finding("ok", "state folder", f"{folder.path} will be made when it is needed")
        return
    try:
        folder.prepare()
        if (folder.path / LOCK_FILE).exists():
            folder.secrets()
    except SessmgrError as error:
        yield Finding("fail", "state folder", error.message)
        return
    kind = filesystem_type(folder.path)
    where = f"{folder.path} ({kind})" if kind else str(folder.path)
    if is_held(folder):
        yield Finding("ok", "state folder", f"{where}, held by {folder.holder()}")
    else:
        yield Finding("ok", "state folder", f"{where}, free")


def is_held(folder: StateFolder) -> bool:
    """Tell whether somebody leads the folder now; asks the system, and not the note inside."""
    try:
        lock = os.open(folder.path / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look do not see each other.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in {errno.EWOULDBLOCK, errno.EACCES}
    finally:
        os.close(lock)
    return False
