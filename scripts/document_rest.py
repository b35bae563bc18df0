"""Write the reference of the HTTP API, from the OpenAPI document that the server serves.

Run it after a handler's `@operation` or a type changed; a test compares. What stands above the
mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_sessmgr.rest.openapi.document import make_document
from jupyter_sessmgr.rest.routes import routes

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "rest.md"
MARK = "<!-- From here on written by scripts/document_rest.py. -->"
#: What an error's row says of statuses that nearly every operation has.
COMMON = {"400", "401", "403", "413", "415", "503"}


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
    yield f"### {method.upper()} `{path}`"
    yield ""
    yield told["description"] + (" **Deprecated.**" if told.get("deprecated") else "")
    yield ""
    if told["parameters"]:
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        for one in told["parameters"]:
            star = "*" * one["required"]
            kind = kind_of(one["schema"])
            yield f"| `{one['name']}`{star} | {one['in']} | {kind} | {_cell(one['description'])} |"
        yield ""
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {kind_of(content['schema'])}, as `{media}`."
        yield ""
        for example in content.get("examples", {}).values():
            yield from ("```json", json.dumps(example["value"], indent=2), "```", "")
    yield "| status | |"
    yield "|---|---|"
    for status, reply in told["responses"].items():
        if status not in COMMON or _is_special(status, reply):
            bodies = ", ".join(_bodies(reply)) if _is_good(status) else ""
            yield f"| {status} | {_cell(reply['description'])}{bodies and ' Body: '}{bodies} |"
    yield ""


def _is_good(status: str) -> bool:
    return status[0] in "123"


def _is_special(status: str, reply: dict[str, Any]) -> bool:
    """Tell whether an operation means more by a common status than all the others."""
    return status == "401" and "invalid-api-params" in reply["description"]


def _bodies(reply: dict[str, Any]) -> Iterator[str]:
    for media, content in reply.get("content", {}).items():
        kind = kind_of(content.get("schema", {"type": "the same"}))
        yield kind if media == "application/json" else f"{kind} as `{media}`"


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield schema.get("description", "")
    yield ""
    yield "| key | type | |"
    yield "|---|---|---|"
    required = schema.get("required", ())
    for key, one in schema.get("properties", {}).items():
        star = "*" * (key in required)
        yield f"| `{key}`{star} | {kind_of(one)} | {_cell(one.get('description', ''))} |"
    yield ""


def kind_of(schema: dict[str, Any]) -> str:
    """Say in words what a schema allows."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
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


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the page."""
    PAGE.write_text(render_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
