"""THREATS E12: XML is only ever written, and what is written can be read."""

from __future__ import annotations

import re

from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessmgr.rest.hpcpack import markup, wire
from tests.meta.tree import PACKAGE

_LEGAL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@given(st.text(st.characters(), max_size=50), st.text("ab&<>\"'\0", max_size=20))
def test_E12_any_text_can_be_read_again(message, namespace):
    plain = "".join(_LEGAL.findall(message))
    root = fromstring(wire.fault_xml(wire.render_fault(1, message), f"urn:x{namespace}"))
    expected = plain.replace("{", "(").replace("}", ")")
    assert (root[1].text or "") == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=10,
    )
)
def test_E12_any_value_can_be_read_again(value):
    root = fromstring(markup.element("r", markup.tree("v", value), xmlns_i=markup.INSTANCE))
    assert root[0].tag == "v"
    if isinstance(value, str):
        assert (root[0].text or "") == "".join(_LEGAL.findall(value))


def test_E12_nothing_of_ours_reads_xml():
    readers = re.compile(r"^\s*(?:from|import)\s+\S*(?:xml|minidom|sax|expat|lxml)\b", re.MULTILINE)
    names = re.compile(r"ElementTree|minidom|xml\.sax|expat|lxml")
    guilty = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if readers.search(text := path.read_text(encoding="utf-8")) or names.search(text)
    ]
    assert guilty == []
