"""The strict body reader."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.bodies import MAX_DEPTH, read_object
from tests.plugins.bodies import MALFORMED


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_bodies_are_invalid_requests(body):
    with pytest.raises(InvalidRequest):
        read_object(body)


def test_what_is_well_formed_is_read():
    deep = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read_object(deep)
    assert read_object(b"") == read_object(b" \n") == {}
    assert read_object('{"ä": "☃ \U0001f600"}'.encode()) == {"ä": "☃ \U0001f600"}
    assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert read_object(b'{"a": 0.1, "b": 9223372036854775807}') == {
        "a": Decimal("0.1"),
        "b": 2**63 - 1,
    }
