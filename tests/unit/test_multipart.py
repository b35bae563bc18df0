"""Forms are taken apart alike, however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.multipart import Begin, Data, End, MultipartReader, plain_name

BOUNDARY = "b-0"
contents = st.lists(
    st.sampled_from([b"x", b"\r", b"\n", b"-", b"--", b"\r\n--b", b"\r\n--b-", b"b-0", b"\0"]),
    max_size=12,
).map(b"".join)


def form(parts):
    text = b"preamble"
    for name, content in parts:
        head = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="src"; filename="{name}"'
        text += head.encode() + b"\r\nContent-Type: x/y\r\n\r\n" + content
    return text + f"\r\n--{BOUNDARY}--\r\nepilogue".encode()


def read(pieces):
    """Return (filename, content) of each part, and whether the form is whole."""
    reader = MultipartReader(f"multipart/form-data; boundary={BOUNDARY}")
    found, open_part = [], False
    for piece in pieces:
        for event in reader.feed(piece):
            match event:
                case Begin(filename=name):
                    found.append([name, b""])
                    open_part = True
                case Data(data=data):
                    assert open_part
                    found[-1][1] += data
                case End():
                    open_part = False
    assert not (reader.ended and open_part)
    return [tuple(one) for one in found], reader.ended


@given(st.lists(contents, max_size=3), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_form_is_read_alike_in_whatever_pieces(bodies, sizes):
    parts = [(f"f{number}", body) for number, body in enumerate(bodies)]
    text, pieces, start = form(parts), [], 0
    while start < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[start : start + size])
        start += size
    assert read(pieces) == (parts, True)
    assert read([text]) == (parts, True)
    if parts:
        assert read([text[: -len(b"--\r\nepilogue")]])[1] is False


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_junk_is_no_form_and_no_crash(pieces):
    try:
        found, whole = read(pieces)
    except InvalidRequest:
        return
    assert not found or not whole or b"--b-0" in b"".join(pieces)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("a%2Fb.txt", "a/b.txt"),
        ("%C3%A4.txt", "ä.txt"),
        ("50%.txt", "50%.txt"),
        ("a b%20c", "a b%20c"),
        ("plain.txt", "plain.txt"),
        ("a/b.txt", "a/b.txt"),
    ],
)
def test_names_are_unquoted_only_when_all_of_them_is_quoted(given, plain):
    assert plain_name(given) == plain
