"""Has a Jupyter server find its notebook sessions again after it was stopped or killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets.config import Config

from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.store.notebooks import NotebookFile


def keep_notebook_sessions(server: Any, state_dir: str) -> NotebookFile | None:
    """Set a file as the default place of a server's notebook sessions. Blocks.

    Called by the extension before the server's managers exist. Who set
    ``SessionManager.database_filepath``, for whichever class, keeps that setting. Without a state
    folder that can be used, notebook sessions end with the server, as ever; so do those of
    another extension's class, which may know more of them than the file would.
    """
    chosen = server.trait_has_value("session_manager_class")
    if chosen and server.session_manager_class is not SessionManager:
        server.log.info(
            "Notebook sessions will end with this server: another extension (%s) keeps them.",
            server.session_manager_class.__module__,
        )
        return None
    if any("database_filepath" in section for section in server.config.values()):
        return None
    try:
        StateFolder(Path(state_dir)).prepare()
        held = NotebookFile.take(Path(state_dir), os.path.realpath(server.root_dir), server.log)
    except StoreError as error:
        server.log.warning("Notebook sessions will end with this server: %s", error)
        return None
    server.update_config(Config({"SessionManager": {"database_filepath": str(held.path)}}))
    return held
