"""Local Python environments, which are what an image is for processes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_sessmgr.model.errors import ImageNotFound
from jupyter_sessmgr.model.images import Image, with_tag
from jupyter_sessmgr.model.ports import ServicePort

#: Seconds that an interpreter may take to say what it is.
_TIMEOUT = 10.0
_OLDEST = (3, 8)
#: What an environment consists of, when the folder it is in has other things too.
_PARTS = ("bin", "lib", "lib64", "libexec", "share", "include", "pyvenv.cfg")
#: What it promises, by the module that the app is of.
_SERVICES = {
    "jupyter_server": ServicePort("jupyter", "http", (8081,)),
    "jupyterlab": ServicePort("jupyterlab", "http", (8090,)),
    "tensorboard": ServicePort("tensorboard", "http", (6006,)),
    "streamlit": ServicePort("streamlit", "http", (8501,)),
}
#: Runs in the environment, with names of modules; any Python 3 can.
_QUESTION = """
import json, sys
from importlib.util import find_spec
try:
    from importlib.metadata import version
    kernel = version("ipykernel")
except Exception:
    kernel = ""
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
    "path": [entry for entry in sys.path if entry],
    "kernel": kernel,
    "modules": [name for name in sys.argv[1:] if find_spec(name)],
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A Python that was asked what it is."""

    name: str
    python: str
    version: tuple[int, ...]
    #: Where it is installed; for a virtual environment, also where its base is.
    prefixes: tuple[str, ...]
    #: Where it finds modules.
    path: tuple[str, ...]
    #: Version of its ipykernel; "" when it has none.
    kernel: str
    #: Which of `_SERVICES` it has.
    modules: tuple[str, ...]

    def image(self) -> Image:
        """Describe it as others describe images. Looks at files."""
        return Image(
            reference=with_tag(self.name),
            digest=self.digest(),
            runtime_path=self.python,
            language="python",
            service_ports=tuple(_SERVICES[module] for module in self.modules),
            features=frozenset({"kernel"} if self.kernel else ()),
        )

    def digest(self) -> str:
        """Say what it is in a way that changes when packages come or go. Looks at files."""
        words = [self.python, os.path.realpath(self.python), str(self.version), self.kernel]
        words += [
            f"{folder} {_changed_at(folder)}"
            for folder in (self.python, *self.prefixes, *self.path)
        ]
        return "sha256:" + hashlib.sha256("\0".join(words).encode()).hexdigest()

    def folders(self, private: tuple[str, ...]) -> tuple[str, ...]:
        """List the folders that must be seen for it to work. Looks at files.

        A folder that holds one of `private` is not shown as a whole: of a prefix only its parts
        are, and a path entry is not worth it.
        """
        wanted = list(self.path)
        for prefix in self.prefixes:
            parts = [str(Path(prefix, part)) for part in _PARTS]
            wanted += parts if _holds(prefix, private) else [prefix]
        found: dict[str, None] = {}
        for folder in wanted:
            for spelled in (folder, os.path.realpath(folder)):
                if Path(spelled).exists() and not _holds(spelled, private):
                    found.setdefault(spelled)
        return tuple(found)

    def links(self) -> tuple[tuple[str, str], ...]:
        """List the links from the name of its program to the program. Looks at files."""
        found = []
        path = Path(self.python)
        while path.is_symlink():
            target = Path(os.path.normpath(path.parent / path.readlink()))
            found.append((str(target), str(path)))
            path = target
        return tuple(found)

    def config_file(self) -> Path | None:
        """Find what makes it a virtual environment; None when it is none. Looks at files."""
        path = Path(self.prefixes[0], "pyvenv.cfg")
        return path if path.is_file() else None


class Environments:
    """The environments that an admin named. Methods run programs and look at files: in a thread."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = {with_tag(name): (name, python) for name, python in named.items()}
        self._asked: dict[str, tuple[str, Environment]] = {}

    @property
    def references(self) -> tuple[str, ...]:
        """The names, in full."""
        return tuple(self._named)

    def get(self, reference: str) -> Environment:
        """Ask an environment what it is.

        Raises
        ------
        ImageNotFound
            when nobody named it, or its Python cannot be used.
        """
        if with_tag(reference) not in self._named:
            known = ", ".join(name for name, _ in self._named.values()) or "none"
            raise ImageNotFound(
                f"There is no environment {reference!r:.80} here; known: {known}.", field="image"
            )
        name, python = self._named[with_tag(reference)]
        asked = self._asked.get(name)
        if asked is None or asked[0] != asked[1].digest():
            fresh = _ask(name, python)
            asked = self._asked[name] = (fresh.digest(), fresh)
        return asked[1]


def _ask(name: str, python: str) -> Environment:
    problem = ""
    try:
        done = subprocess.run(  # noqa: S603 - the admin's own program
            [python, "-I", "-c", _QUESTION, *_SERVICES],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
            cwd="/",
            env={"PATH": os.defpath},
        )
        words: Any = json.loads(done.stdout) if done.returncode == 0 else None
        if words is None:
            problem = done.stderr.decode(errors="replace").strip()[-200:] or "it failed"
    except FileNotFoundError:
        problem = "it is not there"
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        problem = str(error)
    if not problem and tuple(words["version"]) < _OLDEST:
        problem = "it is older than Python 3.8"
    if problem:
        raise ImageNotFound(
            f"The environment {name} cannot be used, since its Python {python} cannot: {problem}. "
            "Change c.ProcessEngine.environments.",
            field="image",
        )
    return Environment(
        name=name,
        python=python,
        version=tuple(words["version"]),
        prefixes=tuple(dict.fromkeys(words["prefixes"])),
        path=tuple(words["path"]),
        kernel=words["kernel"],
        modules=tuple(words["modules"]),
    )


def with_user_packages(config: str) -> str:
    """Change the text of a ``pyvenv.cfg`` so that packages in the home folder are found.

    In a sandbox an environment cannot be changed, so ``pip`` installs into the home folder; a
    virtual environment refuses that, and does not look there, unless it is told to.
    """
    kept = [
        line
        for line in config.splitlines()
        if line.partition("=")[0].strip().lower() != "include-system-site-packages"
    ]
    return "\n".join([*kept, "include-system-site-packages = true", ""])


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - as it is spelled
    except OSError:
        return 0


def _holds(folder: str, private: tuple[str, ...]) -> bool:
    return any(Path(one).is_relative_to(folder) for one in private)
