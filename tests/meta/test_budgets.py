"""No file, class or function may grow without limit."""

from __future__ import annotations

import ast

from tests.meta.tree import ROOT, package_sources

FILE_LINES, CLASS_METHODS, FUNCTION_LINES = 400, 15, 40

#: What may be larger, and why. A line that is no longer needed fails, too.
EXCEPTIONS: dict[str, str] = {
    "jupyter_sessmgr/provisioning/provisioner.py:SessionProvisioner": (
        "eleven are jupyter_client's contract, and the rest share its state"
    ),
    "jupyter_sessmgr/engines/docker/opening.py:_assemble": (
        "one flat list of what an open engine is made of, in the order of need"
    ),
}


def measure(path):
    source = path.read_text(encoding="utf-8")
    where = path.relative_to(ROOT).as_posix()
    if source.count("\n") > FILE_LINES:
        yield where, f"{source.count(chr(10))} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            methods = [
                m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            if len(methods) > CLASS_METHODS:
                yield f"{where}:{node.name}", f"{len(methods)} methods"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1 - docstring_lines(node)
            if lines > FUNCTION_LINES:
                yield f"{where}:{node.name}", f"{lines} lines"


def docstring_lines(node):
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return first.end_lineno - first.lineno + 1


def test_budgets():
    over = dict(item for path in package_sources() for item in measure(path))
    assert {where: what for where, what in over.items() if where not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) - set(over) == set(), "no longer needed"


def test_the_measure_sees_what_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.meta.test_budgets.ROOT", tmp_path)
    path = tmp_path / "large.py"
    body = "\n".join(f"    x{n} = {n}" for n in range(FUNCTION_LINES))
    methods = "\n".join(f"    def m{n}(self): ..." for n in range(CLASS_METHODS + 1))
    filler = "\n" * FILE_LINES
    path.write_text(f'def f():\n    """Do."""\n{body}\n\n\nclass C:\n{methods}\n{filler}')
    assert {where for where, _ in measure(path)} == {"large.py", "large.py:f", "large.py:C"}
