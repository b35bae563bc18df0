"""Reads the OpenAPI document more strictly than it is meant for clients."""

from __future__ import annotations


def strict(schema):
    """Forbid what an object's schema does not name, so that a key without words is seen."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made
