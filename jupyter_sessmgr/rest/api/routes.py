"""The paths of our own dialect."""

from __future__ import annotations

from jupyter_sessmgr.rest.api.execution_handlers import ExecutionsHandler
from jupyter_sessmgr.rest.api.handlers import HealthHandler, LimitsHandler, OffersHandler
from jupyter_sessmgr.rest.api.output_handlers import OutputHandler
from jupyter_sessmgr.rest.api.service_handlers import (
    ServiceListHandler,
    ServiceLogHandler,
    ServicePortHandler,
    ServiceRestartHandler,
    ServiceStartHandler,
    ServiceStopHandler,
)
from jupyter_sessmgr.rest.api.time_handlers import (
    ExemptHandler,
    ExtendHandler,
    ResumeHandler,
    SuspendHandler,
)
from jupyter_sessmgr.rest.openapi.handlers import OpenApiHandler
from jupyter_sessmgr.rest.routing import Route, under

API = (
    Route("/health", HealthHandler),
    Route("/offers", OffersHandler),
    Route("/limits", LimitsHandler),
    Route("/openapi.json", OpenApiHandler),
    Route("/session/{reference}/suspend", SuspendHandler),
    Route("/session/{reference}/resume", ResumeHandler),
    Route("/session/{reference}/extend", ExtendHandler),
    Route("/session/{reference}/exempt", ExemptHandler),
    Route("/session/{reference}/output", OutputHandler, alias=True),
    Route("/session/{reference}/executions", ExecutionsHandler, alias=True),
    Route("/session/{reference}/services", ServiceListHandler),
    Route("/session/{reference}/services/{service}/start", ServiceStartHandler),
    Route("/session/{reference}/services/{service}/stop", ServiceStopHandler),
    Route("/session/{reference}/services/{service}/restart", ServiceRestartHandler),
    Route("/session/{reference}/services/{service}/log", ServiceLogHandler),
    Route("/session/{reference}/ports/{port}", ServicePortHandler),
)


def api_routes(root: str) -> list[Route]:
    """List the dialect's routes under `root`."""
    output = Route(f"{root}/session/{{reference}}/output", OutputHandler)
    executions = Route(f"{root}/session/{{reference}}/executions", ExecutionsHandler)
    return [output, executions, *under(f"{root}/api", API)]
