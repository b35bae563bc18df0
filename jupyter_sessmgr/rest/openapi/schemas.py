"""JSON Schemas of Python types, each named type once."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_type_hints, is_typeddict

import msgspec

_REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """Collects the schemas that a document refers to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return a type's schema; a named type's is a reference into `components`.

        Raises
        ------
        ValueError
            when two different types have the same name.
        """
        if isinstance(kind, UnionType) and any(is_typeddict(one) for one in get_args(kind)):
            # msgspec reads no such types; we only describe them.
            return {"anyOf": [self.of(one) for one in get_args(kind)]}
        (schema,), named = msgspec.json.schema_components(
            [kind], schema_hook=_schema_of_others, ref_template=_REFERENCE
        )
        for one in _objects(kind, set()):
            _order(named[one.__name__], list(one.__annotations__))
        for name, one in named.items():
            if self.components.setdefault(name, one) != one:
                raise ValueError(f"two types of the API are called {name}")
        return schema


def _schema_of_others(kind: Any) -> dict[str, Any]:
    """Describe what msgspec does not know: an `object` is anything."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def _objects(kind: Any, seen: set[Any]) -> Iterator[Any]:
    """Find the types of objects that a type is made of."""
    if is_typeddict(kind):
        if kind in seen:
            return
        seen.add(kind)
        yield kind
    parts = get_type_hints(kind).values() if is_typeddict(kind) else get_args(kind)
    for part in parts:
        yield from _objects(part, seen)


def _order(schema: dict[str, Any], names: list[str]) -> None:
    """Put an object's keys in the order in which they were written; msgspec sorts them."""
    known, required = schema["properties"], schema["required"]
    schema["properties"] = {name: known[name] for name in names}
    schema["required"] = [name for name in names if name in required]
