"""Request bodies that are not what they should be."""

#: Each is well-formed enough for some reader, or crashes one (THREATS E10).
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
