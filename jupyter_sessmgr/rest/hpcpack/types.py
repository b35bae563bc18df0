"""What the HPC Pack dialect takes and gives, as JSON."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta


class AttachedPort(TypedDict):
    """One service port of a session."""

    name: str
    protocol: str
    ports: list[int]
    url: Annotated[str, Meta(description="Where the service is reached, relative to the origin.")]


class JupyterInfo(TypedDict):
    """What clients of Jupyter need besides."""

    sessionId: Annotated[str, Meta(description="The session's UUID.")]
    kernelId: Annotated[str | None, Meta(description="Null: this server does not list its kernel.")]
    kernelName: Annotated[str, Meta(description="Name of its kernelspec.")]
    channelsUrl: Annotated[str | None, Meta(description="The kernel's WebSocket.")]
    servicePorts: list[AttachedPort]
    replayFrom: Annotated[
        int | None,
        Meta(
            description="Give it as `replay` to `channelsUrl`, or as `since` to the session's "
            "`output`, for all output that is kept; null: none is."
        ),
    ]


class SessionInfo(TypedDict):
    """A session, as the document has it. The order of the members counts."""

    BrokerNode: Annotated[str, Meta(description="`host:port` where its kernel is reached.")]
    Id: Annotated[int, Meta(description="The session's number.")]
    IsDurable: bool
    MaxMessageSize: Annotated[int, Meta(description="Bytes of the largest message.")]
    ServiceOperationTimeout: Annotated[int, Meta(description="Milliseconds.", ge=0)]
    ServiceVersion: Annotated[
        str | None, Meta(description="The image's version; null unless it is two to four numbers.")
    ]
    Jupyter: NotRequired[JupyterInfo]


class Property(TypedDict):
    """One property of a cluster."""

    Name: str
    Value: str


class Cluster(TypedDict):
    """A cluster."""

    Properties: list[Property]


class StartInfo(TypedDict):
    """What session to create: HPC Pack's names for it, or those of `POST /sessmgr/session`."""

    ServiceName: NotRequired[Annotated[str, Meta(description="The image.")]]
    Environments: NotRequired[Annotated[dict[str, str], Meta(description="Variables.")]]
    clientSessionToken: NotRequired[Annotated[str, Meta(description="The session's name.")]]
    preset: NotRequired[str]
    config: NotRequired[
        Annotated[dict[str, object], Meta(description="As in `POST /sessmgr/session`.")]
    ]
