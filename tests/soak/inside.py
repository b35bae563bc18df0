"""A server extension that counts the objects which are left once all garbage is collected."""

from __future__ import annotations

import gc
import json
import sys

from jupyter_server.base.handlers import JupyterHandler
from tornado import web


def _jupyter_server_extension_points():
    return [{"module": "tests.soak.inside"}]


def _load_jupyter_server_extension(serverapp):
    handlers = [(f"{serverapp.base_url}objects", ObjectsHandler)]
    serverapp.web_app.add_handlers(".*$", handlers)


class ObjectsHandler(JupyterHandler):
    """Count them: blocks of memory that Python's own allocator has given out."""

    @web.authenticated
    def get(self):
        """Collect twice, since what ends may let go of more."""
        gc.collect()
        gc.collect()
        self.finish(json.dumps(sys.getallocatedblocks()))
