"""Reads what clients of the Backend.AI API send: many spellings, many generations. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed
from jupyter_sessmgr.model.requests import CreateRequest

#: Longest of the texts that have no rule of their own: tag, group, domain.
MAX_TEXT = 255
#: A wait is at most this many seconds; zero means: as long as it takes.
MAX_WAIT = 10**6

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: What upstream has and we do not, yet: asking for it is an error, not a silence.
_UNSUPPORTED = ("startup_command", "bootstrap_script", "starts_at", "callback_url", "dependencies")
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
    }
)
_ONLY_GROUP = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCall:
    """What a client wants of ``POST /session``."""

    request: CreateRequest
    #: Answer at once.
    enqueue_only: bool
    #: Seconds to wait for the start; None: until it has come to an end.
    max_wait: float | None


class Fields:
    """The keys of a JSON object, in whatever case they were written; null is absent.

    Parameters
    ----------
    source : object
        What should be a JSON object.
    what : str
        What people call it.
    """

    def __init__(self, source: object, what: str) -> None:
        if not isinstance(source, Mapping):
            raise InvalidRequest(f"{what}: not an object.", field=what)
        self._values: dict[str, Any] = {}
        for key, value in source.items():
            name = _HUMP.sub("_", key).lower()
            if value is not None and self._values.setdefault(name, value) != value:
                raise InvalidRequest(f"{key!r:.80} is given twice, differently.", field=key)

    def first(self, *names: str) -> Any:
        """Return the value of the first name that has one; None when none has."""
        return next((self._values[name] for name in names if name in self._values), None)

    def text(self, *names: str, default: str = "") -> str:
        """Return a text of at most 255 characters; `names[0]` is told in errors."""
        value = self.first(*names)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise InvalidRequest(
                f"{names[0]}: not a text of at most {MAX_TEXT} characters.", field=names[0]
            )
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """Return true or false."""
        value = self.first(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidRequest(f"{names[0]}: write true or false.", field=names[0])
        return value

    def object(self, *names: str) -> Fields:
        """Return the keys of an object inside; none when it is absent."""
        value = self.first(*names)
        return Fields({} if value is None else value, names[0])

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.first(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
            raise InvalidRequest(f"{name}: not a list of texts.", field=name)
        if isinstance(value, str):
            raise InvalidRequest(f"{name}: not a list of texts.", field=name)
        return tuple(value)

    def refuse(self, *names: str) -> None:
        """Refuse what cannot be done, unless it is empty."""
        for name in names:
            if self._values.get(name):
                raise InvalidRequest(f"{name} is not supported by this server.", field=name)

    def refuse_others(self, known: frozenset[str]) -> None:
        """Refuse all keys but these, unless they are empty."""
        self.refuse(*(name for name in self._values if name not in known))


def parse_create(body: Mapping[str, Any]) -> CreateCall:
    """Read the body of ``POST /session``.

    Shapes are checked here; whether an image is allowed, a name is one, and how much is too much
    is for admission.

    Raises
    ------
    InvalidRequest
        naming the field.
    NotAllowed
        when the session should be somebody else's.
    """
    fields = Fields(body, "body")
    fields.refuse(*_UNSUPPORTED)
    if fields.first("owner_access_key"):
        raise NotAllowed("Sessions for other owners cannot be made here.", field="owner_access_key")
    kind = fields.text("session_type", "type", default="interactive")
    if kind != "interactive":
        raise InvalidRequest(
            f"type: {kind!r:.40} sessions are not supported; ask for an interactive one.",
            field="type",
        )
    return CreateCall(
        request=_request(fields),
        enqueue_only=fields.flag("enqueue_only", default=False),
        max_wait=_max_wait(fields.first("max_wait_seconds")),
    )


def _request(fields: Fields) -> CreateRequest:
    config = fields.object("config")
    config.refuse_others(_CONFIG)
    _check_scaling_group(config.text("scaling_group"))
    opts = config.object("resource_opts")
    opts.refuse_others(frozenset({"shmem"}))
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
        reuse=fields.flag("reuse_if_exists", default=True),
        origin="rest",
    )


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
    }
    return {slot: amount for slot, amount in slots.items() if amount is not None}


def _check_scaling_group(name: str) -> None:
    if name not in {"", _ONLY_GROUP}:
        raise InvalidRequest(
            f"scalingGroup: {name!r:.80} is not here; leave it out.", field="scalingGroup"
        )
