"""What an admin can choose about service ports."""

from __future__ import annotations

import re
from typing import Any

from traitlets import Bool, CaselessStrEnum, Dict, Float, Int, Set, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.proxy.isolation import Isolation

#: The best that is to be had, by service and browser.
AUTO = "auto"
_MODES = [AUTO, *(mode.value for mode in Isolation)]
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SUFFIX = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")


class ServiceProxy(LoggingConfigurable):
    """How services of sessions are shown. Read by the proxy's handlers."""

    isolation = CaselessStrEnum(
        _MODES,
        AUTO,
        config=True,
        help="""What keeps a service's pages from acting as the user on this Jupyter server.
        "subdomain": a host of their own. "sandbox": the browser gives them an origin of nobody;
        apps that need storage or cookies do not work so. "same-origin": nothing keeps them; choose
        it only where everything that runs in sessions is trusted. "auto": a host of their own
        where there is one (`host_suffix`, or a browser beside the server), else the same origin for
        trusted definitions (the built-in jupyter, jupyterlab and tensorboard, and your own that say
        so), else the sandbox.""",
    )
    service_isolation = Dict(
        value_trait=CaselessStrEnum(_MODES),
        key_trait=Unicode(),
        config=True,
        help="""The same for single services, by name, such as `{"tensorboard": "same-origin"}`:
        for apps that need more, or that you trust less, than the others.""",
    )
    host_suffix = Unicode(
        config=True,
        help="""What the host names of services end with, such as `apps.example.net`, or with the
        port that browsers use. Needs a wildcard name in the DNS and a wildcard certificate, both
        leading where Jupyter's own name leads, and must be below another registered domain than
        Jupyter's name. Set it wherever browsers reach Jupyter by a public name.""",
    )
    allow_same_origin = Bool(
        True,
        config=True,
        help="""Whether any service's pages may be shown at Jupyter's own origin. Turn it off where
        people run in sessions what they do not trust; some apps then work only with a
        `host_suffix`.""",
    )
    passive_services = Set(
        Unicode(),
        config=True,
        help="""Names of services whose traffic does not count as activity of their session. Add
        those whose pages ask for news by themselves, so that an open tab keeps no session
        alive.""",
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

    head_timeout = Float(
        120.0,
        config=True,
        help="""Seconds that a client of this Jupyter server may take for a request's headers, and
        that its connection is kept when it asks for nothing. Lower it where strangers reach the
        server without a proxy in front; raise it above the time for which such a proxy keeps
        connections.""",
    )
    max_connections_per_session = Int(
        256,
        min=1,
        config=True,
        help="""Requests and websockets that the services of one session may have open at once;
        more are answered 429. Raise it for apps with many viewers, up to the 1,000 streams that a
        session's agent takes.""",
    )
    max_connections = Int(
        1024,
        min=1,
        config=True,
        help="""The same for all sessions together. Each takes up to two open files and a megabyte
        of the server, so raise it together with `ServerApp.min_open_files_limit`; lower it on small
        machines.""",
    )

    @validate("service_isolation")
    def _check_service_isolation(self, proposal: Any) -> Any:
        for name in proposal["value"]:
            if not name:
                raise TraitError("service_isolation: a service without a name")
        return proposal["value"]

    @validate("host_suffix")
    def _check_host_suffix(self, proposal: Any) -> Any:
        suffix = proposal["value"].lower().strip(".")
        if suffix and _SUFFIX.fullmatch(suffix) is None:
            raise TraitError(
                f"host_suffix: {suffix!r:.100} is not a host name, such as apps.example.net"
            )
        return suffix
