"""The documentation as a site: `make docs` builds it and fails on any warning.

The source folder is the project's, so that pages link to each other, and to files of the project,
as they do where the repository is read. The pages need nothing of the generator's.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent

project = "jupyter_sessmgr"
copyright = "The jupyter_sessmgr developers"  # noqa: A001 - Sphinx's name for it
release = re.search(
    r'"(.+)"',
    (ROOT / "jupyter_sessmgr" / "_version.py").read_text(encoding="utf-8").splitlines()[-1],
)[1]
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = ["docs/conf.py"]
myst_heading_anchors = 4
myst_links_external_new_tab = True
html_theme = "furo"
html_title = f"jupyter_sessmgr {release}"
html_copy_source = False

#: The menu: what stands together, in the order of the pages' own index.
MENU = {
    "Start": ["/README", "tutorial", "how-to/install"],
    "How to": ["how-to/*"],
    "Reference": ["reference/*"],
    "Explanation": ["architecture", "explanation/*", "benchmarks", "adr/README"],
    "Project": ["/CHANGELOG", "/CONTRIBUTING", "/SECURITY"],
}


def add_menu(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the menu where the site has it; the pages themselves are plain Markdown."""
    if docname == root_doc:
        for caption, pages in MENU.items():
            lines = [
                "```{toctree}",
                ":hidden:",
                ":glob:",
                f":caption: {caption}",
                "",
                *pages,
                "```",
            ]
            source[0] += "\n\n" + "\n".join(lines) + "\n"
    elif docname == "docs/adr/README":
        source[0] += "\n\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"
    # A folder of the project is no page: its name is enough.
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./jupyter_sessmgr/\w+/?\)", r"\1", source[0])


def add_entry(app: Sphinx, exception: Exception | None) -> None:
    """Let the site's own address show its first page."""
    if exception is None:
        text = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/README.html">\n'
        (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Have Sphinx call what is above."""
    app.connect("source-read", add_menu)
    app.connect("build-finished", add_entry)
