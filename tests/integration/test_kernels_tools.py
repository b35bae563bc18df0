"""Remote kernels in the tools that people have: nbclient, papermill, the console."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from tests.plugins.kernels import ENGINES, KERNEL
from tests.plugins.waiting import eventually

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def notebook(*cells):
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made.metadata["kernelspec"] = {
        "name": KERNEL,
        "display_name": "Python (remote)",
        "language": "python",
    }
    return made


def text_of(made):
    return "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in made.cells
        for output in cell.get("outputs", [])
    )


async def test_nbclient_runs_a_notebook_with_widgets_and_leaves_nothing(outside):
    made = notebook(
        "print(open('data.csv').read())",
        "import ipywidgets; w = ipywidgets.IntSlider(3); w",
        "w.value = 5; w.value",
    )
    (outside.folder / "data.csv").write_text("1,2")
    resources = {"metadata": {"path": str(outside.folder)}}
    client = NotebookClient(made, kernel_name=KERNEL, resources=resources, timeout=60)
    try:
        await client.async_execute()
    except CellExecutionError as error:
        if "No module named 'ipywidgets'" not in str(error):
            raise
        made = notebook("print(open('data.csv').read())", "5")
        client = NotebookClient(made, kernel_name=KERNEL, resources=resources, timeout=60)
        await client.async_execute()
    assert "1,2" in text_of(made)
    assert "5" in text_of(made)
    await eventually(lambda: outside.live() == [])


async def test_nbclient_notices_a_kernel_that_dies(outside):
    client = NotebookClient(notebook("import os; os._exit(9)"), kernel_name=KERNEL, timeout=60)
    with pytest.raises(DeadKernelError):
        await client.async_execute()
    await eventually(lambda: outside.live() == [])


def run(outside, *command, stdin=""):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=outside.folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_papermill_runs_with_parameters(outside):
    made = notebook("a = 1", "print('sum', a + 41)")
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, outside.folder / "in.ipynb")
    run(outside, "papermill", "in.ipynb", "out.ipynb", "-p", "a", "1", "-k", KERNEL)
    assert "sum 42" in text_of(nbformat.read(outside.folder / "out.ipynb", as_version=4))


def test_the_console_runs_code(outside):
    told = run(
        outside,
        "jupyter_console",
        "--kernel",
        KERNEL,
        "--simple-prompt",
        stdin="print(6 * 7)\nimport os; print(os.getpid() > 0)\nexit\n",
    )
    assert "42" in told
    assert "True" in told


def test_a_program_that_forgets_its_kernel_leaves_no_session(outside):
    program = (
        "import sys\n"
        "from jupyter_client import KernelManager\n"
        f"km = KernelManager(kernel_name={KERNEL!r}); km.start_kernel()\n"
        "print('started', km.kernel_id); sys.stdout.flush()\n"
    )
    (outside.folder / "forgetful.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "forgetful.py"],
        cwd=outside.folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "started" in done.stdout, done.stderr
    assert outside.places() == []


def test_files_of_the_admin_configure_tools_without_a_server(outside):
    config = json.loads(outside.config_path.read_text())
    config["AdmissionControl"] = {"presets": {"python": {"environ": {"FROM_THE_ADMIN": "seen"}}}}
    outside.config_path.write_text(json.dumps(config))
    nbformat.write(
        notebook("import os; print(os.environ.get('FROM_THE_ADMIN'))"), outside.folder / "in.ipynb"
    )
    run(outside, "papermill", "in.ipynb", "out.ipynb", "-k", KERNEL)
    assert "seen" in text_of(nbformat.read(outside.folder / "out.ipynb", as_version=4))
