"""What an agent says, checked word by word: code in a session can speak for it (THREATS F10).

Every value is of the type and in the range that is written here, or the whole is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NoReturn, cast, get_args

from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    LimitExceeded,
    NoSuchFile,
    NotAllowed,
    NotRunning,
    ServiceNotFound,
    SessmgrError,
    Unsupported,
)
from jupyter_sessmgr.model.resources import MAX_NUMBER
from jupyter_sessmgr.model.session import KernelExit
from jupyter_sessmgr.model.usage import Usage

#: The version of the protocol that is spoken here.
PROTOCOL = 1
#: A line that is longer is not read. Reading one this long takes the loop about ten milliseconds.
MAX_LINE = 2**20

#: What becomes of an agent's refusals, by kind; any other is an `AgentError`.
ERRORS: Mapping[str, type[SessmgrError]] = MappingProxyType(
    {
        "refused": NotRunning,
        "invalid": InvalidRequest,
        "denied": NotAllowed,
        "absent": NoSuchFile,
        "unknown": ServiceNotFound,
        "full": LimitExceeded,
        "unsupported": Unsupported,
    }
)

KernelStateName = Literal["none", "starting", "bound", "exited", "failed"]

ServiceStateName = Literal["starting", "running", "stopped", "failed"]
#: Whose definition of a service is in effect; "" while none is.
ServiceSource = Literal["", "admin", "image", "built-in"]
_STATES, _SERVICE_STATES = get_args(KernelStateName), get_args(ServiceStateName)
_SOURCES = get_args(ServiceSource)
_MAX_PID, _MAX_PORT, _MAX_CODE = 2**22, 65535, 255
_MAX_SPECS, _MAX_SERVICES, _MAX_TAIL = 100, 64, 4096


class Junk(Exception):
    """An agent said something that makes no sense. The message names the field, not its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelState:
    """The kernel of a place, as its agent tells it."""

    generation: int
    #: Name of the kernelspec inside the image.
    name: str
    #: "failed": it never became reachable. "exited": it was, and ended.
    state: KernelStateName
    pid: int | None
    encrypted: bool
    language: str
    #: "signal" or "message".
    interrupt_mode: str
    exit: KernelExit | None
    error: str  # why it failed, for people
    warning: str  # what is not as it was asked for, for people
    #: It is a spare's, and can be told whose it is.
    personal: bool = False
    recorded: bool = False  # in a journal


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKernelspec:
    """A kernelspec inside the image."""

    display_name: str
    language: str
    argv: tuple[str, ...]
    interrupt_mode: str
    metadata: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentService:
    """An app inside a place, as its agent tells it."""

    name: str
    state: ServiceStateName
    #: Where it listens inside.
    ports: tuple[int, ...]
    #: Why it failed, for people.
    error: str
    #: Last lines it wrote.
    tail: str
    #: Who said how it is started.
    source: ServiceSource = ""
    #: It knows the path that it is reached under, and sees whole paths.
    whole_paths: bool = False
    #: The header that it takes from its user, with ``{token}`` to be filled in.
    authorization: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOffer:
    """What an app takes, as the image's own definition says."""

    allowed_arguments: tuple[str, ...] = ()
    allowed_envs: tuple[str, ...] = ()
    url_template: str = ""
    #: It knows the path that it is reached under, and sees whole paths.
    whole_paths: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSurvey:
    """What an agent tells when it is asked about services."""

    #: By the name of the image's own app.
    offers: Mapping[str, ServiceOffer]
    #: Ports, of those asked for, where something of the place listens.
    listening: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """How an agent greets."""

    protocol: int
    #: Another one for every start of an agent, so a stale place is not taken for a live one.
    instance: str
    place_id: str
    #: What the server gave it to keep; signed, so its reader can tell whether it is unchanged.
    claim: str
    #: The version of the image's Python.
    python: str
    pid: int
    kernel: KernelState
    kernelspecs: Mapping[str, AgentKernelspec]
    services: tuple[AgentService, ...] = ()


