"""Build the images that come with the package: ``jupyter sessmgr image build``.

A recipe is a folder with a Dockerfile. Beside it may lie ``requirements.txt``, whose wheels are
fetched here, with this machine's pip settings, so that the build itself needs no network; and
``debian-packages.txt``, which says what the base has where no registry can be reached and
debootstrap makes it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jupyter_core.paths import jupyter_path

from jupyter_sessmgr.engines.docker.build import (
    BASE_NAME,
    INPUTS_LABEL,
    ImageBuilder,
    Progress,
    PythonInside,
)
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, InvalidRequest
from jupyter_sessmgr.model.images import check_reference

#: The Debian release that debootstrap makes.
SUITE = "bookworm"

#: Seconds that fetching wheels, or making a base, may take.
_DEADLINE = 1800

#: Seconds between two lines of a program that are passed on.
_PAUSE = 2.0

#: What a base is for needs no manuals; the licenses stay.
_LEFT_OUT = (
    "./proc/*", "./sys/*", "./dev/*", "./tmp/*", "./var/cache/apt/*", "./var/lib/apt/lists/*",
    "./var/log/*", "./usr/share/man/*", "./usr/share/info/*", "./usr/share/locale/*",
)  # fmt: skip


def build_image(
    docker_host: str,
    tag: str,
    progress: Progress,
    *,
    recipe: str = "python",
    base: str = "",
    again: bool = False,
) -> str:
    """Build an image of this package on a Docker engine, unless it is there already.

    Called by the command line; blocks for seconds to minutes.

    Parameters
    ----------
    docker_host : str
        The engine's address; "" means: as the docker client finds it.
    tag : str
        What the image is called: ``jupyter-sessmgr/python``.
    progress : Progress
        Told about every step, in words for people.
    recipe : str
        The name of a recipe of this package, or the path of a folder with a Dockerfile.
    base : str
        The image to build on; "" means the recipe's own, from a registry, or made with
        debootstrap where none can be reached.
    again : bool
        Build although an image from the same recipe is there.

    Returns
    -------
    str
        The image's id; "" when the image was up to date.

    Raises
    ------
    EngineUnavailable
        when no engine answers.
    EngineError
        when the build failed, or no base could be had; says what to do.
    InvalidRequest
        when the tag or the recipe makes no sense.
    """
    check_reference(tag)
    folder = find_recipe(recipe)
    inputs = fingerprint(folder, base)
    with ImageBuilder(docker_host, progress) as builder:
        labels = builder.labels(tag)
        if labels is not None and labels.get(INPUTS_LABEL) == inputs and not again:
            progress(f"{tag} is up to date", 1.0)
            return ""
        source = _base(builder, folder, base, progress)
        with tempfile.TemporaryDirectory(prefix="sessmgr-image-") as scratch:
            context = Path(scratch) / "context"
            shutil.copytree(folder, context)
            if (context / "requirements.txt").exists():
                _fetch_wheels(context, builder.ask_python(source), progress)
            built = builder.build(
                context, tag, arguments={"BASE": source}, labels={INPUTS_LABEL: inputs}
            )
        progress(f"{tag} is built", 1.0)
        return built


def find_recipe(recipe: str) -> Path:
    """Find a recipe's folder: a path, in the source tree, or where Jupyter's data is installed.

    Raises
    ------
    InvalidRequest
        naming the recipes there are.
    """
    if os.sep in recipe:
        places = [Path(recipe).expanduser()]
    else:
        places = [folder / recipe for folder in _recipe_folders()]
    for folder in places:
        if (folder / "Dockerfile").is_file():
            return folder
    known = sorted(
        {path.parent.name for at in _recipe_folders() for path in at.glob("*/Dockerfile")}
    )
    raise InvalidRequest(
        f"There is no image recipe {recipe!r:.80}. Known are: {', '.join(known) or 'none'}; or "
        "give the path of a folder with a Dockerfile."
    )


def fingerprint(folder: Path, base: str) -> str:
    """Name a recipe by its content: equal for equal files and base."""
    digest = hashlib.sha256(base.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(folder)} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _recipe_folders() -> list[Path]:
    checkout = Path(__file__).parent.parent.parent
    own = [checkout / "etc" / "images"] if (checkout / "pyproject.toml").is_file() else []
    return [*own, *(Path(place) for place in jupyter_path("sessmgr", "images"))]


def _base(builder: ImageBuilder, folder: Path, base: str, progress: Progress) -> str:
    """Return the name of a base image that is on the engine."""
    wanted = base or _default_base(folder)
    if builder.labels(wanted) is not None:
        return wanted
    own = f"{BASE_NAME}:{SUITE}-{fingerprint_of_packages(folder)}"
    if not base and builder.labels(own) is not None:
        progress(f"using the base image {own}", None)
        return own
    try:
        progress(f"pulling {wanted}", None)
        builder.pull(wanted)
    except EngineUnavailable:
        raise
    except EngineError as error:
        if base:
            raise
        progress(f"No registry gave {wanted} ({error.message[-200:]})", None)
        _debootstrap(builder, folder, own, progress)
        return own
    return wanted


def _default_base(folder: Path) -> str:
    for line in (folder / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("ARG BASE="):
            return line.removeprefix("ARG BASE=").strip()
    raise InvalidRequest(f"{folder}/Dockerfile does not say ARG BASE=…; give a base image.")


def fingerprint_of_packages(folder: Path) -> str:
    """Name the base of a recipe by the packages in it."""
    return hashlib.sha256(" ".join(_packages(folder)).encode()).hexdigest()[:8]


def _packages(folder: Path) -> list[str]:
    listing = folder / "debian-packages.txt"
    lines = listing.read_text(encoding="utf-8").split("\n") if listing.exists() else []
    return sorted(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _debootstrap(builder: ImageBuilder, folder: Path, name: str, progress: Progress) -> None:
    """Make a base image from Debian's package mirror."""
    program = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        raise EngineError(
            "The base image could not be pulled, and making one from Debian's packages needs "
            "debootstrap (apt-get install debootstrap) and root: run this command with sudo, or "
            "name an image that is here with --base."
        )
    progress(f"making the base image {name} with debootstrap instead", None)
    with tempfile.TemporaryDirectory(prefix="sessmgr-base-") as scratch:
        root = Path(scratch) / "root"
        packages = ",".join(_packages(folder))
        _run([program, "--variant=minbase", f"--include={packages}", SUITE, str(root)], progress)
        excluded = (f"--exclude={pattern}" for pattern in _LEFT_OUT)
        command = ["tar", "-C", str(root), *excluded, "--numeric-owner", "-c", "."]
        with _running(command) as packing:
            if packing.stdout is None:
                raise EngineError("tar gave no output.")
            builder.import_rootfs(packing.stdout, name)


