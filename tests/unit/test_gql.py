"""GraphQL as stock clients write it, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported
from jupyter_sessmgr.model.session import SessionSpec, StatusNote
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai.gql import MAX_FIELDS, parse_query
from jupyter_sessmgr.rest.backendai.known import NOTHING
from jupyter_sessmgr.rest.backendai.queries import KEYPAIR, SESSION, Caller, Node, select
from jupyter_sessmgr.testing import make_session

LIST = """
query($limit:Int!, $offset:Int!, $ak:String, $status:String = "RUNNING", $l: [Int!]!) {
  compute_session_list(
      limit:$limit, offset:$offset, access_key:$ak, status:$status) {
    items { name id, mine: image } # a comment
    total_count
  }
}"""


def fields_of(text):
    """Read the fields of a session that a query asks for."""
    return parse_query("{" + text + "}", None)


def test_a_clients_query_is_understood():
    (field,) = parse_query(LIST, {"limit": 20, "offset": 0, "ak": None})
    assert field.name == field.key == "compute_session_list"
    assert field.arguments == {"limit": 20, "offset": 0, "access_key": None, "status": "RUNNING"}
    items, total = field.fields
    assert [(one.key, one.name) for one in items.fields] == [
        ("name", "name"),
        ("id", "id"),
        ("mine", "image"),
    ]
    assert total.name == "total_count"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('"a\\"b\\u00e9"', 'a"bé'),
        ("-5", -5),
        ("true", True),
        ("null", None),
        ("NAME", "NAME"),
        ('[1, "x"]', [1, "x"]),
    ],
)
def test_values_may_stand_in_the_query(value, read):
    (field,) = parse_query("query Name { a(x: " + value + ") }", None)
    assert field.arguments == {"x": read}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "}",
        "{a",
        "{a(}",
        "{a(x:)}",
        "{a(x:1}",
        "{a(x:1.5)}",
        "{a(x:12345678901234567890)}",
        '{a(x:"\\q")}',
        '{a(x:"open)}',
        "{a b c;}",
        "query($x) {a}",
        "query($x: [Int) {a}",
        "query($x: " + "[" * 15000 + ") {a}",
        "{1}",
        "{" * 20,
        "{a(x:" + "[" * 20 + ")}",
        "{" + "a " * (MAX_FIELDS + 1) + "}",
        "{" + " " * 2**15 + "a}",
        None,
        5,
    ],
)
def test_what_is_no_graphql_is_invalid(text):
    with pytest.raises(InvalidRequest):
        parse_query(text, None)


def test_variables_are_an_object():
    with pytest.raises(InvalidRequest, match="variables"):
        parse_query("{a}", [1])


@pytest.mark.parametrize(
    "text",
    [
        "mutation { a }",
        "subscription { a }",
        "{ ...F }",
        "{a @skip(if: true)}",
        "{a} {b}",
        "fragment F on S { a }",
    ],
)
def test_what_nobody_needs_is_unsupported(text):
    with pytest.raises(Unsupported):
        parse_query(text, None)


def node(**changes):
    return Node(session=make_session(**changes), known=NOTHING, base_url="/")


def test_every_field_of_a_session_can_be_asked_for():
    one = node(history=(StatusNote(status=SessionStatus.RUNNING, at=5.0),))
    answer = select(fields_of(" ".join(SESSION)), SESSION, one)
    assert list(answer) == list(SESSION)
    assert answer["id"] == answer["session_id"] == one.session.id
    assert answer["name"] == answer["sess_id"] == one.session.name
    assert answer["status_changed"] == "1970-01-01T00:00:05+00:00"
    for name in ("occupied_slots", "resource_opts", "service_ports", "live_stat"):
        json.loads(answer[name])
    json.dumps(answer | {"containers": []})


def test_containers_are_the_session_seen_from_inside():
    answer = select(fields_of("containers { id role status last_stat }"), SESSION, node())
    (container,) = answer["containers"]
    assert (container["role"], container["status"]) == ("main", "PENDING")
    assert json.loads(container["last_stat"])["cpu_used"] == 0


@pytest.mark.parametrize(
    ("kind", "status", "result"),
    [
        ("interactive", "TERMINATED", "UNDEFINED"),
        ("batch", "RUNNING", "UNDEFINED"),
        ("batch", "TERMINATED", "SUCCESS"),
        ("batch", "ERROR", "FAILURE"),
        ("batch", "CANCELLED", "FAILURE"),
    ],
)
def test_a_batch_session_has_a_result(kind, status, result):
    one = node(spec=SessionSpec(image="a", session_type=kind), status=SessionStatus(status))
    assert select(fields_of("result"), SESSION, one) == {"result": result}


def test_an_ended_session_occupies_nothing():
    one = node()
    ended = replace(one.session, status=SessionStatus.TERMINATED)
    assert json.loads(SESSION["occupied_slots"](replace(one, session=ended))) == {}


def test_of_a_key_pair_no_secret_is_told():
    caller = Caller(owner="ada", access_key="AK", is_admin=True)
    answer = select(
        fields_of("access_key secret_key is_admin user_info { full_name }"), KEYPAIR, caller
    )
    assert answer == {
        "access_key": "AK",
        "secret_key": None,
        "is_admin": True,
        "user_info": {"full_name": "ada"},
    }


def test_a_field_that_there_is_not_is_told():
    with pytest.raises(InvalidRequest, match="no field colour"):
        select(fields_of("colour"), SESSION, node())
