"""The bad answers of an operation: the table of errors, and what a base class refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from jupyter_sessmgr.model import errors as tree
from jupyter_sessmgr.rest.errors import ANSWERS
from jupyter_sessmgr.rest.openapi.areas import Dialect
from jupyter_sessmgr.rest.openapi.schemas import Schemas
from jupyter_sessmgr.rest.operations import Operation
from jupyter_sessmgr.rest.routing import Route

Statuses = Mapping[type[tree.SessmgrError], int]

_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 0},
    }
}
_RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def failures(
    route: Route,
    method: str,
    told: Operation,
    dialect: Dialect,
    *,
    statuses: Statuses,
    schemas: Schemas,
) -> dict[str, Any]:
    """Write the Response Objects of an operation's errors, by status."""
    chosen = statuses if dialect.own_statuses else {}
    words: dict[int, dict[str, str]] = {}
    for kind in dict.fromkeys((*told.errors, *_errors_of_all(route, method, told))):
        row = next(one for one in kind.__mro__ if one in ANSWERS)
        answer = ANSWERS[row]
        titles = words.setdefault(chosen.get(row, answer.status), {})
        titles[answer.title] = f"`{answer.slug}`"
    for status, text in (*told.statuses.items(), *_statuses_of_all(method, told)):
        words.setdefault(status, {})[text] = ""
    content = {
        media: {} if kind is None else {"schema": schemas.of(kind)}
        for media, kind in dialect.problems.items()
    }
    return {
        str(status): {
            "description": _sentences(words[status]),
            **({"headers": _RETRY_AFTER} if status in _RETRIED else {}),
            "content": content,
        }
        for status in sorted(words)
    }


def _sentences(titles: Mapping[str, str]) -> str:
    """Write each slug once, before all that it stands for."""
    slugs = {slug: [t for t, one in titles.items() if one == slug] for slug in titles.values()}
    return " ".join(
        f"{slug}: {' '.join(found)}".removeprefix(": ") for slug, found in slugs.items()
    )


def _errors_of_all(route: Route, method: str, told: Operation) -> Iterator[type[tree.SessmgrError]]:
    """Say which errors the base classes raise."""
    if not told.is_open:
        yield tree.AuthFailed
        yield tree.NotAllowed
    if "{reference}" in route.path:
        yield tree.SessionNotFound
    if told.parameters or told.body is not None or method != "get":
        yield tree.InvalidRequest
    if getattr(route.handler, "needs_sessions", False):
        yield tree.Standby
        yield tree.EngineUnavailable
        yield tree.StoreError


def _statuses_of_all(method: str, told: Operation) -> Iterator[tuple[int, str]]:
    """Say which statuses tornado and the base classes answer by themselves."""
    if not told.is_open:
        yield HTTPStatus.BAD_REQUEST, "The URL cannot be read."
    if method != "get":
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is of another type."
