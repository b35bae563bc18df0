"""What others call says what it promises. (Their form is ruff's to check.)"""

from __future__ import annotations

import ast

from tests.meta.tree import ROOT, package_sources

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def public(node, where=""):
    """List the public classes and functions of a module, with their places."""
    for child in getattr(node, "body", ()):
        if isinstance(child, (ast.ClassDef, *_FUNCTIONS)) and not child.name.startswith("_"):
            name = f"{where}.{child.name}"
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, name)


def test_everything_public_says_what_it_is_for():
    bare = []
    for path in package_sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(ROOT).as_posix()
        bare += [where] if ast.get_docstring(tree) is None else []
        bare += [where + name for name, node in public(tree) if not ast.get_docstring(node)]
    assert bare == []


def test_the_first_line_of_a_docstring_is_a_sentence():
    odd = []
    for path in package_sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, node in public(tree):
            first = (ast.get_docstring(node) or "x.").split("\n")[0]
            if not first.endswith((".", ":", "!", "?")):
                odd.append(f"{path.relative_to(ROOT)}{name}: {first}")
    assert odd == []
