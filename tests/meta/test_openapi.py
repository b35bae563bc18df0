"""The OpenAPI document is whole: valid, readable, and about everything that is served."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.openapi.document import VARIABLES, make_document, methods_of
from jupyter_sessmgr.rest.operations import operation_of
from jupyter_sessmgr.rest.routes import routes
from tests.plugins.openapi import strict

ROUTES = routes(document_routes=True)
DOCUMENT = make_document(ROUTES)
OPERATIONS = {
    told["operationId"]: told for item in DOCUMENT["paths"].values() for told in item.values()
}


def test_every_method_says_what_it_takes_and_gives():
    silent = {
        f"{method.upper()} {route.path}"
        for route in ROUTES
        for method, function in methods_of(route)
        if operation_of(function) is None
    }
    assert silent == set()


def test_every_route_is_described_once():
    count = sum(len(list(methods_of(route))) for route in ROUTES if not route.alias)
    assert len(OPERATIONS) == count


def test_an_alias_is_another_path_to_what_is_described():
    described = {route.handler for route in ROUTES if not route.alias}
    other = {route.handler for route in ROUTES if route.alias} - described
    assert {one for one in other if not any(issubclass(d, one) for d in described)} == set()


def test_it_is_valid():
    errors = [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()]
    assert errors == []


def test_the_same_routes_give_the_same_document():
    again = make_document(routes(document_routes=True))
    assert json.dumps(again) == json.dumps(DOCUMENT)


def test_its_paths_are_relative_to_the_base_url():
    assert DOCUMENT["servers"] == [{"url": "/"}]
    assert make_document(ROUTES, base_url="/a/b/")["servers"] == [{"url": "/a/b"}]


def test_it_has_the_statuses_that_an_admin_chose():
    chosen = make_document(ROUTES, statuses={InvalidRequest: 400})
    for document, status, other in ((DOCUMENT, "401", "400"), (chosen, "400", "401")):
        answers = document["paths"]["/sessmgr/session"]["post"]["responses"]
        assert "invalid-api-params" in answers[status]["description"]
        assert "invalid-api-params" not in answers[other]["description"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described_for_people(name):
    told = OPERATIONS[name]
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert 0 < len(told["summary"]) <= 100, told["summary"]
    assert told["description"].startswith(told["summary"])
    assert len(told["tags"]) == 1
    assert all(one["description"].endswith(".") for one in told["parameters"]), told["parameters"]
    assert all(one["description"] for one in told["responses"].values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_a_good_reply(name):
    told = OPERATIONS[name]["responses"]
    good = {status: one for status, one in told.items() if int(status) < 400}
    assert good
    for reply in good.values():
        content = reply.get("content", {})
        assert "schema" in content.get("application/json", {"schema": ""})
    assert not {"500"} & set(told)


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_what_the_schema_says(name):
    told = OPERATIONS[name]
    for media in told.get("requestBody", {}).get("content", {}).values():
        for example in media.get("examples", {}).values():
            check(example["value"], media["schema"])
    for parameter in told["parameters"]:
        if "example" in parameter:
            check(parameter["example"], parameter["schema"])


def check(value, schema):
    """Validate with the document's components; a key that they do not know is a mistake."""
    whole = {**strict(schema), "components": strict(DOCUMENT["components"])}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_every_variable_of_a_path_is_explained():
    names = set(re.findall(r"\{([a-z_]+)\}", " ".join(DOCUMENT["paths"])))
    assert names <= set(VARIABLES)


def test_every_tag_is_explained_and_used():
    used = {tag for told in OPERATIONS.values() for tag in told["tags"]}
    assert used == {tag["name"] for tag in DOCUMENT["tags"]}


def test_errors_of_a_table_have_a_body_and_say_when_to_come_back():
    answers = OPERATIONS["post_session"]["responses"]
    assert {"401", "403", "404", "406", "409", "413", "415", "503"} <= set(answers)
    assert "Retry-After" in answers["503"]["headers"]
    schema = answers["406"]["content"]["application/problem+json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Problem"}


def test_only_the_version_probe_is_open():
    assert [name for name, told in OPERATIONS.items() if not told["security"]] == ["get_version"]
