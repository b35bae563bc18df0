"""Bodies of the Backend.AI dialect, as its documents spell them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from jupyter_sessmgr.model.ports import HIGHEST_PORT, LOWEST_PORT

_Text = Annotated[str, Meta(max_length=255)]
_Name = Annotated[
    str,
    Meta(
        min_length=4,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,62}[A-Za-z0-9]$",
        description="Unique among the owner's live sessions; made up when it is left out.",
    ),
]
_Amount = str | int | float
_Port = Annotated[int, Meta(ge=LOWEST_PORT, le=HIGHEST_PORT)]
_Moment = Annotated[str | None, Meta(description="ISO 8601, UTC.")]


class VersionReply(TypedDict):
    """Which API this is."""

    version: Annotated[
        str, Meta(description="Version of the API; clients pick their routes by it.")
    ]
    manager: Annotated[str, Meta(description="Version of this package.")]


class ResourceOptions(TypedDict, total=False):
    """How resources are given."""

    shmem: Annotated[
        _Amount | None, Meta(description="Size of `/dev/shm`, part of `mem`: `64m`, or bytes.")
    ]


class CreationConfig(TypedDict, total=False):
    """How a session is made; keys besides these are refused, unless they are empty."""

    environ: dict[str, str] | None
    mounts: Annotated[
        list[str] | None, Meta(description="Names of the administrator's folders, or `name:alias`.")
    ]
    mount_map: Annotated[dict[str, str] | None, Meta(description="Aliases by name.")]
    clusterSize: Annotated[_Amount | None, Meta(description="Containers of the session: 1.")]
    resources: Annotated[
        dict[str, _Amount | None] | None,
        Meta(description="Amounts by slot: `cpu`, `mem`, `cuda.device`. Others are errors."),
    ]
    resource_opts: ResourceOptions | None
    preopen_ports: Annotated[
        list[_Port] | None, Meta(description="Ports of apps that the user will open inside.")
    ]
    scalingGroup: Annotated[_Text | None, Meta(description="`default`, or nothing.")]
    instanceMemory: Annotated[_Amount | None, Meta(description="GiB; before v4.20190315.")]
    instanceCores: Annotated[_Amount | None, Meta(description="Before v4.20190315.")]
    instanceGPUs: Annotated[_Amount | None, Meta(description="Before v4.20190315.")]


class CreateBody(TypedDict, total=False):
    """What session to make or find. All may be left out; `null` is the same; snake_case works."""

    image: Annotated[_Text | None, Meta(description="Default: the preset's. Also as `lang`.")]
    clientSessionToken: Annotated[
        _Name | None, Meta(description="Also as `name` or `session_name`.")
    ]
    enqueueOnly: Annotated[bool | None, Meta(description="Answer at once (default: false).")]
    maxWaitSeconds: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None,
        Meta(description="How long to wait for the start; 0 (default): as long as it takes."),
    ]
    reuseIfExists: Annotated[
        bool | None,
        Meta(description="Return a live session of this name and image (default: true)."),
    ]
    group: Annotated[_Text | None, Meta(description="Default: `default`. Also as `groupName`.")]
    domain: Annotated[_Text | None, Meta(description="Default: `default`. Also as `domainName`.")]
    config: CreationConfig | None
    tag: Annotated[_Text | None, Meta(description="Words of the user's.")]
    type: Annotated[
        Literal["interactive", "batch"] | None,
        Meta(description="`batch` runs `startupCommand` and ends with it. Also as `sessionType`."),
    ]
    startupCommand: Annotated[str | None, Meta(description="For `batch`: run by a shell.")]
    bootstrap_script: Annotated[
        str | None, Meta(description="A shell script that runs before anything else.")
    ]
    owner_access_key: Annotated[
        _Text | None, Meta(description="For admins: the key pair whose owner gets the session.")
    ]
    preset: Annotated[_Text | None, Meta(description="What fills the gaps. Ours.")]
    kernel: Annotated[
        _Text | None, Meta(description="Kernelspec in the image; empty: no kernel. Ours.")
    ]
    durable: Annotated[
        bool | None, Meta(description="Whether it outlives this server (default: true). Ours.")
    ]
    idleTimeout: Annotated[
        Annotated[float, Meta(ge=60)] | None,
        Meta(
            description="Seconds after which it ends when nobody uses it; at most the server's own "
            "limit, which is the default. Ours."
        ),
    ]
    folder: Annotated[
        Annotated[str, Meta(max_length=4096)] | None,
        Meta(
            description="Folder below the server's root that is its working folder, where its "
            "preset has one; only for those who may start kernels there. Ours."
        ),
    ]


class ServicePortItem(TypedDict):
    """A service that the session promises."""

    name: str
    protocol: Annotated[str, Meta(description="`http`, `tcp` or `preopen`.")]
    ports: Annotated[list[int], Meta(description="Inside the session.")]
    url: Annotated[str, Meta(description="Path on this server that leads to it.")]
    running: Annotated[bool, Meta(description="Whether it is known to listen.")]


class Named(TypedDict):
    """What a session is called."""

    sessId: Annotated[str, Meta(description="Its name.")]
    sessionId: Annotated[str, Meta(description="Its UUID.")]
    sessionName: str
    sessionNumber: Annotated[int, Meta(description="Never used again.")]


class CreatedReply(Named):
    """A session that was made or found."""

    kernelId: Annotated[str, Meta(description="Its name, for clients before v5.")]
    status: Annotated[
        str, Meta(description="Its status, or `TIMEOUT`: still starting after `maxWaitSeconds`.")
    ]
    statusInfo: str
    servicePorts: list[ServicePortItem]
    service_ports: list[ServicePortItem]
    created: Annotated[bool, Meta(description="Whether it is fresh.")]


class UsageItem(TypedDict):
    """What a session used, as measured a few seconds ago."""

    cpuPercent: Annotated[float | None, Meta(description="Of one processor; null: not known.")]
    memBytes: int
    memMaxBytes: int
    pids: int
    netRxBytes: int
    netTxBytes: int
    ioReadBytes: int
    ioWriteBytes: int
    scratchBytes: int
    scratchMaxBytes: int


class Stats(TypedDict):
    """What a session used in all, when it ended."""

    status: Annotated[str, Meta(description="How it ended. Command lines of clients need it.")]
    cpu_used: Annotated[int, Meta(description="Milliseconds.")]
    mem_max_bytes: int
    mem_cur_bytes: int
    net_rx_bytes: int
    net_tx_bytes: int
    io_read_bytes: int
    io_write_bytes: int
    io_max_scratch_size: int
    io_cur_scratch_size: int


class HistoryItem(TypedDict):
    """When a session came to a status, and why."""

    status: str
    at: _Moment
    info: str


class KernelExitItem(TypedDict):
    """How a session's kernel ended last."""

    generation: Annotated[int, Meta(description="1, and one more after each restart.")]
    code: Annotated[int | None, Meta(description="Exit code; negative: killed by this signal.")]
    oom: Annotated[bool, Meta(description="Whether memory was short.")]
    reason: str


