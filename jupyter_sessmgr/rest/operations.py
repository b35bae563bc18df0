"""What a handler's method takes and gives, in its own types; the OpenAPI document is made of it.

A handler's method is written so::

    @authenticated
    @authorized
    @operation(
        parameters=(Parameter("all", bool, "Ended sessions too."),),
        replies={200: Reply("A page of sessions.", SessionPage)},
        errors=(InvalidRequest,),
    )
    async def get(self) -> None:
        \"\"\"List the owner's sessions.\"\"\"

The docstring is the operation's text. Types are those that the pure functions of ``wire.py``
return (`TypedDict`, with `msgspec.Meta` for bounds and descriptions), so mypy holds the handlers
to the document. What every method of a base class can answer is added there, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from jupyter_sessmgr.model.errors import SessmgrError

Method = TypeVar("Method", bound=Callable[..., Any])
_KEY = "sessmgr_operation"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter in query or header. Those in the path are known from the route."""

    name: str
    #: A type that `msgspec.json.schema` understands.
    type: Any
    description: str
    where: Literal["query", "header"] = "query"
    required: bool = False
    example: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One good answer."""

    description: str
    #: Type of the body; None: there is none.
    body: Any = None
    media: str = "application/json"
    #: Other media types that a client may ask for; their bodies are described in words only.
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one handler."""

    replies: Mapping[int, Reply]
    parameters: tuple[Parameter, ...] = ()
    #: Type of the request's body; None: it takes none.
    body: Any = None
    body_media: str = "application/json"
    #: Bodies that work, by a word for each; tests send them.
    examples: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    #: Rows of the error tree that it can answer, besides those of every method.
    errors: tuple[type[SessmgrError], ...] = ()
    #: Statuses that are in no table, and what they mean.
    statuses: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    #: What no client needs any more, or only old ones.
    deprecated: bool = False
    #: Without credentials.
    is_open: bool = False


def operation(
    *,
    replies: Mapping[int, Reply],
    parameters: tuple[Parameter, ...] = (),
    body: Any = None,
    body_media: str = "application/json",
    examples: Mapping[str, Any] = MappingProxyType({}),
    errors: tuple[type[SessmgrError], ...] = (),
    statuses: Mapping[int, str] = MappingProxyType({}),
    deprecated: bool = False,
    is_open: bool = False,
) -> Callable[[Method], Method]:
    """Describe a handler's method; see the module."""

    def describe(method: Method) -> Method:
        told = Operation(
            replies=replies,
            parameters=parameters,
            body=body,
            body_media=body_media,
            examples=examples,
            errors=errors,
            statuses=statuses,
            deprecated=deprecated,
            is_open=is_open,
        )
        setattr(method, _KEY, told)
        return method

    return describe


def operation_of(method: Callable[..., Any]) -> Operation | None:
    """Return what was said of a handler's method; decorators around it do not hide it."""
    told: Operation | None = getattr(method, _KEY, None)
    return told
