"""Which kernels this image has, and how each is started."""

from __future__ import annotations

import json
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: The kernel that is offered wherever ipykernel can be imported, installed or not.
PYTHON = "python3"
#: ipykernel has CurveZMQ from here on.
CURVE_SINCE = (7, 3)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_PYTHON_WORD = re.compile(r"python[0-9.]*$")
_MAX_SPEC = 256 * 1024
#: What is told of kernelspecs fits into one line of the protocol, whatever people wrote there.
_MAX_SPECS = 50
_MAX_WORDS = 2048
_MAX_METADATA = 4096


class NoKernel(Exception):
    """The image has no such kernel; the message says which it has."""


class Spec:
    """One kernelspec of the image."""

    def __init__(self, name: str, folder: str, content: Mapping[str, Any]) -> None:
        self.name = name
        self.folder = folder
        self.argv = [str(word) for word in content["argv"]]
        self.language = str(content.get("language", ""))
        self.display_name = str(content.get("display_name", name))
        self.interrupt_mode = str(content.get("interrupt_mode", "signal"))
        metadata = content.get("metadata")
        self.metadata: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
        environ = content.get("env")
        environ = environ if isinstance(environ, dict) else {}
        self.environ = {str(key): str(value) for key, value in environ.items()}

    def describe(self) -> dict[str, Any]:
        """Return what the server is told of it."""
        fits = len(json.dumps(self.metadata)) <= _MAX_METADATA
        return {
            "display_name": self.display_name[:200],
            "language": self.language[:64],
            "argv": self.argv if sum(map(len, self.argv)) <= _MAX_WORDS else self.argv[:1],
            "metadata": self.metadata if fits else {},
            "interrupt_mode": self.interrupt_mode[:16],
        }

    def command(self, connection_file: str) -> list[str]:
        """Return the command line with its placeholders filled in."""
        filled = []
        for word in self.argv:
            text = word.replace("{connection_file}", connection_file)
            text = text.replace("{resource_dir}", self.folder).replace("{prefix}", sys.prefix)
            filled.append(text)
        if _PYTHON_WORD.match(filled[0]):
            filled[0] = self._python(filled[0])
        return filled

    def can_encrypt(self, home: str) -> bool:
        """Tell whether the kernel can do CurveZMQ; `home` is the kernel's."""
        offered = self.metadata.get("supported_encryption")
        words = [offered] if isinstance(offered, str) else offered
        if isinstance(words, list) and "curve" in [str(word).strip().lower() for word in words]:
            return True
        # a spec that an older ipykernel installed does not say so yet
        runs_ipykernel = "ipykernel_launcher" in self.argv or "ipykernel" in self.argv
        if not runs_ipykernel or self._python(self.argv[0]) != sys.executable:
            return False
        return ipykernel_version(home) >= CURVE_SINCE

    def _python(self, word: str) -> str:
        """Say which Python a bare ``python`` means: that of the spec's own prefix, else ours."""
        if not _PYTHON_WORD.match(word):
            return word
        prefix = self.folder.partition("/share/jupyter/kernels/")[0]
        own = os.path.join(prefix, "bin", word)
        foreign = self.folder and prefix != sys.prefix and os.access(own, os.X_OK)
        return own if foreign else sys.executable


def find(name: str, environ: Mapping[str, str]) -> Spec:
    """Find the kernelspec `name`; `environ` is the kernel's, for HOME and JUPYTER_PATH.

    Raises
    ------
    NoKernel
        in words, when there is none.
    """
    wanted = name.lower() or PYTHON
    for folder in _folders(environ) if _NAME.fullmatch(wanted) else ():
        spec = _read(folder, wanted)
        if spec is not None:
            return spec
    if wanted == PYTHON and ipykernel_version(environ.get("HOME", "")):
        return _plain_python()
    there = ", ".join(sorted(find_all(environ)))
    if not there:
        raise NoKernel(
            "This image has no kernel. Install one into it: for Python, the package ipykernel."
        )
    raise NoKernel(
        "This image has no kernel named %r; it has: %s. Choose one of these, or install the "
        "kernel into the image." % (name[:80], there[:500])
    )


def find_all(environ: Mapping[str, str]) -> dict[str, Spec]:
    """Find every kernelspec, at most a hundred."""
    found: dict[str, Spec] = {}
    for folder in _folders(environ):
        for entry in _listdir(folder):
            spec = _read(folder, entry) if entry.lower() not in found else None
            if spec is not None and len(found) < _MAX_SPECS:
                found[spec.name] = spec
    if (
        PYTHON not in found
        and len(found) < _MAX_SPECS
        and ipykernel_version(environ.get("HOME", ""))
    ):
        found[PYTHON] = _plain_python()
    return found


def ipykernel_version(home: str) -> tuple[int, ...]:
    """Return the version of the ipykernel that our own Python would import; () when none.

    Importing it, or asking importlib.metadata, would cost a good part of a start.
    """
    user = "lib/python%d.%d/site-packages" % sys.version_info[:2]
    for folder in [*sys.path, os.path.join(home, ".local", user)]:
        try:
            with open(os.path.join(folder, "ipykernel", "_version.py"), encoding="utf-8") as file:
                text = file.read(16384)
        except OSError:
            continue
        match = re.search(r"__version__ = [\"'](\d+)\.(\d+)", text)
        return tuple(int(part) for part in match.groups()) if match else (0,)
    return ()


def _folders(environ: Mapping[str, str]) -> list[str]:
    """List where kernelspecs may be: what the image's environment has goes before the home's."""
    bases = [path for path in environ.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    bases.append(os.path.join(sys.prefix, "share", "jupyter"))
    if environ.get("JUPYTER_DATA_DIR"):
        bases.append(environ["JUPYTER_DATA_DIR"])
    bases.append(os.path.join(environ.get("HOME", "/"), ".local", "share", "jupyter"))
    bases.extend(["/usr/local/share/jupyter", "/usr/share/jupyter"])
    return [os.path.join(base, "kernels") for base in bases]


def _listdir(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read(parent: str, name: str) -> Spec | None:
    """Read one kernelspec; None when there is none that makes sense. Case does not count."""
    folder = os.path.join(parent, name)
    try:
        with open(os.path.join(folder, "kernel.json"), encoding="utf-8") as stream:
            content = json.loads(stream.read(_MAX_SPEC))
        spec = Spec(name.lower(), folder, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return spec if spec.argv else None


def _plain_python() -> Spec:
    content = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    return Spec(PYTHON, "", content)
