"""Makes the OpenAPI 3.1 document. Pure: the same routes give the same document."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.openapi.areas import AREAS, SCHEMES, Dialect, area_of
from jupyter_sessmgr.rest.openapi.failures import Statuses, failures
from jupyter_sessmgr.rest.openapi.schemas import Schemas
from jupyter_sessmgr.rest.operations import Operation, Parameter, Reply, operation_of
from jupyter_sessmgr.rest.routing import Route

JSON = "application/json"
METHODS = ("get", "post", "put", "patch", "delete")
#: What a variable of a path is, for readers: description and example.
VARIABLES = {
    "reference": ("The session's name, else its UUID, else its number.", "my-session"),
    "rest": ("The rest of the path.", ""),
    "service": ("The service's name.", "tensorboard"),
    "port": ("A port's number.", "8050"),
}
#: Status codes as the dialects' documents have them; an admin may choose others.
DOCUMENTED: Statuses = MappingProxyType({InvalidRequest: 401})
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_ABOUT = """\
Compute sessions of a Jupyter server. Paths are relative to the server's base URL. All under \
`/sessmgr/session` is served under `/sessmgr/kernel` too, for older clients, and, unless an admin \
switched that off, under `/session`; `POST /sessmgr/session/create` is `POST /sessmgr/session`.

A session of somebody else is answered as one that is not there. Bodies are strict JSON of at \
most 1 MiB; keys may be written in camelCase and in snake_case, and null is the same as absent."""


def make_document(
    routes: Sequence[Route], *, base_url: str = "/", statuses: Statuses = DOCUMENTED
) -> dict[str, Any]:
    """Describe the routes.

    Parameters
    ----------
    routes : sequence of Route
        Those with `alias` are left out, as are methods that say nothing of themselves.
    base_url : str
        The Jupyter server's.
    statuses : mapping
        Status codes that the admin chose.
    """
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for route, method, told in described(routes):
        item = paths.setdefault(route.path, {})
        item[method] = _operation(route, method, told, statuses, schemas)
    used = {tag for item in paths.values() for told in item.values() for tag in told["tags"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_sessmgr",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": base_url.rstrip("/") or "/"}],
        "tags": [
            {"name": one.tag, "description": one.about}
            for one in AREAS
            if one.about and one.tag in used
        ],
        "paths": paths,
        "components": {
            "securitySchemes": dict(SCHEMES),
            "schemas": {name: schemas.components[name] for name in sorted(schemas.components)},
        },
    }


def methods_of(route: Route) -> Iterator[tuple[str, Callable[..., Any]]]:
    """List the methods that a route's handler answers."""
    for verb in METHODS:
        method = getattr(route.handler, verb)
        if not method.__qualname__.startswith("RequestHandler."):
            yield verb, method


def described(routes: Sequence[Route]) -> Iterator[tuple[Route, str, Operation]]:
    """List what the document describes."""
    for route in routes:
        for verb, method in () if route.alias else methods_of(route):
            told = operation_of(method)
            if told is not None:
                yield route, verb, told


def operation_id(method: str, path: str) -> str:
    """Name an operation by its method and path, such as ``get_session_reference_logs``."""
    words = re.findall(r"[a-z0-9]+", path.lower().removeprefix("/sessmgr"))
    return "_".join([method, *words]) if words else f"{method}_version"


def _operation(
    route: Route, method: str, told: Operation, statuses: Statuses, schemas: Schemas
) -> dict[str, Any]:
    function = getattr(route.handler, method)
    area, text = area_of(function), inspect.getdoc(function) or ""
    made: dict[str, Any] = {
        "operationId": operation_id(method, route.path),
        "tags": [area.tag],
        "summary": text.partition("\n")[0].rstrip("."),
        "description": text,
        "security": [] if told.is_open else _security(method, area.dialect),
        "parameters": [*_variables(route), *(_parameter(p, schemas) for p in told.parameters)],
        "responses": {
            **{str(status): _reply(reply, schemas) for status, reply in told.replies.items()},
            **failures(route, method, told, area.dialect, statuses=statuses, schemas=schemas),
        },
    }
    body = _body(method, told, schemas)
    if body is not None:
        made["requestBody"] = body
    if told.deprecated:
        made["deprecated"] = True
    return made


def _security(method: str, dialect: Dialect) -> list[dict[str, list[str]]]:
    """Say which credentials suffice; reading by a browser needs no proof against other pages."""
    spared = {"xsrf"} if method == "get" else set()
    return [{name: [] for name in names if name not in spared} for names in dialect.security]


def _variables(route: Route) -> Iterator[dict[str, Any]]:
    for name in _VARIABLE.findall(route.path):
        description, example = VARIABLES.get(name, ("", ""))
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": description,
            "schema": {"type": "string", "minLength": 1},
            **({"example": example} if example else {}),
        }


def _parameter(one: Parameter, schemas: Schemas) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.where,
        "required": one.required,
        "description": one.description,
        "schema": schemas.of(one.type),
        **({} if one.example is None else {"example": one.example}),
    }


def _body(method: str, told: Operation, schemas: Schemas) -> dict[str, Any] | None:
    if told.body is None:
        # A POST says that it is JSON even when it has nothing to say.
        empty = {"content": {JSON: {"schema": {"type": "object"}}}}
        return empty if method == "post" else None
    content: dict[str, Any] = {"schema": schemas.of(told.body)}
    if told.examples:
        content["examples"] = {name: {"value": value} for name, value in told.examples.items()}
    required = bool(getattr(told.body, "__required_keys__", True))
    return {"required": required, "content": {told.body_media: content}}


def _reply(reply: Reply, schemas: Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {"description": reply.description}
    content: dict[str, Any] = {media: {} for media in reply.others}
    if reply.body is not None:
        content = {reply.media: {"schema": schemas.of(reply.body)}, **content}
    elif reply.media != JSON:
        content = {reply.media: {}, **content}
    return {**made, "content": content} if content else made