def read_line(line: bytes) -> dict[str, Any]:
    """Read one line of JSON that holds an object.

    Raises
    ------
    Junk
        for anything else.
    """
    try:
        message = json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Junk("a line is not JSON") from None
    return _object(message, "line")


def read_hello(message: Mapping[str, Any]) -> AgentHello:
    """Check how an agent greets.

    Raises
    ------
    Junk
        naming the field.
    """
    if message.get("ok") is not True:
        raise Junk("it does not greet")
    told = _object(message.get("hello"), "hello")
    specs = _object(told.get("kernelspecs"), "kernelspecs")
    if len(specs) > _MAX_SPECS:
        raise Junk("kernelspecs")
    return AgentHello(
        protocol=_number(told, "protocol", MAX_NUMBER),
        instance=_word(told, "instance", 64),
        place_id=_word(told, "place_id", 64),
        claim=_exact(told, "claim", 64 * 1024),
        python=_word(told, "python", 32),
        pid=_number(told, "pid", _MAX_PID),
        kernel=read_kernel(told.get("kernel")),
        kernelspecs=MappingProxyType(
            {clean(name, 100): _read_spec(spec) for name, spec in specs.items()}
        ),
        # An agent that an earlier release started has none.
        services=read_services(told.get("services", [])),
    )


def read_kernel(told: object) -> KernelState:
    """Check what an agent says of its kernel.

    Raises
    ------
    Junk
        naming the field.
    """
    said = _object(told, "kernel")
    generation = _number(said, "generation", MAX_NUMBER)
    state = _word(said, "state", 16)
    if state not in _STATES:
        raise Junk("state")
    ended = said.get("exit")
    return KernelState(
        generation=generation,
        name=_word(said, "name", 100),
        state=cast("KernelStateName", state),
        pid=None if said.get("pid") is None else _number(said, "pid", _MAX_PID),
        encrypted=_flag(said, "encrypted"),
        language=_word(said, "language", 64),
        interrupt_mode=_word(said, "interrupt_mode", 16),
        exit=None if ended is None else _read_exit(ended, generation),
        error=_word(said, "error", 2000),
        warning=_word(said, "warning", 2000),
        personal="personal" in said and _flag(said, "personal"),
        recorded="recorded" in said and _flag(said, "recorded"),
    )


def read_usage(told: object) -> Usage:
    """Check what an agent measured.

    Raises
    ------
    Junk
        naming the field.
    """
    said = _object(told, "usage")
    # An agent that an earlier release started measures less.
    names = [name for name in Usage.__dataclass_fields__ if name in said]
    return Usage(**{name: _number(said, name, MAX_NUMBER) for name in names})


def read_service(told: object) -> AgentService:
    """Check what an agent says of one app.

    Raises
    ------
    Junk
        naming the field.
    """
    said = _object(told, "service")
    state = _word(said, "state", 16)
    ports = said.get("ports")
    if state not in _SERVICE_STATES or not isinstance(ports, list):
        raise Junk("service")
    if len(ports) > _MAX_SERVICES or not all(
        type(port) is int and 0 <= port <= _MAX_PORT for port in ports
    ):
        raise Junk("ports")
    return AgentService(
        name=_word(said, "name", 64),
        state=cast("ServiceStateName", state),
        ports=tuple(ports),
        error=_word(said, "error", 2000),
        tail=_word(said, "tail", _MAX_TAIL),
        **_read_manners(said),
    )


def _read_manners(said: Mapping[str, Any]) -> dict[str, Any]:
    """Check whose definition is in effect; an agent of an earlier release does not say."""
    if "source" not in said:
        return {}
    source, header = _word(said, "source", 16), _word(said, "authorization", 200)
    if source not in _SOURCES or not (header.isascii() and header.isprintable()):
        raise Junk("source")
    whole_paths = _flag(said, "whole_paths")
    return {"source": source, "whole_paths": whole_paths, "authorization": header}


