"""Bodies about files inside sessions and what listens there."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

_Path = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="Relative to the working folder, which `/home/work` means, too; or absolute.",
    ),
]


class FilesBody(TypedDict, total=False):
    """Which folder."""

    path: _Path


class FileItem(TypedDict):
    """A file or folder."""

    filename: str
    size: Annotated[int, Meta(description="Bytes.")]
    mode: Annotated[str, Meta(description="Type and permissions, such as `-rw-r--r--`.")]
    mtime: Annotated[float, Meta(description="Seconds since the epoch, as the next two.")]
    ctime: float
    atime: float
    isDir: bool


class FilesReply(TypedDict):
    """A folder's entries."""

    files: Annotated[str, Meta(description="`items`, as JSON text: what stock clients read.")]
    items: list[FileItem]
    errors: Annotated[str, Meta(description="Always empty: errors are answered as errors.")]
    abspath: Annotated[str, Meta(description="Where it is inside the session.")]
    folder_path: str


class DownloadBody(TypedDict):
    """Which files."""

    files: Annotated[list[_Path], Meta(min_length=1, max_length=100)]


class SingleBody(TypedDict):
    """Which file."""

    file: _Path


class UploadForm(TypedDict):
    """Files; each part's filename is its path in the working folder."""

    src: Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class StartServiceBody(TypedDict, total=False):
    """Which service, and how."""

    app: Annotated[str, Meta(min_length=1, max_length=63, description="Name of the service.")]
    port: Annotated[int | None, Meta(description="For services of several ports: which.")]
    arguments: Annotated[
        dict[str, Any] | str | None,
        Meta(description="Added to its command line, by allowed names; an object, or one as text."),
    ]
    envs: Annotated[dict[str, Any] | str | None, Meta(description="The same for its environment.")]
    login_session_token: Annotated[str | None, Meta(description="Ignored.")]


class ServiceItem(TypedDict):
    """A service, as it is now."""

    name: str
    running: Annotated[bool, Meta(description="It listens.")]
    port: Annotated[int, Meta(description="Where it listens inside the session; 0: nowhere.")]
    url: Annotated[str, Meta(description="Ready to be opened.")]
    error: str
    log: Annotated[str, Meta(description="Last lines it wrote.")]


class StartServiceReply(ServiceItem):
    """A service that runs."""

    token: Annotated[str, Meta(description="What the service asks of its users, if it asks.")]
    wsproxy_addr: Annotated[str, Meta(description="Always empty: there is no other proxy.")]


class ServicesReply(TypedDict):
    """All services of a session."""

    items: list[ServiceItem]


class ShutdownServiceBody(TypedDict, total=False):
    """Which service."""

    service_name: Annotated[str, Meta(min_length=1, max_length=63)]
    app: str


class AppItem(TypedDict, total=False):
    """A service that can be opened."""

    name: str
    protocol: str
    ports: list[int]
    url_template: Annotated[
        str, Meta(description="Where it is found once it is forwarded to `{host}:{port}`.")
    ]
    allowed_arguments: dict[str, str]
    allowed_envs: list[str]
