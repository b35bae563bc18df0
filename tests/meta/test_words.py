"""What is written in the tree: about the project alone, and proofread as far as a test can."""

from __future__ import annotations

import ast
import io
import re
import tokenize

import pytest

from tests.meta.tree import DOCS, ROOT, texts_of

#: Hosts that text of this project may name. Not among them: registries and proxies of whoever
#: builds it.
HOSTS = {
    "127.0.0.1",
    "api.backend.ai",
    "docker",  # what curl is told when it speaks to the engine's socket file
    "events.jupyter.org",
    "github.com",
    "hpc.microsoft.com",  # a namespace, as the next two of this kind: nobody is asked there
    "json-schema.org",
    "jupyter.org",
    "jupyter-server.readthedocs.io",
    "keepachangelog.com",
    "localhost",
    "opensource.org",
    "pypi.org",  # where a conda recipe has its sources from
    "schemas.datacontract.org",
    "schemas.microsoft.com",
    "semver.org",
    "www.w3.org",
}
#: Reserved for examples and tests (RFC 2606), so they are nobody's.
RESERVED_HOSTS = re.compile(
    r"(?:.*\.)?(?:example|evil|test|invalid|localhost)(?:\.(?:com|org|net))?"
)
URL = re.compile(r"\b(?:https?|wss?)://([A-Za-z0-9.-]+)")
#: Folders of one machine. The brackets keep this file from matching itself.
MACHINE = re.compile("/[w]ork/(?:main|shared)|[s]essvenv")
#: Generated, with hosts of the packages' own home pages.
LOCKS = {"package-lock.json"}
TWICE = re.compile(r"\b([A-Za-z]{2,})[ \t]+\1\b(?![-_(.])")
PROSE = {".md", ".py", ".ts", ".tsx", ".yaml", ".yml", ".toml"}


def lines_that(pattern, text):
    return [line.strip()[:120] for line in text.splitlines() if pattern.search(line)]


def test_no_folder_of_a_machine_is_named():
    found = {str(p.relative_to(ROOT)): lines_that(MACHINE, text) for p, text in texts_of()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_only_known_hosts_are_named():
    found = {}
    for path, text in texts_of():
        if path.name in LOCKS:
            assert '"resolved"' not in text, f"{path.name} names a registry"
            continue
        hosts = {host.lower().rstrip(".") for host in URL.findall(text)}
        strange = {h for h in hosts if h not in HOSTS and not RESERVED_HOSTS.fullmatch(h)}
        if "tests" in path.parts:  # made-up machines of one word
            strange = {host for host in strange if "." in host}
        if strange:
            found[str(path.relative_to(ROOT))] = sorted(strange)
    assert found == {}


def test_no_index_is_configured():
    pattern = re.compile(
        r"^\s*(?:--(?:extra-)?index-url|index-url\s*=|registry\s*=\s*\S*://)", re.MULTILINE
    )
    assert [str(p.relative_to(ROOT)) for p, text in texts_of() if pattern.search(text)] == []


def test_no_word_stands_twice():
    found = {}
    for path, text in texts_of(*PROSE):
        lines = lines_that(TWICE, prose_of(path, text))
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}


def prose_of(path, text):
    """Keep what people read as sentences: pages, docstrings, comments."""
    if path.suffix == ".md":
        return re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        told = [token.string for token in tokens if token.type == tokenize.COMMENT]
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, documented))
        return "\n".join([*told, *(ast.get_docstring(node) or "" for node in nodes)])
    return "\n".join(re.findall(r"(?:#|//|^\s*\*) .*$", text, re.MULTILINE))


def test_the_eye_for_doubled_words():
    text = '"""Say the the word."""\nproc = "proc proc"  # is is\n'
    path = ROOT / "x.py"
    assert lines_that(TWICE, prose_of(path, text)) == ["# is is", "Say the the word."]


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX"])
def test_nothing_is_left_for_later_in_comments(word):
    pattern = re.compile(rf"(?:#|//|\*|<!--)\s*{word}\b")
    assert [str(p.relative_to(ROOT)) for p, text in texts_of() if pattern.search(text)] == []


def test_links_between_pages_lead_somewhere():
    broken = []
    for path, text in texts_of(".md"):
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
        gone = [one for one in targets if "://" not in one and not (path.parent / one).exists()]
        broken.extend(f"{path.relative_to(ROOT)} -> {target}" for target in gone)
    assert broken == []


def test_every_page_can_be_reached():
    pages = set(DOCS.rglob("*.md"))
    seen, queue = set(), [DOCS / "README.md"]
    while queue:
        path = queue.pop()
        if path in seen or path.suffix != ".md" or not path.exists():
            continue
        seen.add(path)
        targets = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        queue.extend((path.parent / one).resolve() for one in targets if "://" not in one)
    assert pages - seen == set()
