"""Reads what clients of the Backend.AI API send: many spellings, many generations. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported
from jupyter_sessmgr.model.ports import check_preopen_ports
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.session import SessionType
from jupyter_sessmgr.model.status import FINAL, SessionStatus
from jupyter_sessmgr.rest.backendai.fields import Fields

#: A wait is at most this many seconds; zero means: as long as it takes.
MAX_WAIT = 10**6

#: Longest path of a folder.
MAX_PATH = 4096

#: Longest script or command.
MAX_SCRIPT = 64 * 1024

#: What upstream has and we do not: asking for it is an error, not a silence.
_UNSUPPORTED = ("starts_at", "callback_url", "dependencies")
_UNSUPPORTED_TYPES = frozenset({"inference", "system"})
#: What stands in ``config`` changes what a session can do and see, so what is unknown there is
#: refused; at top level newer clients add what older servers may pass over.
_CONFIG = frozenset(
    {
        "environ",
        "mounts",
        "mount_map",
        "cluster_size",
        "resources",
        "resource_opts",
        "scaling_group",
        "instance_memory",
        "instance_cores",
        "instance_gpus",
        "preopen_ports",
    }
)
_ONLY_GROUP = "default"
LIVE = frozenset(SessionStatus) - FINAL
_NONE: frozenset[SessionStatus] = frozenset()
#: Statuses by name. Upstream prepares where we create; some of its statuses never happen here.
_STATUSES: Mapping[str, frozenset[SessionStatus]] = {
    **{status.value: frozenset({status}) for status in SessionStatus},
    "ALL": frozenset(SessionStatus),
    "PREPARING": frozenset({SessionStatus.CREATING}),
    **dict.fromkeys(("SCHEDULED", "BUILDING", "RESIZING", "RUNNING_DEGRADED"), _NONE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCall:
    """What a client wants of ``POST /session``."""

    request: CreateRequest
    #: Answer at once.
    enqueue_only: bool
    #: Seconds to wait for the start; None: until it has come to an end.
    max_wait: float | None
    #: Whose session it is to be, by access key; "": the caller's.
    owner_access_key: str = ""
    #: Below the server's root, with ``/``; None: no working folder is asked for.
    folder: str | None = None


def parse_create(body: Mapping[str, Any]) -> CreateCall:
    """Read the body of ``POST /session``.

    Shapes are checked here; whether an image is allowed, a name is one, and how much is too much
    is for admission.

    Raises
    ------
    InvalidRequest
        naming the field.
    Unsupported
        for what upstream has and this server has not.
    """
    fields = Fields(body, "body")
    fields.refuse(*_UNSUPPORTED)
    max_wait = _max_wait(fields.first("max_wait_seconds"))
    return CreateCall(
        request=replace(_request(fields), patience=max_wait),
        enqueue_only=fields.flag("enqueue_only", default=False),
        max_wait=max_wait,
        owner_access_key=fields.text("owner_access_key"),
        folder=None if fields.first("folder") is None else fields.text("folder", longest=MAX_PATH),
    )


def parse_name(body: Mapping[str, Any], query: str) -> str:
    """Read the new name of ``POST /session/:id/rename``, from the body or else the query string.

    Raises
    ------
    InvalidRequest
        when there is none. Whether it may be a name is for the manager.
    """
    fields = Fields(body, "body")
    name = fields.text("name", "session_name", "client_session_token") or query
    if not name:
        raise InvalidRequest("name: say the new name.", field="name")
    return name


def parse_statuses(text: str) -> frozenset[SessionStatus]:
    """Read statuses joined by commas: ours, those that only upstream has, and ``ALL``.

    Raises
    ------
    InvalidRequest
        naming the first that is none.
    """
    found: set[SessionStatus] = set()
    for name in filter(None, (part.strip() for part in text.split(","))):
        known = _STATUSES.get(name)
        if known is None:
            raise InvalidRequest(f"status: {name!r:.60} is none.", field="status")
        found |= known
    return frozenset(found)


def _request(fields: Fields) -> CreateRequest:
    config = fields.object("config")
    config.refuse_others(_CONFIG)
    _check_scaling_group(config.text("scaling_group"))
    opts = config.object("resource_opts")
    opts.refuse_others(frozenset({"shmem"}))
    kind, command = _kind(fields)
    return CreateRequest(
        image=fields.text("image", "lang"),
        name=fields.text("client_session_token", "session_name", "name") or None,
        preset=fields.text("preset"),
        kernel=fields.text("kernel") if fields.first("kernel") is not None else None,
        environ=_environ(config.first("environ")),
        mounts=_mounts(config),
        resources=_resources(config),
        shmem=opts.first("shmem"),
        cluster_size=_first_given(config.first("cluster_size"), fields.first("cluster_size"), 1),
        domain=fields.text("domain", "domain_name", default="default"),
        group=fields.text("group", "group_name", default="default"),
        tag=fields.text("tag"),
        durable=fields.flag("durable", default=True),
        idle_timeout=fields.first("idle_timeout"),
        session_type=kind,
        startup_command=command,
        bootstrap_script=fields.text("bootstrap_script", longest=MAX_SCRIPT),
        preopen_ports=check_preopen_ports(config.first("preopen_ports")),
        reuse=fields.flag("reuse_if_exists", default=True),
        origin="rest",
    )


def _kind(fields: Fields) -> tuple[SessionType, str]:
    """Read the type of the session, and the command that only a batch session has."""
    kind = fields.text("session_type", "type", default="interactive").lower()
    command = fields.text("startup_command", longest=MAX_SCRIPT)
    if kind in _UNSUPPORTED_TYPES:
        raise Unsupported(f"type: {kind} sessions are not supported by this server.", field="type")
    if kind == "interactive":
        if command:
            raise InvalidRequest(
                "startupCommand: only sessions of type batch run one; leave it out or ask for "
                "type batch.",
                field="startupCommand",
            )
        return "interactive", ""
    if kind != "batch":
        raise InvalidRequest(
            f"type: {kind!r:.40} is neither interactive nor batch.",
            field="type",
        )
    if not command.strip():
        raise InvalidRequest(
            "startupCommand: say what a session of type batch is to run.", field="startupCommand"
        )
    return "batch", command


def _first_given(*values: object) -> object:
    return next(value for value in values if value is not None)


def _max_wait(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InvalidRequest("maxWaitSeconds: not a number.", field="maxWaitSeconds")
    if not 0 <= value <= MAX_WAIT:
        raise InvalidRequest(
            f"maxWaitSeconds: not between 0 and {MAX_WAIT}.", field="maxWaitSeconds"
        )
    return float(value) or None


def _environ(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest("environ: not an object of names and values.", field="environ")
    for name, text in value.items():
        if not isinstance(text, str):
            raise InvalidRequest(
                f"environ: the value of {name!r:.80} is not text.", field="environ"
            )
    return dict(value)


def _mounts(config: Fields) -> tuple[str, ...]:
    """Merge ``mount_map`` into ``mounts``: a folder's other name inside."""
    mounts = config.texts("mounts")
    aliases = config.first("mount_map")
    if not aliases:
        return mounts
    if not isinstance(aliases, Mapping) or not all(isinstance(a, str) for a in aliases.values()):
        raise InvalidRequest("mount_map: not an object of names and aliases.", field="mount_map")
    for name in aliases:
        if name not in mounts:
            raise InvalidRequest(f"mount_map: {name!r:.80} is not in mounts.", field="mount_map")
    return tuple(f"{name}:{aliases[name]}" if name in aliases else name for name in mounts)


def _resources(config: Fields) -> Mapping[str, object]:
    resources = config.first("resources")
    if resources is not None:
        if not isinstance(resources, Mapping):
            raise InvalidRequest("resources: not an object of slots.", field="resources")
        return {slot: amount for slot, amount in resources.items() if amount is not None}
    # Clients before v4.20190315 count memory in GiB.
    memory = config.first("instance_memory")
    slots = {
        "cpu": config.first("instance_cores"),
        "mem": None if memory is None else f"{memory}g",
        "cuda.device": config.first("instance_gpus"),
    }
    return {slot: amount for slot, amount in slots.items() if amount is not None}


def _check_scaling_group(name: str) -> None:
    if name not in {"", _ONLY_GROUP}:
        raise InvalidRequest(
            f"scalingGroup: {name!r:.80} is not here; leave it out.", field="scalingGroup"
        )
