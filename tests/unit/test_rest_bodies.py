"""The strict body reader."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.bodies import MAX_DEPTH, read_object

#: Each is well-formed enough for some reader, or crashes one.
MALFORMED = {
    "not utf-8": b'{"a": "\xff"}',
    "overlong utf-8": b'{"a": "\xc0\xaf"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a list": b"[1]",
    "a text": b'"a"',
    "null": b"null",
    "a number": b"1",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "twice the same key": b'{"a": 1, "a": 2}',
    "twice the same key inside": b'{"a": {"b": 1, "b": 1}}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "half a surrogate pair as a key": b'{"\\ud800": 1}',
    "NUL": b'{"a": "x\\u0000"}',
    "a raw control character": b'{"a": "x\ny"}',
    "cut short": b'{"a": ',
    "trailing garbage": b'{"a": 1} x',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1 /* */}',
    "2**63": b'{"a": 9223372036854775808}',
    "a number of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "too deep": b'{"a":' * 33 + b"1" + b"}" * 33,
    "much too deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


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
