"""What the browser's part is made of: themes' colours, and little to download."""

from __future__ import annotations

import re

from tests.meta.tree import ROOT, texts_of
from tests.plugins.built import STATIC, download

FRONT = ROOT / "labextension"
#: Most bytes of all that browsers fetch, compressed.
MOST = 300_000
COLOUR = re.compile(
    r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|hwb|lab|lch|oklch|color)a?\("
    r"|:[^;{}]*\b(?:black|white|gr[ae]y|red|green|blue|yellow|orange|purple|silver)\b"
)


def test_all_colours_are_the_theme_s():
    sheets = [(p, text) for p, text in texts_of(".css") if p.is_relative_to(FRONT / "style")]
    assert sheets
    found = {path.name: COLOUR.findall(text) for path, text in sheets}
    assert {name: colours for name, colours in found.items() if colours} == {}
    assert COLOUR.search("color: #fff") is not None
    assert COLOUR.search("border: 1px solid red;") is not None


def test_it_is_a_small_download():
    assert STATIC.is_dir(), "build the browser's part first: make check"
    assert 0 < download() <= MOST


def test_its_map_is_true():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.partition("`labextension/src/`,")[2].split("\n\n")[1]
    there = list((FRONT / "src").rglob("*.ts*"))
    folders = {f"{path.parent.name}/" for path in there if path.parent.name != "src"}
    assert set(re.findall(r"`([a-z]+/?)`", rows)) == {path.stem for path in there} | folders
