"""Write the reference of the HTTP API, from the OpenAPI document that the server serves.

Run it after a handler's `@operation` or a type changed; a test compares. What stands above the
mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_sessmgr.rest.openapi.document import make_document
from jupyter_sessmgr.rest.routes import routes

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "rest.md"
MARK = "<!-- From here on written by scripts/document_rest.py. -->"
#: What nearly every operation can answer, so the page says it once.
COMMON = {"400", "401", "403", "413", "415", "503"}
#: Parameters that the page explains once.
EXPLAINED = {"reference", "owner_access_key", "ownerAccessKey"}
#: Longest example, in characters, that is shown on one line.
SHORT = 120


def render_page() -> str:
    """Write the page: what is written by hand, then one section for each tag."""
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    document = make_document(routes(document_routes=True))
    lines = [MARK, ""]
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", "", tag["description"], ""]
        for path, item in document["paths"].items():
            for method, told in item.items():
                if tag["name"] in told["tags"]:
                    lines += _operation(method, path, told)
    lines += ["## Types", "", "Keys marked `*` are always there.", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += _type(name, schema)
    return by_hand + "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, told: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {method.upper()} `{path}`", "")
    yield from (told["description"] + (" **Deprecated.**" if told.get("deprecated") else ""), "")
    for one in told["parameters"]:
        if one["name"] not in EXPLAINED:
            star, where = "*" * one["required"], "" if one["in"] == "query" else f"{one['in']}, "
            kind = kind_of(one["schema"])
            yield f"- `{one['name']}`{star} ({where}{kind}): {_line(one['description'])}"
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        if content["schema"] != {"type": "object"}:
            yield f"- Body: {kind_of(content['schema'])}{_as(media)}"
    for status, reply in told["responses"].items():
        if _is_good(status):
            yield f"- **{status}** {_line(reply['description'])}{_bodies(reply)}"
    errors = [
        f"{status} {_slugs(reply['description'])}"
        for status, reply in told["responses"].items()
        if not _is_good(status) and status not in COMMON
    ]
    if errors:
        yield f"- Errors: {', '.join(errors)}"
    yield ""
    for content in told.get("requestBody", {}).get("content", {}).values():
        yield from _example(content.get("examples", {}))


def _example(examples: dict[str, Any]) -> Iterator[str]:
    """Show the first example that says anything."""
    values = [one["value"] for one in examples.values() if one["value"]]
    for value in values[:1]:
        text = json.dumps(value)
        yield from ("```json", text if len(text) <= SHORT else json.dumps(value, indent=2))
        yield from ("```", "")


def _is_good(status: str) -> bool:
    return status[0] in "123"


def _slugs(text: str) -> str:
    """Cut what an error is called; where it has no name, keep the sentence."""
    names = re.findall(r"`[a-z-]+`", text)
    if not names:
        return f"({_line(text).rstrip('.')})"
    return ", ".join(names[:-1]) + " or " * (len(names) > 1) + names[-1]


def _bodies(reply: dict[str, Any]) -> str:
    kinds = [
        (kind_of(content["schema"]) if "schema" in content else "") + _as(media)
        for media, content in reply.get("content", {}).items()
    ]
    return f" {' or '.join(kind.strip() for kind in kinds)}" if kinds else ""


def _as(media: str) -> str:
    return "" if media == "application/json" else f" as `{media}`"


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", schema.get("description", ""), "")
    required = schema.get("required", ())
    for key, one in schema.get("properties", {}).items():
        star, text = "*" * (key in required), one.get("description", "")
        yield f"- `{key}`{star} ({kind_of(one)}){text and ': '}{_line(text)}"
    yield ""


def kind_of(schema: dict[str, Any]) -> str:
    """Say in words what a schema allows."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if "type" not in schema:
        return "anything"
    kind = schema["type"]
    if kind == "array":
        return f"list of {kind_of(schema['items'])}" if schema.get("items") else "list"
    inner = schema.get("additionalProperties")
    if kind == "object" and isinstance(inner, dict):
        return f"object of {kind_of(inner)}"
    return kind + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    if high is None:
        return f" from {low}" if low and "minimum" in schema else ""
    return f" {low or 0}-{high}"


def _line(text: str) -> str:
    return " ".join(text.split())


def main() -> int:
    """Write the page."""
    PAGE.write_text(render_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
