"""What an admin can choose about service ports."""

from __future__ import annotations

from typing import Any

from traitlets import CaselessStrEnum, Dict, Float, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.proxy.isolation import Isolation

_MODES = [mode.value for mode in Isolation]


class ServiceProxy(LoggingConfigurable):
    """How services of sessions are shown. Read by the proxy's handlers."""

    isolation = CaselessStrEnum(
        _MODES,
        Isolation.SANDBOX.value,
        config=True,
        help="""What keeps a service's pages from acting as the user on this Jupyter server.
        "sandbox": the browser gives them an origin of nobody; apps that need storage or cookies do
        not work so. "same-origin": nothing keeps them; choose it only where everything that runs
        in sessions is trusted.""",
    )
    service_isolation = Dict(
        value_trait=CaselessStrEnum(_MODES),
        key_trait=Unicode(),
        config=True,
        help="""The same for single services, by name, such as `{"tensorboard": "same-origin"}`:
        for apps that do not work in a sandbox and that you trust.""",
    )
    start_patience = Float(
        30.0,
        config=True,
        help="""Seconds that a request waits for its service to start. A browser is shown a page
        that tries again instead. Raise it for scripts that ask for slow services.""",
    )
    response_timeout = Float(
        600.0,
        config=True,
        help="""Seconds that a service may take until it begins to answer. Raise it for services
        that compute for long before they answer.""",
    )

    @validate("service_isolation")
    def _check_service_isolation(self, proposal: Any) -> Any:
        for name in proposal["value"]:
            if not name:
                raise TraitError("service_isolation: a service without a name")
        return proposal["value"]

    def of(self, service: str) -> Isolation:
        """Say how a service's pages are kept from Jupyter's."""
        return Isolation(self.service_isolation.get(service, self.isolation))
