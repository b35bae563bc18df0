"""Rows hold every field of the models, and nothing readable of an environment's values."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.ports import Endpoint, ServicePort
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import (
    ComputeSession,
    KernelExit,
    Place,
    SessionSpec,
    StatusNote,
)
from jupyter_sessmgr.model.status import FINAL
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.store import rows
from jupyter_sessmgr.store.queries import load_migrations, load_queries, parse_queries
from tests.plugins.stores import ReversingCipher, a_full_session, a_place, a_session

MODELS = {
    Mount,
    Endpoint,
    ServicePort,
    Resources,
    ComputeSession,
    KernelExit,
    Place,
    SessionSpec,
    StatusNote,
    Usage,
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = {
    str: TEXT,
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
}


def values_of(hint):
    """Make a strategy for a model's field, from its type alone."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint]
    if hint in MODELS:
        hints = get_type_hints(hint)
        return st.builds(
            hint, **{field.name: values_of(hints[field.name]) for field in fields(hint)}
        )
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if type(None) in args:
        return st.none() | values_of(next(one for one in args if one is not type(None)))
    if len(args) == 2:
        return st.dictionaries(TEXT, values_of(args[1]), max_size=3).map(MappingProxyType)
    return st.sampled_from(hint)


@settings(deadline=None)
@given(values_of(ComputeSession))
def test_every_session_comes_back_from_its_row(session):
    session = replace(session, number=abs(session.number))
    row = rows.session_row(session, ReversingCipher())
    assert all(value is None or type(value) in (str, int, float) for value in row.values())
    row = row | {"number": session.number}
    assert rows.session_from_row(row, ReversingCipher()) == session


@settings(deadline=None)
@given(values_of(Place))
def test_every_place_comes_back_from_its_row(place):
    assert rows.place_from_row(rows.place_row(place)) == place


@settings(deadline=None)
@given(values_of(ComputeSession))
def test_what_is_storable_is_left_alone(session):
    assert rows.storable(session) is session


@settings(deadline=None)
@given(st.text(), st.integers(), st.floats())
def test_S8_facts_of_any_kind_become_storable(text, number, moment):
    session = a_session(log_tail=text, status_info=text, queries=number, last_active_at=moment)
    mended = rows.storable(session)
    mended.log_tail.encode()
    assert abs(mended.queries) < 2**63
    assert rows.storable(mended) is mended


def test_a_full_session_differs_from_the_defaults_in_every_field():
    def same_as_default(value):
        for field in fields(value):
            default = field.default
            if field.default_factory is not MISSING:
                default = field.default_factory()
            inner = getattr(value, field.name)
            if is_dataclass(inner):
                yield from same_as_default(inner)
            elif inner == default:
                yield field.name

    wishes_and_more = {"goal", "generation", "forced", "status", "number", "revision"}
    assert set(same_as_default(a_full_session())) - wishes_and_more == set()


def test_every_field_has_its_column_and_its_writer():
    names = {field.name for field in fields(ComputeSession)}
    parts = (rows.FIXED, rows.WISHES, rows.FACTS, ("number", "revision"))
    assert sum(len(part) for part in parts) == len(names)
    assert {name for part in parts for name in part} == names


def parameters(query):
    return set(re.findall(r":([a-z_]+)", load_queries()[query]))


def test_the_statements_write_what_they_should():
    every = {field.name for field in fields(ComputeSession)}
    assert parameters("add_session") == every | set(rows.TAKINGS)
    assert parameters("save_wish") == {"id", *rows.WISHES}
    assert parameters("save_facts") == {"id", *rows.FACTS}
    assert parameters("save_place") == {field.name for field in fields(Place)}


def test_sql_and_model_agree_on_what_is_final():
    texts = [*load_queries().values(), *(one.script for one in load_migrations())]
    lists = [
        set(re.findall(r"'([A-Z]+)'", one))
        for text in texts
        for one in re.findall(r"status NOT IN \((.*?)\)", text)
    ]
    assert len(lists) == 4
    assert all(one == {str(status) for status in FINAL} for one in lists)


def test_values_of_environ_lie_sealed_and_their_names_do_not():
    session = a_full_session()
    row = rows.session_row(session, ReversingCipher())
    environ = json.loads(row["spec"])["environ"]
    assert set(environ) == set(session.spec.environ)
    assert all(text.startswith("sealed:") for text in environ.values())
    assert all("héllo" not in str(value) for value in row.values())


def test_another_installations_row_is_not_read():
    row = rows.session_row(a_full_session(number=1), ReversingCipher("one"))
    with pytest.raises(ValueError, match="not sealed"):
        rows.session_from_row(row, ReversingCipher("other"))


def changed_spec(**changes):
    row = rows.session_row(a_full_session(number=1), ReversingCipher())
    return row | {"spec": json.dumps(json.loads(row["spec"]) | changes)}


def test_unknown_keys_are_ignored_and_missing_ones_have_their_defaults():
    row = changed_spec(colour="green", resources={"mem": 7, "colour": "green"})
    spec = rows.session_from_row(row, ReversingCipher()).spec
    assert spec.resources == Resources(mem=7)
    assert spec.image == "example/image:1"
    assert spec.environ == {"GREETING": "héllo\n", "EMPTY": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"image": 5},
        {"image": None},
        {"network": "wide"},
        {"mounts": {}},
        {"mounts": [{"name": "home"}]},
        {"environ": []},
        {"environ": {"A": 1}},
        {"durable": "yes"},
        {"cluster_size": 1.5},
        {"cluster_size": True},
        {"resources": {"cpu": "many"}},
        {"resources": {"devices": {"cuda.device": "two"}}},
    ],
)
def test_a_row_that_makes_no_sense_is_said_to(changes):
    with pytest.raises(ValueError, match=r".+"):
        rows.session_from_row(changed_spec(**changes), ReversingCipher())


@pytest.mark.parametrize(
    "changes",
    [{"status": "LOST"}, {"goal": None}, {"spec": "{"}, {"spec": "[]"}, {"endpoints": None}],
)
def test_a_column_that_makes_no_sense_is_said_to(changes):
    row = rows.session_row(a_full_session(number=1), ReversingCipher()) | changes
    with pytest.raises(ValueError, match=r".+"):
        rows.session_from_row(row, ReversingCipher())


def test_a_place_that_makes_no_sense_is_said_to():
    with pytest.raises(ValueError, match="LOST"):
        rows.place_from_row(rows.place_row(a_place()) | {"state": "LOST"})


def test_a_new_kind_of_field_must_be_taught_first():
    @dataclass(frozen=True)
    class Odd:
        thing: object

    with pytest.raises(TypeError, match="bytes"):
        rows.to_plain(Odd(b""))


def test_every_query_tells_what_it_is_for_and_stands_once():
    assert len(load_queries()) > 20
    for broken in (
        "-- name: a\nSELECT 1;",
        "-- name: a\n-- nothing",
        "-- name: a\n-- x\nSELECT 1;\n" * 2,
    ):
        with pytest.raises(ValueError, match="query a"):
            parse_queries(broken)


def test_every_query_is_used():
    from importlib import resources

    import jupyter_sessmgr.store as package

    code = "".join(
        file.read_text() for file in resources.files(package).iterdir() if file.name.endswith(".py")
    )
    assert [name for name in load_queries() if f'"{name}"' not in code] == []


def test_migrations_are_numbered_without_gaps_and_say_their_number():
    found = load_migrations()
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    for one in found:
        assert f"PRAGMA user_version = {one.number};" in one.script
        assert one.script.count("BEGIN IMMEDIATE;") == one.script.count("COMMIT;") == 1