def _fetch_wheels(context: Path, python: PythonInside, progress: Progress) -> None:
    """Download what requirements.txt names, for the image's Python, with this machine's pip."""
    if not python.glibc:
        raise EngineError("The base image has no GNU C library; choose one that is not Alpine.")
    version = ".".join(str(number) for number in python.version)
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--disable-pip-version-check", "--progress-bar=off", "--dest", str(context / "wheels")),
        *("--implementation=cp", f"--python-version={version}"),
        *(f"--platform={tag}" for tag in _platforms(python)),
        *("-r", str(context / "requirements.txt")),
    ]
    progress(f"fetching wheels for Python {version}", None)
    _run(command, progress)


def _platforms(python: PythonInside) -> Iterator[str]:
    """Name the platforms whose wheels run there, newest first."""
    newest = int(python.glibc.split(".")[1])
    for minor in range(newest, 4, -1):
        yield f"manylinux_2_{minor}_{python.machine}"
    for legacy in ("manylinux2014", "manylinux2010", "manylinux1", "linux"):
        yield f"{legacy}_{python.machine}"


def _run(command: Sequence[str], progress: Progress) -> None:
    """Run a program, passing one of its lines on now and then.

    Raises
    ------
    EngineError
        with its last lines, when it fails.
    """
    tail: list[str] = []
    told = time.monotonic()
    with _running(command) as running:
        for line in running.stdout or ():
            text = line.decode(errors="replace").strip()[:200]
            if not text.startswith("WARNING"):
                tail = [*tail, text][-4:]
            if time.monotonic() - told > _PAUSE:
                told = time.monotonic()
                progress(text, None)
        code = running.wait()
    if code:
        raise EngineError(f"{Path(command[0]).name} failed ({code}): {' / '.join(tail)}")


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Give a program whose output is read by the caller; it ends with the block, or its time."""
    process = subprocess.Popen(  # noqa: S603 - fixed programs; names come from the recipe
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if command[0] != "tar" else None,
    )
    alarm = threading.Timer(_DEADLINE, process.kill)
    alarm.start()
    try:
        yield process
    finally:
        alarm.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
