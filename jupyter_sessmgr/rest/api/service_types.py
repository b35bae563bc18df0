"""What the routes about a session's services take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

#: Longest that a request waits for a service, in seconds.
MAX_WAIT = 600


class ServiceReply(TypedDict):
    """A service of a session, as it is now."""

    name: str
    state: Annotated[
        Literal["starting", "running", "stopped", "failed"],
        Meta(description="`stopped` also before the first start; its first use starts it."),
    ]
    protocol: Annotated[str, Meta(description="`http`, `tcp`, or `preopen`: its user starts it.")]
    ports: Annotated[
        list[int], Meta(description="Where it listens inside the session, or will if that is free.")
    ]
    url: Annotated[str, Meta(description="Ready to be opened.")]
    definition: Annotated[
        Literal["", "admin", "image", "built-in"],
        Meta(description="Who said how it is started; empty: nobody, or it never was."),
    ]
    trusted: Annotated[
        bool, Meta(description="Its pages may be shown as this server's own, not in a sandbox.")
    ]
    isolation: Annotated[
        Literal["", "subdomain", "sandbox", "same-origin", "refused"],
        Meta(description="How its pages are shown to who asks; empty: it has none."),
    ]
    isolationInfo: Annotated[str, Meta(description="The same for people, with the reason.")]
    error: Annotated[str, Meta(description="Why it does not run.")]


class ServiceList(TypedDict):
    """All services of a session."""

    items: list[ServiceReply]


class StartBody(TypedDict):
    """How a service is started, and how long that is waited for."""

    arguments: NotRequired[
        Annotated[
            dict[str, Any] | None,
            Meta(
                description="Added to its command line, by names that its definition allows. "
                "Left out: as it was started last."
            ),
        ]
    ]
    environ: NotRequired[
        Annotated[dict[str, Any] | None, Meta(description="The same for its environment.")]
    ]
    enqueueOnly: NotRequired[
        Annotated[bool | None, Meta(description="Answer at once (default: false).")]
    ]
    maxWaitSeconds: NotRequired[
        Annotated[
            Annotated[int, Meta(ge=0, le=MAX_WAIT)] | None,
            Meta(description="Answer after so many seconds; 0: no limit here."),
        ]
    ]
