"""The paths of the Backend.AI dialect."""

from __future__ import annotations

from jupyter_sessmgr.rest.backendai import unsupported
from jupyter_sessmgr.rest.backendai.about import (
    LogsHandler,
    RenameHandler,
    StatusHistoryHandler,
    TaskLogsHandler,
)
from jupyter_sessmgr.rest.backendai.admin import LegacyQueryHandler, QueryHandler
from jupyter_sessmgr.rest.backendai.events import SessionEventsHandler
from jupyter_sessmgr.rest.backendai.files import (
    DownloadHandler,
    DownloadSingleHandler,
    FilesHandler,
    UploadHandler,
)
from jupyter_sessmgr.rest.backendai.handlers import (
    CreateHandler,
    SessionListHandler,
    VersionHandler,
)
from jupyter_sessmgr.rest.backendai.runs import (
    CompletionsHandler,
    ExecuteHandler,
    InterruptHandler,
)
from jupyter_sessmgr.rest.backendai.services import (
    AppsHandler,
    ServicesHandler,
    ShutdownServiceHandler,
    StartServiceHandler,
)
from jupyter_sessmgr.rest.backendai.stream_execute import ExecuteSocket
from jupyter_sessmgr.rest.backendai.streams import ProxySocket, TerminalSocket
from jupyter_sessmgr.rest.routing import Route, under

#: Under ``/session``, and under the legacy name ``/kernel``. A reference is a session's name,
#: UUID or number; anything else is answered as absent.
SESSION = (
    Route("", SessionListHandler),
    Route("/create", CreateHandler, alias=True),
    Route("/_/create", CreateHandler, alias=True),
    Route("/_/logs", TaskLogsHandler),
    Route("/{reference}", ExecuteHandler),
    Route("/{reference}/logs", LogsHandler),
    Route("/{reference}/rename", RenameHandler),
    Route("/{reference}/status-history", StatusHistoryHandler),
    Route("/{reference}/interrupt", InterruptHandler),
    Route("/{reference}/complete", CompletionsHandler),
    Route("/{reference}/files", FilesHandler),
    Route("/{reference}/download", DownloadHandler),
    Route("/{reference}/download_single", DownloadSingleHandler),
    Route("/{reference}/upload", UploadHandler),
    Route("/{reference}/services", ServicesHandler),
    Route("/{reference}/start-service", StartServiceHandler),
    Route("/{reference}/shutdown-service", ShutdownServiceHandler),
    *unsupported.SESSION,
)
#: Under ``/stream/session``, and under ``/stream/kernel``.
STREAM = (
    Route("/_/events", SessionEventsHandler, alias=True),
    Route("/{reference}/execute", ExecuteSocket),
    Route("/{reference}/apps", AppsHandler),
    Route("/{reference}/httpproxy", ProxySocket),
    Route("/{reference}/tcpproxy", ProxySocket),
    Route("/{reference}/pty", TerminalSocket),
)


def backendai_routes(root: str, *, document_routes: bool) -> list[Route]:
    """List the dialect's routes under `root`, and the document's own when wished."""
    return [
        Route(root, VersionHandler, slash=True),
        *under(f"{root}/session", SESSION),
        *under(f"{root}/kernel", SESSION, alias=True),
        Route(f"{root}/admin/gql", QueryHandler),
        Route(f"{root}/admin/graphql", LegacyQueryHandler),
        *unsupported.unsupported_routes(root),
        Route(f"{root}/events/session", SessionEventsHandler),
        *under(f"{root}/stream/session", STREAM),
        *under(f"{root}/stream/kernel", STREAM, alias=True),
        *(under("/session", SESSION, alias=True) if document_routes else ()),
    ]
