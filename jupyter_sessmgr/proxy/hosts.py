"""Hosts of services: their names, and where they are to be had."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from publicsuffixlist import PublicSuffixList
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher

#: Nobody else names a host so; a Jupyter on ``jupyter.localhost`` stays where it is.
_LABEL = re.compile(r"sessmgr-[a-z2-7]{26}")
#: What a service on a host of its own finds at ``/``; ours is below this.
RESERVED = "/.sessmgr/"
#: Answers what only this process can, so that our page knows whom it would hand over to.
PROBE = RESERVED + "probe"
ENTER = RESERVED + "enter"
#: Answers whether the browser is known, which it is by a cookie.
KNOWN = RESERVED + "known"
_PORT = re.compile(r":[0-9]{1,5}\Z")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOCAL = "localhost"
#: Who says one of these stands between the browser and us.
_PROXIES = (
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-Ip",
    "Forwarded",
    "Via",
)
_HUB = ("JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX")
_LOOPBACK_PEERS = frozenset({"127.0.0.1", "::1"})


def label_of(session_id: str, service: str) -> str:
    """Name the host of a session's service; the same as long as the session is."""
    digest = hashlib.sha256(f"{session_id}/{service}".encode()).digest()
    return "sessmgr-" + base64.b32encode(digest).decode().lower()[:26]


class AnyServiceHost(Matcher):
    """Matches requests to whatever looks like a host of a service.

    Only our own handler answers those, whatever is wrong with them: none falls through to Jupyter,
    whose pages would have the service's origin there (THREATS C6).
    """

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Look at the first label alone. Called by tornado for every request."""
        label, _, _ = request.host_name.partition(".")
        return {} if _LABEL.fullmatch(label) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSuffix:
    """What follows the label in the names of services' hosts.

    Parameters
    ----------
    name
        Lower case, with the port if it is not the usual one.
    """

    scheme: str
    name: str

    def origin(self, label: str) -> str:
        """Return the origin of a service's pages."""
        return f"{self.scheme}://{label}.{self.name}"


def label_in(host: str, suffix: str) -> str | None:
    """Return the label of a service's host; None for any other, or one that is spelled oddly.

    Parameters
    ----------
    host
        As the request says it.
    suffix
        The admin's, without a port, or "".
    """
    name = _PORT.sub("", host)
    label, _, rest = name.partition(".")
    known = {_LOCAL, suffix} - {""}
    return label if _LABEL.fullmatch(label) and rest in known else None


def local_suffix(
    host: str, scheme: str, headers: Mapping[str, str], peer: str
) -> HostSuffix | None:
    """Return what hosts of services end with where the browser runs beside the server.

    Browsers resolve every name below ``localhost`` to the loopback address, without DNS. None where
    the request came from elsewhere, through a web server in between, or where a Hub is.
    """
    name = _PORT.sub("", host).lower()
    if name not in _LOOPBACK and not name.endswith(f".{_LOCAL}"):
        return None
    between = any(header in headers for header in _PROXIES) or any(
        one in os.environ for one in _HUB
    )
    if between or peer not in _LOOPBACK_PEERS:
        return None
    port = _PORT.search(host)
    return HostSuffix(scheme=scheme, name=_LOCAL + (port[0] if port else ""))


class ChosenSuffix:
    """The suffix that an admin chose.

    Parameters
    ----------
    text
        A host name, with a port if clients need one; "" for none.
    """

    def __init__(self, text: str) -> None:
        self.host = _PORT.sub("", text)
        self._port = text.removeprefix(self.host)
        self._registered = PublicSuffixList() if text else None

    def for_host(self, host: str) -> HostSuffix | None:
        """Return it for who reached Jupyter by this host.

        Raises
        ------
        ValueError
            when one could set the other's cookies (THREATS C6): both have the same registrable
            domain.
        """
        if self._registered is None:
            return None
        name = _PORT.sub("", host).lower()
        own = self._registered.privatesuffix(name) or name
        if own == (self._registered.privatesuffix(self.host) or self.host):
            raise ValueError(
                f"host_suffix {self.host} and Jupyter's {name} are both below {own}: a service "
                "could set cookies for Jupyter. Choose a suffix below another registered domain."
            )
        scheme = "http" if self.host.split(".")[-1] == _LOCAL else "https"
        return HostSuffix(scheme=scheme, name=self.host + self._port)