def read_services(told: object) -> tuple[AgentService, ...]:
    """Check what an agent says of all its apps."""
    if not isinstance(told, list) or len(told) > _MAX_SERVICES:
        raise Junk("services")
    return tuple(map(read_service, told))


def read_survey(told: object) -> ServiceSurvey:
    """Check what an agent says of the image's own apps, and of ports."""
    said = _object(told, "services")
    offers = _object(said.get("definitions"), "definitions")
    listening = said.get("listening", [])
    if len(offers) > _MAX_SPECS:
        raise Junk("definitions")
    if not isinstance(listening, list) or not all(type(port) is int for port in listening):
        raise Junk("listening")
    read = {clean(name, 64): _read_offer(offer) for name, offer in offers.items()}
    return ServiceSurvey(offers=read, listening=frozenset(listening))


def _read_offer(told: object) -> ServiceOffer:
    said = _object(told, "definition")
    return ServiceOffer(
        allowed_arguments=_texts(said, "allowed_arguments"),
        allowed_envs=_texts(said, "allowed_envs"),
        url_template=_word(said, "url_template", 4096),
        whole_paths=_flag({"whole_paths": False} | said, "whole_paths"),
    )


def _texts(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = said.get(name)
    if not isinstance(value, list) or len(value) > _MAX_SPECS * 2 or not _all_texts(value):
        raise Junk(name)
    return tuple(clean(text, 4096) for text in value)


def read_text(told: object, size: int) -> str:
    """Check a log: its last `size` characters at most."""
    text = _object(told, "logs").get("text")
    if not isinstance(text, str):
        raise Junk("text")
    return clean(text[-size:], size) if size else ""


def read_error(told: object) -> tuple[str, str]:
    """Check why an agent did not do what was asked: kind and message."""
    said = _object(told, "error")
    return _word(said, "kind", 16), _word(said, "message", 2000)


def clean(text: str, limit: int) -> str:
    """Cut a text, and replace what no database takes: NUL and lone surrogates (FAULTS S8)."""
    return text[:limit].encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _read_exit(told: object, generation: int) -> KernelExit:
    said = _object(told, "exit")
    code = said.get("code")
    if code is not None and (type(code) is not int or abs(code) > _MAX_CODE):
        raise Junk("code")
    tail = said.get("tail")
    return KernelExit(
        generation=generation,
        code=code,
        oom=_flag(said, "oom"),
        reason=_word(said, "reason", 2000),
        tail=clean(tail[-_MAX_TAIL:], _MAX_TAIL) if isinstance(tail, str) else _refuse("tail"),
    )


def _read_spec(told: object) -> AgentKernelspec:
    said = _object(told, "kernelspec")
    argv = said.get("argv")
    if not isinstance(argv, list) or not _all_texts(argv):
        raise Junk("argv")
    return AgentKernelspec(
        display_name=_word(said, "display_name", 200),
        language=_word(said, "language", 64),
        argv=tuple(clean(word, 4096) for word in argv),
        interrupt_mode=_word(said, "interrupt_mode", 16),
        metadata=MappingProxyType(_object(said.get("metadata"), "metadata")),
    )


def _all_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _object(value: object, name: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(name)


def _word(said: Mapping[str, Any], name: str, limit: int) -> str:
    """Take a text for people; a longer one is cut."""
    value = said.get(name)
    return clean(value, limit) if isinstance(value, str) else _refuse(name)


def _exact(said: Mapping[str, Any], name: str, limit: int) -> str:
    """Take a text that is worth nothing unless it is whole."""
    value = said.get(name)
    return value if isinstance(value, str) and len(value) <= limit else _refuse(name)


def _number(said: Mapping[str, Any], name: str, highest: int) -> int:
    value = said.get(name)
    return value if type(value) is int and 0 <= value <= highest else _refuse(name)


def _flag(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name)
    return value if isinstance(value, bool) else _refuse(name)


def _refuse(name: str) -> NoReturn:
    raise Junk(name)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")
