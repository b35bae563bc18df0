"""JSON Schemas of Python types, each named type once."""

from __future__ import annotations

from typing import Any

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
        (schema,), named = msgspec.json.schema_components(
            [kind], schema_hook=_schema_of_others, ref_template=_REFERENCE
        )
        for name, one in named.items():
            if self.components.setdefault(name, one) != one:
                raise ValueError(f"two types of the API are called {name}")
        return schema


def _schema_of_others(kind: Any) -> dict[str, Any]:
    """Describe what msgspec does not know: an `object` is anything."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)
