"""All that the browser's part says to people can be translated."""

from __future__ import annotations

import re

import pytest

from tests.meta.tree import ROOT, texts_of

SOURCE = ROOT / "labextension" / "src"
#: What is read aloud or shown, as attributes, properties, or arguments of what shows it.
NAMES = (
    "alt|aria-label|ariaLabel|body|caption|description|innerText|label|labelTitle|okLabel|"
    "placeholder|textContent|title|tooltip"
)
LITERAL = (
    r"""(?:'[^'\n]*[A-Za-z]{2}[^'\n]*'|"[^"\n]*[A-Za-z]{2}[^"\n]*"|`[^`$\n]*[A-Za-z]{2}[^`$\n]*`)"""
)
#: Text between tags, before the end tag or something that is put in.
TAGGED = re.compile(r"(?<![=-])>([^<>{}();=]*[A-Za-z]{2}[^<>{}();=]*)(?=</|\{)")
PATTERNS = (
    re.compile(rf"\b(?:{NAMES})\s*(?:=|:)\s*{LITERAL}"),
    re.compile(rf"setAttribute\('(?:aria-label|title|alt)',\s*{LITERAL}"),
    re.compile(rf"Notification\.\w+\(\s*{LITERAL}"),
    re.compile(rf"setCustomValidity\(\s*{LITERAL}"),
)
#: Of plugins and tokens: developers read it.
FOR_DEVELOPERS = re.compile(r"^\s*description: ")


def untranslated(text, suffix=".tsx"):
    """Return what stands in a source text for people to read, as it is."""
    lines = [line for line in text.splitlines() if not FOR_DEVELOPERS.match(line)]
    code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", "\n".join(lines), flags=re.DOTALL)
    patterns = (TAGGED, *PATTERNS) if suffix == ".tsx" else PATTERNS
    return [found.group().strip() for one in patterns for found in one.finditer(code)]


def sources():
    """Read the browser's part: its path and text."""
    return [(p, text) for p, text in texts_of(".ts", ".tsx") if p.is_relative_to(SOURCE)]


def test_all_words_are_translated():
    found = {
        str(path.relative_to(SOURCE)): untranslated(text, path.suffix) for path, text in sources()
    }
    assert len(found) > 10
    assert {path: words for path, words in found.items() if words} == {}


def test_words_are_of_one_domain():
    domains = [one for _, text in sources() for one in re.findall(r"\.load\('([^']*)'\)", text)]
    assert domains == ["jupyter_sessmgr"]


def test_only_whole_texts_are_translated():
    """Translators' tools find words only where a call has them as they are."""
    call = re.compile(r"(?<!_)\b_(?:_|_n|n|p|np)\(\s*+(?!['\"])")
    found = {str(p.relative_to(SOURCE)): call.findall(text) for p, text in sources()}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "words",
    [
        "<p>Hello there</p>",
        "<p>Name {name}</p>",
        "title: 'Stop it'",
        'aria-label="Stop"',
        "title='Go'",
    ],
)
def test_the_eye_for_words(words):
    assert untranslated(words) != []
    assert untranslated("<p>{trans.__('Hello')}</p>, title={trans.__('Stop')}") == []
