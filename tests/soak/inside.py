"""A server extension that counts what is left once all garbage is collected, and no row is kept long."""

from __future__ import annotations

import ctypes
import gc
import json
import sys

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from jupyter_sessmgr.manager.loop import sweeper

#: Seconds that rows of removed places are kept; with the hour of theirs none would go meanwhile.
TOMBSTONE = 60.0


def _jupyter_server_extension_points():
    return [{"module": "tests.soak.inside"}]


def _load_jupyter_server_extension(serverapp):
    sweeper.TOMBSTONE = TOMBSTONE
    handlers = [(f"{serverapp.base_url}objects", ObjectsHandler)]
    serverapp.web_app.add_handlers(".*$", handlers)


class ObjectsHandler(JupyterHandler):
    """Count them: blocks of memory that Python's own allocator has given out."""

    @web.authenticated
    def get(self):
        """Collect twice, since what ends may let go of more; and keep no memory that is free.

        The C library keeps it, some MiB in each thread's arena, as long as nobody asks for it back:
        what a server holds without need would hide what it needs.
        """
        gc.collect()
        gc.collect()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)
        self.finish(json.dumps(sys.getallocatedblocks()))
