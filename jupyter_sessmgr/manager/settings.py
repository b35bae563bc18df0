"""What an admin may set of the manager as a whole."""

from __future__ import annotations

import socket
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Float, Type, Unicode, default
from traitlets.config import LoggingConfigurable


class ManagerSettings(LoggingConfigurable):
    """The settings of the manager; the manager itself is a `ComputeSessionManager`."""

    engine = Unicode(
        "auto",
        config=True,
        help="""Where sessions run: "docker", "process", the import path of another engine class,
        or "auto": docker when an engine answers and has an allowed image, else process.""",
    )
    state_dir = Unicode(
        config=True,
        help="""Folder for the state: database, secrets, home folders. One per host, on a local
        disk. Default: `sessmgr/<host name>` in Jupyter's data folder.""",
    )
    destroy_timeout = Float(
        30.0,
        config=True,
        help="""Seconds that a request to destroy a session waits for its end. The session is
        ended all the same when it takes longer.""",
    )
    close_timeout = Float(
        15.0,
        config=True,
        help="""Seconds that a stopping server gives sessions which are not durable to end.""",
    )
    store_class = Type(
        "jupyter_sessmgr.store.sqlite.SqliteStore",
        klass="jupyter_sessmgr.store.base.Store",
        config=True,
        help="""What remembers sessions. Change it only for another kind of database.""",
    )
    shared = Bool(
        False,
        help="""Use the state folder's homes beside the server that leads it, under an identity
        that ends with this process; for managers that keep nothing (tools without a server).""",
    )

    @default("state_dir")
    def _default_state_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "sessmgr" / socket.gethostname())
