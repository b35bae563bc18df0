"""Names: what is allowed, and how ours are made."""

from __future__ import annotations

import re
import secrets
import uuid
from urllib.parse import quote

from jupyter_sessmgr.model.errors import InvalidRequest

#: Words of the routes, so no names.
RESERVED = frozenset({"create", "_"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}[A-Za-z0-9]", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)

_LISTENER = b"sessmgr-listener-"

#: Ours and Jupyter's: a session's environment cannot carry them (THREATS E5).
RESERVED_ENV = ("JPY_", "JUPYTER_", "SESSMGR_", "KERNEL_ID")
MAX_ENV_VALUE = 32 * 1024
MAX_ENV_TOTAL = 256 * 1024


def service_path(base_url: str, session_id: str, service: str) -> str:
    """Return the path under which a session's service is reached; `base_url` ends with a slash."""
    return f"{base_url}sessmgr/session/{session_id}/service/{quote(service, safe='')}/"


def new_session_id() -> str:
    """Make a session id: a random UUID, which is also the Jupyter kernel id."""
    return str(uuid.uuid4())


def new_place_id() -> str:
    """Make a place id: 80 random bits as 20 hex digits, short enough for socket paths."""
    return secrets.token_hex(10)


def new_session_name() -> str:
    """Make a name for a session whose creator gave none."""
    return f"session-{secrets.token_hex(6)}"


def new_listener_topic() -> bytes:
    """Make a topic that nobody is subscribed to yet.

    A kernel that greets its listeners does so for each new topic (JEP 65; ipykernel since 7).
    """
    return _LISTENER + uuid.uuid4().hex.encode()


def is_listener_topic(topic: bytes) -> bool:
    """Tell whether a message is to a topic of `new_listener_topic`: somebody was greeted."""
    return topic.startswith(_LISTENER)


def is_uuid(text: str) -> bool:
    """Tell whether `text` is a UUID in its usual lower-case spelling."""
    return _UUID.fullmatch(text) is not None


def check_session_name(name: object) -> str:
    """Return `name` when it may name a session (THREATS E9).

    Raises
    ------
    InvalidRequest
        unless it has 4-64 ASCII letters, digits, and inner hyphens, dots or underscores.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            f"{name!r:.80} cannot name a session: use 4 to 64 letters, digits, and hyphens, dots "
            "or underscores between them.",
            field="clientSessionToken",
        )
    if name in RESERVED:
        raise InvalidRequest(f"{name!r} is a reserved word.", field="clientSessionToken")
    return name


def check_environ(environ: object) -> dict[str, str]:
    """Return `environ` when it may become a session's environment (THREATS E5).

    Raises
    ------
    InvalidRequest
        naming the first variable that may not be, and why.
    """
    if not isinstance(environ, dict):
        raise InvalidRequest("environ: not an object of names and values.", field="environ")
    total = 0
    for name, value in environ.items():
        _check_variable(name, value)
        total += len(name) + len(value.encode())
    if total > MAX_ENV_TOTAL:
        raise InvalidRequest("environ: more than 256 KiB in all.", field="environ")
    return dict(environ)


def _check_variable(name: object, value: object) -> None:
    if not isinstance(name, str) or _ENV_NAME.fullmatch(name) is None:
        raise InvalidRequest(f"environ: {name!r:.80} is not a variable's name.", field="environ")
    if name.startswith(RESERVED_ENV):
        raise InvalidRequest(f"environ: {name} is set by the server.", field="environ")
    if not isinstance(value, str) or "\0" in value or not is_text(value):
        raise InvalidRequest(f"environ: the value of {name} is not text.", field="environ")
    if len(value.encode()) > MAX_ENV_VALUE:
        raise InvalidRequest(f"environ: the value of {name} is over 32 KiB.", field="environ")


def is_text(value: str) -> bool:
    """Tell whether `value` can be stored: no lone surrogates (FAULTS S8)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def place_name(install_id: str, place_id: str) -> str:
    """Make the name a place has on its engine.

    It is decided before the place exists, so the engine's own rule that names are unique is the
    lock, and a lost reply is answered by looking the name up (FAULTS D1).
    """
    return f"sessmgr-{install_id}-{place_id}"
