"""The documentation as a site: it builds without a warning, and what it needs is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from urllib.parse import urlsplit

import pytest

from tests.meta.tree import DOCS, ROOT, package_sources, page, texts_of

#: What a stranger looks for.
HOW_TO = [
    "install", "images", "presets-and-limits", "gpus", "mounts", "services", "jupyterhub",
    "remote-docker", "security", "back-up", "upgrade", "debug-a-start", "uninstall",
]  # fmt: skip
EXPLANATION = ["durability", "isolation", "threat-model"]
_LINK = re.compile(r"\]\((?P<url>[a-z]+:[^)\s]*)\)")


def build(folder, *options):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky"]
    command += ["--quiet", "--conf-dir", str(DOCS), "-d", str(folder / "doctrees"), *options]
    return subprocess.run(
        [*command, str(ROOT), str(folder / "site")],
        cwd=ROOT, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "docs/README.html" in (site / "index.html").read_text(encoding="utf-8")
    assert 'src="../_images/' in (site / "docs" / "tutorial.html").read_text(encoding="utf-8")


def test_links_to_other_sites_are_whole():
    wrong = []
    for path, text in texts_of(".md"):
        for found in _LINK.finditer(text):
            url = urlsplit(found["url"])
            if url.scheme not in {"https", "http"} or "." not in (url.hostname or ""):
                wrong.append(f"{path.name}: {found['url']}")
    assert wrong == []


@pytest.mark.parametrize("name", HOW_TO)
def test_there_is_a_how_to(name):
    assert f"](how-to/{name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXPLANATION)
def test_there_is_an_explanation(name):
    assert f"](explanation/{name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")


@cache
def said():
    """Join every text of the package, with "…" where something is filled in."""
    texts = []
    for path in package_sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(one, "value", None) for one in node.values]
                texts.append("".join(one if isinstance(one, str) else "…" for one in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub("%[ds]", "…", node.value))
    return "\n".join(texts)


@pytest.mark.parametrize("name", ["debug-a-start", "two-servers"])
def test_messages_that_are_explained_are_those_that_are_said(name):
    cells = [line.split("|")[1] for line in page(f"how-to/{name}.md").splitlines() if "|" in line]
    quoted = [one for cell in cells for one in re.findall('"([^"]+)"', cell)]
    assert quoted
    parts = [part.strip() for one in quoted for part in one.split("…")]
    assert [part for part in parts if part not in said()] == []


def test_every_page_can_be_found_from_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS) for folder in ("how-to", "explanation", "reference")
             for path in sorted((DOCS / folder).glob("*.md"))]  # fmt: skip
    assert [str(path) for path in pages if f"]({path})" not in index] == []


def test_the_security_policy_draws_the_line_of_trust():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "Who may create a session may run code on the Jupyter server anyway" in text
    assert "Not promised" in text
    assert "do not open a public issue" in text
