"""How the routes are divided for readers, and how each dialect answers what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypedDict

from msgspec import Meta

#: Ways to say who asks, by name: OpenAPI's Security Scheme Objects.
SCHEMES = MappingProxyType(
    {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "Jupyter's token: `Authorization: token <token>`.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "username-{host}-{port}",
            "description": "What Jupyter sets for a browser that has logged in.",
        },
        "xsrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-XSRFToken",
            "description": "The value of the cookie `_xsrf`, with all that changes something.",
        },
        "keypair": {
            "type": "http",
            "scheme": "BackendAI",
            "description": "A key pair's signature: `Authorization: BackendAI "
            "signMethod=HMAC-SHA256, credential=<access key>:<signature>`.",
        },
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "Any user name, with Jupyter's token as password.",
        },
    }
)


class Problem(TypedDict):
    """What went wrong with a request."""

    type: Annotated[str, Meta(description="An URL whose last part is a word for programs.")]
    title: Annotated[str, Meta(description="What kind of thing went wrong.")]
    msg: Annotated[str, Meta(description="What happened and what to do, for people.")]
    data: Annotated[
        dict[str, object], Meta(description="Details for programs, such as the `field`.")
    ]
    retryable: Annotated[bool, Meta(description="Whether the same request can succeed later.")]


class Fault(TypedDict):
    """What went wrong with a request of the Attach API; in XML under `HpcWebServiceFault`."""

    Code: Annotated[int, Meta(description="A number for programs.")]
    Message: Annotated[str, Meta(description="What happened and what to do, for people.")]
    Values: Annotated[None, Meta(description="Always null.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one API answers errors, and who may ask."""

    #: Type of an error's body, by media type; None: it is described in words only.
    problems: MappingProxyType[str, Any]
    #: Each is enough by itself: names of `SCHEMES` that belong together.
    security: tuple[tuple[str, ...], ...] = (("token",), ("cookie", "xsrf"), ("keypair",))
    #: Whether an admin may choose statuses of errors (`Rest.statuses`).
    own_statuses: bool = False


_PROBLEMS = MappingProxyType({"application/problem+json": Problem})
OURS = Dialect(problems=_PROBLEMS)
BACKENDAI = Dialect(problems=_PROBLEMS, own_statuses=True)
HPCPACK = Dialect(
    problems=MappingProxyType({"application/xml": None, "application/json": Fault}),
    security=(("token",), ("cookie", "xsrf"), ("keypair",), ("basic",)),
)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the API that people read about in one place."""

    #: Where its handlers are; the longest that fits counts.
    package: str
    tag: str
    about: str
    dialect: Dialect


#: In the order of reading.
AREAS = (
    Area(
        "jupyter_sessmgr.rest.backendai",
        "Sessions",
        "Create, find, restart and destroy compute sessions: the session management document.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.runs",
        "Execution",
        "Run code in a session's kernel.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.files",
        "Files",
        "Files in a session's working folder.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.services",
        "Services",
        "Programs with ports inside a session.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.streams",
        "Streams",
        "WebSockets into a session.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.stream_execute",
        "Streams",
        "",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.events",
        "Events",
        "What happens to sessions, as it happens.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.admin",
        "Command lines",
        "What the command lines of stock clients ask for besides.",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.backendai.unsupported",
        "Command lines",
        "",
        BACKENDAI,
    ),
    Area(
        "jupyter_sessmgr.rest.hpcpack",
        "Attach",
        "HPC Pack's Attach to Session, and what its clients ask around it. Letters of a path "
        "match in either case; clients from before HPC Pack 2016 put a cluster's name, any name, "
        "after `WindowsHpc/`. Answers are XML unless `Accept` asks for JSON.",
        HPCPACK,
    ),
    Area("jupyter_sessmgr.rest", "Server", "About this server itself.", OURS),
)


def area_of(method: Callable[..., Any]) -> Area:
    """Say where a handler's method is described: by where it was written."""
    fitting = [one for one in AREAS if f"{method.__module__}.".startswith(f"{one.package}.")]
    return max(fitting, key=lambda one: len(one.package))
