"""What a release is made of, made from this tree, and a clean environment that has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_sessmgr import __version__
from tests.meta.tree import tracked_names
from tests.plugins.clients import cache_folder, locked

ROOT = Path(__file__).parents[2]
#: Programs that an installation must do without.
NODE = {"node", "nodejs", "npm", "npx", "yarn", "corepack"}
#: How many builds are kept for the next run.
KEPT = 3


def run(command, *, env=None, cwd=None, timeout=300):
    """Run a program; fail with what it said when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{text[-4000:]}"
    return text


@dataclass(frozen=True)
class Artefacts:
    """What `python -m build` makes of this tree."""

    folder: Path

    @property
    def sdist(self):
        (made,) = self.folder.glob("*.tar.gz")
        return made

    @property
    def wheel(self):
        (made,) = self.folder.glob("*.whl")
        return made


@dataclass(frozen=True)
class Installation:
    """A clean virtual environment into which the wheel was installed."""

    folder: Path
    environ: dict[str, str]

    def run(self, *command, timeout=120):
        program, *words = command
        return run(
            [self.folder / "bin" / program, *words],
            env=self.environ,
            cwd=self.folder,
            timeout=timeout,
        )


def plain_environ(**changes):
    """Give this environment without what steers Python, pip's target, or Jupyter."""
    steering = ("JUPYTER", "PYTHON", "VIRTUAL_ENV", "XDG_", "SKIP_JUPYTER_BUILDER")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(steering)}, **changes}


def path_without_node(folder):
    """Give a PATH on which all programs are but Node's, by links in `folder`."""
    places = []
    for number, entry in enumerate(os.environ["PATH"].split(os.pathsep)):
        place = Path(entry)
        if any((place / name).exists() for name in NODE):
            mirror = folder / str(number)
            mirror.mkdir(parents=True)
            for program in place.iterdir():
                if program.name not in NODE:
                    (mirror / program.name).symlink_to(program)
            place = mirror
        places.append(str(place))
    path = os.pathsep.join(places)
    assert not any(shutil.which(name, path=path) for name in NODE)
    return path


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory):
    """Build the sdist of what is in version control, and the wheel from it, without Node.

    Once for each state of the tree: a later run finds it.
    """
    names = [name for name in tracked_names() if (ROOT / name).is_file()]
    inputs = hashlib.sha256(sys.version.encode())
    for name in names:
        inputs.update(name.encode() + b"\0" + hashlib.sha256((ROOT / name).read_bytes()).digest())
    folder = cache_folder().parent / "dist" / inputs.hexdigest()[:16]
    with locked(folder):
        if not folder.exists():
            made = tmp_path_factory.mktemp("build")
            _build(names, made)
            shutil.move(made / "dist", folder)
        _forget(folder.parent)
    return Artefacts(folder)


def _build(names, folder):
    tree = folder / "tree"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    modules = ROOT / "labextension" / "node_modules"
    if modules.is_dir():  # else npm fetches them
        shutil.copytree(
            modules,
            tree / "labextension" / "node_modules",
            symlinks=True,
            copy_function=_link,
        )
    node = run([ROOT / "scripts" / "node.sh"], cwd=ROOT).strip().splitlines()[-1]
    build = [sys.executable, "-m", "build", "--outdir", folder / "dist"]
    environ = plain_environ(PATH=f"{node}{os.pathsep}{os.environ['PATH']}")
    run([*build, "--sdist", tree], env=environ)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (folder / "unpacked").mkdir()
    run(["tar", "-xzf", sdist, "-C", folder / "unpacked"])
    (unpacked,) = (folder / "unpacked").iterdir()
    run([*build, "--wheel", unpacked], env=plain_environ(PATH=path_without_node(folder / "path")))


def _link(source, target):
    """Copy a file without its bytes, where the disk can."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _forget(folder):
    """Keep the builds that were made last."""
    builds = sorted(
        (path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
    )
    for path in builds[:-KEPT]:
        shutil.rmtree(path)
        path.with_suffix(".lock").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def wheel(artefacts):
    """Give the wheel alone."""
    return artefacts.wheel


@pytest.fixture(scope="session")
def installation(wheel, tmp_path_factory):
    """Install the wheel and JupyterLab into a virtual environment, with a home of its own.

    No Node is on its PATH.
    """
    folder = tmp_path_factory.mktemp("installation")
    venv = folder / "venv"
    kept = plain_environ(PATH=path_without_node(folder / "path"))
    run([sys.executable, "-m", "venv", venv])
    run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", f"{wheel}[lab]"], env=kept)
    (folder / "home").mkdir()
    path = f"{venv / 'bin'}{os.pathsep}{kept['PATH']}"
    return Installation(venv, {**kept, "HOME": str(folder / "home"), "PATH": path})


def later_release(wheel, folder, version):
    """Make the wheel of another release: this one's content, by another version."""
    stem = f"jupyter_sessmgr-{__version__}"
    made = folder / wheel.name.replace(stem, f"jupyter_sessmgr-{version}")
    told = ("/_version.py", "/METADATA", "/RECORD", "/package.json")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(told):
                content = content.replace(__version__.encode(), version.encode())
            new.writestr(name.replace(stem, f"jupyter_sessmgr-{version}"), content)
    return made


@dataclass(frozen=True)
class Deployment:
    """An environment into which wheels are installed; what they need is that of the tests."""

    folder: Path

    @property
    def python(self):
        return self.folder / "bin" / "python"

    def install(self, wheel):
        """Install a wheel as an admin does, over what is there."""
        pip = [sys.executable, "-m", "pip", f"--python={self.python}", "install", "--quiet"]
        run([*pip, "--no-deps", "--upgrade", wheel], env=plain_environ())


@pytest.fixture
def deployment(wheel, tmp_path):
    """Install the wheel beside what it needs, in a moment: nothing is fetched."""
    made = Deployment(tmp_path / "deployed")
    run([sys.executable, "-m", "venv", "--without-pip", made.folder])
    made.install(wheel)
    place = {"base": str(made.folder), "platbase": str(made.folder)}
    packages = Path(sysconfig.get_path("purelib", vars=place))
    # After its own packages; a checkout that is there in place of one does not count.
    (packages / "needs.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return made
