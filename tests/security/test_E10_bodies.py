"""THREATS E10: no body crashes any route that reads one."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from jupyter_sessmgr.rest.openapi.document import make_document
from jupyter_sessmgr.rest.routes import routes
from tests.plugins.bodies import MALFORMED

NAME = "read-strictly"
#: What more is not the body that an operation reads.
MORE = {**MALFORMED, "over 1 MiB": b'{"a": "' + b"x" * 2**20 + b'"}', "an empty list": b"[]"}


#: What an operation says that reads no body, and one that takes any object.
NO_SCHEMAS = ({}, {"type": "object"})


def readers():
    """List the paths, methods and queries of all that reads JSON."""
    for path, item in make_document(routes(document_routes=True))["paths"].items():
        for method, told in item.items():
            content = told.get("requestBody", {}).get("content", {})
            if content.get("application/json", {}).get("schema", {}) not in NO_SCHEMAS:
                yield path, method, query_of(told["parameters"])


def query_of(parameters):
    """Write the query without which an operation does not come to its body."""
    wanted = [one for one in parameters if one["required"] or one["name"] == "api-version"]
    texts = {one["name"]: str(one.get("example", "x")) for one in wanted if one["in"] == "query"}
    return urlencode(texts)


@pytest.fixture
def app(inside):
    return inside()


async def test_E10_every_reader_refuses_malformed_bodies(app):
    await app.create(name=NAME)
    found = list(readers())
    assert len(found) > 8
    for path, method, query in found:
        url = f"{path.removeprefix('/').replace('{reference}', NAME)}?{query}"
        for what, body in MORE.items():
            headers = {"Content-Type": "application/json"}
            reply = await app.ask(method.upper(), url, body=body, headers=headers)
            assert 400 <= reply.code < 500, (method, url, what, reply.code, reply.body[:300])
    assert json.loads((await app.ask("GET", f"sessmgr/session/{NAME}")).body)["status"] == "RUNNING"
