"""Whether this process may open more files: what it begins without them stays half done."""

from __future__ import annotations

import errno
import os

from jupyter_sessmgr.model.errors import EngineUnavailable

#: What a session takes at most while it starts, and as a kernel of Jupyter's.
NEEDED = 40
_SHORT = (errno.EMFILE, errno.ENFILE)


def check_descriptors(needed: int = NEEDED) -> None:
    """Make sure that so many files, connections and pipes can be opened. Takes microseconds.

    Raises
    ------
    EngineUnavailable
        when they cannot (FAULTS T10).
    """
    held: list[int] = []
    try:
        while len(held) < needed:
            held += os.pipe()
    except OSError as error:
        if error.errno not in _SHORT:
            raise
        raise EngineUnavailable(
            "No session can be made now: this server has as many files and connections open as it "
            "may. Try again later; if that lasts, raise its limit (ulimit -n)."
        ) from error
    finally:
        for one in held:
            os.close(one)
