"""What `pip install .` leaves behind, and what `make` says where it cannot go on."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from jupyter_sessmgr import __version__
from tests.meta.tree import tracked_names
from tests.plugins.server import Servers

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_installing_enables_both_extensions_and_the_provisioner(installation):
    extensions = installation.run("jupyter", "server", "extension", "list")
    assert re.search(r"jupyter_sessmgr.*enabled", extensions), extensions
    assert re.search(rf"jupyter_sessmgr {re.escape(__version__)}.*OK", extensions), extensions
    lab = installation.run("jupyter", "labextension", "list")
    assert re.search(rf"jupyter-sessmgr v{re.escape(__version__)}.*enabled.*OK", lab), lab
    provisioners = installation.run("jupyter", "kernelspec", "provisioners")
    assert re.search(r"sessmgr-provisioner\s+jupyter_sessmgr\.", provisioners), provisioners


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kernel_runs_through_an_installed_server(installation, tmp_path_factory):
    python = installation.folder / "bin" / "python"
    servers = Servers(tmp_path_factory.mktemp("servers"), python=python)
    environ = {"PYTHONPATH": "", "PATH": installation.environ["PATH"]}
    try:
        server = servers.start(environ=environ)
        specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
        name = next(name for name in specs if name.startswith("sessmgr"))
        kernel = server.ask("POST", "api/kernels", json={"name": name}).json()
        code = "import os, jupyter_sessmgr; print(jupyter_sessmgr.__file__)"
        said = server.execute(kernel["id"], code)
        assert Path(said.strip()).is_relative_to(installation.folder), said
    finally:
        servers.clean()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installation_has_the_image_recipes(installation):
    code = "from jupyter_sessmgr.cli.image import find_recipe; print(find_recipe('python'))"
    found = Path(installation.run("python", "-c", code).strip())
    assert found.is_relative_to(installation.folder)
    assert (found / "requirements.txt").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_line_is_there(installation):
    assert "kernelspec" in installation.run("jupyter", "sessmgr", "--help")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_that_the_sdist_makes_is_this_tree(artefacts):
    wheel = zipfile.ZipFile(artefacts.wheel)
    made = {name: wheel.read(name) for name in wheel.namelist() if name.startswith("jupyter_se")}
    package = {
        name: (ROOT / name).read_bytes()
        for name in tracked_names()
        if name.startswith("jupyter_sessmgr/")
    }
    assert {name: made.get(name) for name in package} == package
    front = f"jupyter_sessmgr-{__version__}.data/data/share/jupyter/labextensions/jupyter-sessmgr/"
    with tarfile.open(artefacts.sdist) as sdist:
        prefix = f"jupyter_sessmgr-{__version__}/jupyter_sessmgr/labextension/"
        built = {
            one.name.removeprefix(prefix): sdist.extractfile(one).read()
            for one in sdist.getmembers()
            if one.isfile() and one.name.startswith(prefix)
        }
        shipped = {name.removeprefix(front): made[name] for name in made if name.startswith(front)}
        shipped.pop("install.json")
        assert shipped == built
    schemas = {path.name for path in (ROOT / "labextension" / "schema").glob("*.json")}
    assert {f"schemas/jupyter-sessmgr/{name}" for name in schemas} <= set(shipped)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_built_for_a_release_is_small_and_has_no_maps(artefacts):
    wheel = zipfile.ZipFile(artefacts.wheel)
    front = [one for one in wheel.infolist() if "labextensions" in one.filename]
    assert [one.filename for one in front if one.filename.endswith(".map")] == []
    assert sum(one.file_size for one in front) < 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_carries_what_runs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    data = f"jupyter_sessmgr-{__version__}.data/data"
    assert f"{data}/etc/jupyter/jupyter_server_config.d/jupyter_sessmgr.json" in names
    assert f"{data}/share/jupyter/labextensions/jupyter-sessmgr/install.json" in names
    assert "jupyter_sessmgr/py.typed" in names
    here = {path.name for path in (ROOT / "jupyter_sessmgr" / "event_schemas").glob("*.yaml")}
    assert here <= {Path(name).name for name in names}
    unwanted = re.compile(r"^(tests|bench|docs|\.ci|scripts)/|node_modules|jupyter_sessmgr/labext")
    assert [name for name in names if unwanted.search(name)] == []


def test_the_version_is_the_same_everywhere():
    package = json.loads((ROOT / "labextension" / "package.json").read_text())
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    tokens = (ROOT / "labextension" / "src" / "tokens.ts").read_text()
    assert package["version"] == lock["version"] == __version__
    assert f"VERSION = '{__version__}'" in tokens


def test_the_lock_names_no_registry():
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_only_one_file_of_the_browser_part_fetches():
    fetches = re.compile(r"\bfetch\(|makeRequest|XMLHttpRequest|new WebSocket")
    sources = sorted((ROOT / "labextension" / "src").glob("*.ts"))
    assert [path.name for path in sources if fetches.search(path.read_text())] == ["api.ts"]


def test_an_old_python_is_told_which_one_is_needed(tmp_path):
    said = _venv_with(tmp_path, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    assert "Python 3.11 or newer is needed" in said
    assert "Python 3.9.2" in said
    assert "make lab PYTHON=" in said


def test_a_missing_venv_package_is_named(tmp_path):
    said = _venv_with(
        tmp_path,
        'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac',
    )
    assert "apt-get install python3-venv" in said


def _venv_with(folder, script):
    """Run scripts/venv.sh with a stand-in for Python; return what it says while it fails."""
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        [ROOT / "scripts" / "venv.sh", folder / "venv", python],
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert not (folder / "venv").exists()
    return done.stderr


#: Names that differ between PyPI and conda-forge.
CONDA = {"docker": "docker-py"}


def test_the_conda_recipe_says_what_the_project_says():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, asked = told["project"], recipe["requirements"]
    python = f"python {project['requires-python']}"
    assert sorted(asked["run"]) == sorted([python, *map(_conda, project["dependencies"])])
    needed = [python, "pip", *map(_conda, told["build-system"]["requires"])]
    assert sorted(asked["host"]) == sorted(needed)
    assert recipe["context"]["version"] == __version__
    scripts = [f"{name} = {entry}" for name, entry in project["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["about"]["summary"] == project["description"]
    assert recipe["about"]["license"] == project["license"]


def _conda(requirement):
    name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+?)((?:>=|<).*)", requirement).groups()
    return f"{CONDA.get(name, name)} {bounds}"