class SessionReply(Named):
    """All about one session: the document's five keys first, then ours."""

    lang: Annotated[str, Meta(description="The kernel's programming language.")]
    age: Annotated[int, Meta(description="Milliseconds since it started.")]
    memoryLimit: Annotated[int, Meta(description="KiB.")]
    numQueriesExecuted: int
    cpuCreditUsed: Annotated[int, Meta(description="Milliseconds.")]
    sessionType: str
    status: str
    statusInfo: Annotated[str, Meta(description="What is happening, or why it ended; for people.")]
    stopReason: Annotated[str, Meta(description="`user-requested`, `idle-timeout`, …; or empty.")]
    queuePosition: Annotated[int | None, Meta(description="From 1, while it waits to start.")]
    queueReason: Annotated[str, Meta(description="What it waits for.")]
    image: str
    preset: str
    kernel: str
    durable: bool
    origin: str
    encrypted: Annotated[bool, Meta(description="Whether the kernel's channels are encrypted.")]
    group: str
    domain: str
    tag: str
    createdAt: _Moment
    startedAt: _Moment
    endedAt: _Moment
    lastActiveAt: _Moment
    idleTimeoutAt: Annotated[
        str | None, Meta(description="When it will be ended for want of use, or of age.")
    ]
    endsBy: Annotated[
        Literal["idle", "never-connected", "lifetime", "server-stopped"] | None,
        Meta(description="Which limit of time ends it then."),
    ]
    resources: Annotated[dict[str, str | int], Meta(description="Limits by slot.")]
    mounts: list[str]
    servicePorts: list[ServicePortItem]
    usage: UsageItem | None
    stats: Annotated[Stats | None, Meta(description="Once it ended.")]
    history: Annotated[list[HistoryItem], Meta(description="Oldest first.")]
    kernelExit: KernelExitItem | None


class SessionPage(TypedDict):
    """Some sessions, newest first."""

    items: list[SessionReply]
    total: Annotated[int, Meta(description="How many there are on all pages.")]
    next: Annotated[
        int | None, Meta(description="What to give as `before` for the next page; null: the end.")
    ]


class StatsReply(TypedDict):
    """What the session used."""

    stats: Stats


class LogText(TypedDict):
    """The last lines."""

    logs: str


class LogsReply(TypedDict):
    """What a session wrote."""

    result: LogText


class StatusHistoryReply(TypedDict):
    """When a session came to each status last."""

    result: Annotated[
        dict[str, str],
        Meta(description="ISO 8601 by status; in capitals, and as the command line spells it."),
    ]


class RenameBody(TypedDict, total=False):
    """Another name; it may stand in the query string instead."""

    name: Annotated[_Name | None, Meta(description="Also as `session_name`.")]


class QueryBody(TypedDict, total=False):
    """A GraphQL query."""

    query: str
    variables: dict[str, Any] | None


class QueryReply(TypedDict):
    """What a GraphQL query asked for."""

    data: dict[str, Any]


class Announcement(TypedDict):
    """What the administrator has to say: nothing."""

    enabled: bool
    message: str
