"""How the OpenAPI document is made: schemas of types, answers of the table of errors."""

from __future__ import annotations

import json
from typing import Annotated, NotRequired, TypedDict

import jsonschema
import pytest
from msgspec import Meta
from tornado.web import RequestHandler

from jupyter_sessmgr.model.errors import EngineUnavailable, InvalidRequest, LimitExceeded, NameTaken
from jupyter_sessmgr.rest.openapi.areas import BACKENDAI, HPCPACK, OURS, area_of
from jupyter_sessmgr.rest.openapi.document import described, make_document, operation_id
from jupyter_sessmgr.rest.openapi.failures import failures
from jupyter_sessmgr.rest.openapi.schemas import Schemas
from jupyter_sessmgr.rest.operations import Operation, Parameter, Reply, operation
from jupyter_sessmgr.rest.routing import Route


class Inner(TypedDict):
    """What is inside."""

    zebra: int
    ant: NotRequired[str | None]


class Outer(TypedDict, total=False):
    """What is outside."""

    second: Inner
    first: Annotated[list[Inner], Meta(description="Many.")]
    anything: object


def test_keys_stand_as_they_were_written():
    schemas = Schemas()
    assert schemas.of(Outer) == {"$ref": "#/components/schemas/Outer"}
    assert list(schemas.components["Outer"]["properties"]) == ["second", "first", "anything"]
    assert list(schemas.components["Inner"]["properties"]) == ["zebra", "ant"]
    assert schemas.components["Inner"]["required"] == ["zebra"]
    assert schemas.components["Outer"]["required"] == []


def test_an_object_is_anything():
    schema = Schemas().of(object)
    for value in (None, 1, "x", [], {}):
        jsonschema.validate(value, schema)


def test_one_of_several_objects():
    schemas = Schemas()
    refs = [one["$ref"].rpartition("/")[2] for one in schemas.of(Inner | Outer)["anyOf"]]
    assert refs == ["Inner", "Outer"]
    assert set(refs) <= set(schemas.components)


def test_two_types_of_one_name_are_an_error():
    schemas = Schemas()
    schemas.of(Inner)
    other = TypedDict("Inner", {"other": int})  # noqa: UP013 - a class here would hide the first
    with pytest.raises(ValueError, match="Inner"):
        schemas.of(other)


class Plain(RequestHandler):
    """Says nothing of itself."""

    def get(self):
        """Do nothing."""


class Told(RequestHandler):
    """Says something."""

    needs_sessions = True

    @operation(
        parameters=(Parameter("limit", int, "How many.", example=7),),
        replies={200: Reply("It.", Inner)},
    )
    def get(self):
        """Give it.

        And more.
        """

    @operation(
        body=Outer,
        examples={"none": {}},
        replies={204: Reply("Done.")},
        errors=(LimitExceeded, NameTaken),
        statuses={410: "It was."},
        deprecated=True,
    )
    def post(self):
        """Do it."""


ROUTES = (
    Route("/sessmgr/thing/{reference}", Told),
    Route("/sessmgr/other/{reference}", Told, alias=True),
    Route("/sessmgr/plain", Plain),
)


@pytest.fixture
def document(monkeypatch):
    # These handlers stand in no area of the package.
    monkeypatch.setattr("jupyter_sessmgr.rest.openapi.document.area_of", lambda _: AREA)
    return make_document(ROUTES, base_url="/base/")


AREA = area_of(make_document)


def test_what_says_nothing_and_aliases_are_left_out(document):
    assert list(document["paths"]) == ["/sessmgr/thing/{reference}"]
    assert [(route.path, method) for route, method, _ in described(ROUTES)] == [
        ("/sessmgr/thing/{reference}", "get"),
        ("/sessmgr/thing/{reference}", "post"),
    ]


def test_an_operation_is_what_was_said(document):
    told = document["paths"]["/sessmgr/thing/{reference}"]
    assert told["get"]["summary"] == "Give it"
    assert told["get"]["description"] == "Give it.\n\nAnd more."
    assert [one["name"] for one in told["get"]["parameters"]] == ["reference", "limit"]
    assert told["get"]["parameters"][1]["example"] == 7
    assert "requestBody" not in told["get"]
    assert told["post"]["deprecated"] is True
    body = told["post"]["requestBody"]
    assert body["required"] is False
    assert body["content"]["application/json"]["examples"] == {"none": {"value": {}}}
    assert told["post"]["responses"]["204"] == {"description": "Done."}
    assert told["post"]["responses"]["410"]["description"] == "It was."
    json.dumps(document)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("get", "/sessmgr", "get_version"),
        (
            "post",
            "/sessmgr/session/{reference}/start-service",
            "post_session_reference_start_service",
        ),
        ("get", "/WindowsHpc/Clusters", "get_windowshpc_clusters"),
    ],
)
def test_operations_are_named_by_method_and_path(method, path, name):
    assert operation_id(method, path) == name


def answers(dialect, *errors, statuses=None, method="get", **said):
    told = Operation(replies={}, errors=errors, **said)
    return failures(ROUTES[0], method, told, dialect, statuses=statuses or {}, schemas=Schemas())


def test_an_admins_statuses_count_in_one_dialect_only():
    chosen = {InvalidRequest: 401, NameTaken: 400}
    told = answers(BACKENDAI, InvalidRequest, NameTaken, statuses=chosen)
    assert "invalid-api-params" in told["401"]["description"]
    assert "session-already-exists" in told["400"]["description"]
    told = answers(OURS, InvalidRequest, NameTaken, statuses=chosen)
    assert "invalid-api-params" in told["400"]["description"]
    assert "session-already-exists" in told["409"]["description"]


def test_a_slug_stands_once_before_all_that_it_means():
    text = answers(OURS, EngineUnavailable)["503"]["description"]
    assert text.count("`service-unavailable`") == 1
    assert "The engine does not answer." in text


def test_who_comes_too_often_or_too_early_is_told_when_to_come_back():
    told = answers(OURS)
    assert [status for status, one in told.items() if "headers" in one] == ["503"]


def test_what_changes_something_may_be_of_the_wrong_type():
    assert {"413", "415"} <= set(answers(OURS, method="post"))
    assert not {"413", "415"} & set(answers(OURS))


def test_what_is_open_refuses_nobody():
    assert not {"401", "403"} & set(answers(OURS, is_open=True))


def test_faults_are_xml_and_json():
    assert set(answers(HPCPACK)["404"]["content"]) == {"application/xml", "application/json"}


@pytest.fixture
def server(inside):
    return inside(SessMgrApp={"invalid_parameters_status": 400})


async def test_the_document_is_served_as_this_server_is(server):
    reply = await server.ask("GET", "sessmgr/api/openapi.json")
    assert reply.code == 200
    assert reply.headers["Content-Type"].startswith("application/json")
    told = json.loads(reply.body)
    assert told["servers"] == [{"url": server.app.base_url.rstrip("/")}]
    answers = told["paths"]["/sessmgr/session"]["post"]["responses"]
    assert "invalid-api-params" in answers["400"]["description"]
    assert server.app.web_app.settings["sessmgr_rest"].openapi() == reply.body
