"""Every example of the OpenAPI document, sent to a real server, is answered well."""

from __future__ import annotations

import jsonschema
import pytest

from jupyter_sessmgr.rest.openapi.document import make_document
from jupyter_sessmgr.rest.routes import routes
from tests.plugins.openapi import strict

DOCUMENT = make_document(routes(document_routes=True))
NAME = "my-session"
#: An app that starts quickly, under the name that the examples know.
APP = {
    "command": ["{runtime_path}", "-m", "http.server", "{ports[0]}", "--directory"],
    "allowed_arguments": ["--logdir"],
    "positional": ["--logdir"],
    "default_arguments": {"--logdir": "."},
}


def examples():
    for path, item in DOCUMENT["paths"].items():
        for method, told in item.items():
            for media, content in told.get("requestBody", {}).get("content", {}).items():
                for name, example in content.get("examples", {}).items():
                    assert media == "application/json"
                    yield pytest.param(
                        method, path, told, example["value"], id=f"{told['operationId']}-{name}"
                    )


@pytest.fixture(scope="module")
def one_server(module_servers):
    server = module_servers.start(config={"SessionServices": {"definitions": {"tensorboard": APP}}})
    yield server
    server.destroy_sessions()


@pytest.fixture
def server(one_server):
    """Have what the examples name; an example before may have renamed it."""
    if one_server.create(name=NAME)["created"]:
        files = [("src", (name, b"1,2,3\n")) for name in ("numbers.csv", "results/all.csv")]
        reply = one_server.ask("POST", f"sessmgr/session/{NAME}/upload", files=files)
        assert reply.status_code == 204, reply.text
    return one_server


@pytest.mark.parametrize(("method", "path", "told", "body"), list(examples()))
def test_an_example_works(server, method, path, told, body):
    query = {
        one["name"]: str(one["example"]).lower()
        for one in told["parameters"]
        if one["in"] == "query" and (one["required"] or one["name"] == "api-version")
    }
    url = path.removeprefix("/").replace("{reference}", NAME).replace("{service}", "tensorboard")
    reply = server.ask(
        method.upper(), url, json=body, params=query, headers={"Accept": "application/json"}
    )
    assert reply.status_code < 300, reply.text
    described = told["responses"][str(reply.status_code)]
    content = described.get("content", {})
    if "application/json" in content:
        schema = content["application/json"]["schema"]
        whole = {**strict(schema), "components": strict(DOCUMENT["components"])}
        jsonschema.validate(reply.json(), whole)


def test_every_body_of_json_has_an_example():
    without = [
        told["operationId"]
        for item in DOCUMENT["paths"].values()
        for told in item.values()
        for media, content in told.get("requestBody", {}).get("content", {}).items()
        if content["schema"] != {"type": "object"}
        and media == "application/json"
        and not content.get("examples")
    ]
    assert without == []
