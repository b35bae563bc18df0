"""Look at the Python environment: extensions, versions, and whose JupyterLab it is."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_path, jupyter_path
from jupyter_server.extension.config import ExtensionConfigManager

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.cli.check.findings import Finding
from jupyter_sessmgr.model.platforms import advice

_SERVER_EXTENSION = "jupyter_sessmgr"
_LAB_EXTENSION = "jupyter-sessmgr"
#: Extensions that take hooks which this one uses too, and what does not work beside them.
_CLASHES = {
    "jupyter_server_documents": "it brings its own kernel websockets and notebook sessions. "
    "Kernels run and survive, but notebooks do not get the output that they missed (it is kept: "
    "GET sessmgr/session/<id>/output), cells do not say why a kernel died, and answer slower",
}
_SAME_ENVIRONMENT = (
    "Install both into one environment, or start JupyterLab as `{prefix}/bin/jupyter-lab`."
)


def look_at_environment() -> Iterator[Finding]:
    """Check what `pip install` should have left."""
    yield Finding("ok", "version", f"{__version__}, Python {platform.python_version()}")
    if words := advice(sys.platform, platform.release()):
        yield Finding("note", "system", words)
    yield server_extension()
    yield lab_extension()
    yield same_environment(shutil.which("jupyter-lab"), Path(sys.prefix))
    yield from clashes()


def server_extension() -> Finding:
    """Check that a Jupyter server would load us."""
    topic = "server extension"
    if _enabled().get(_SERVER_EXTENSION):
        return Finding("ok", topic, "enabled")
    return Finding(
        "fail",
        topic,
        "not enabled, so no server will load it",
        f"Run `jupyter server extension enable {_SERVER_EXTENSION} --sys-prefix`.",
    )


def lab_extension() -> Finding:
    """Check that JupyterLab would load our part, of the same version, and not switched off."""
    topic = "lab extension"
    installed = next(filter(Path.is_file, _lab_packages()), None)
    if installed is None:
        return Finding(
            "warn",
            topic,
            "not installed; kernels are in the launcher, but show no progress of their start",
            "Install the package with its browser part: `pip install --force-reinstall "
            "jupyter-sessmgr` (from a checkout this needs Node).",
        )
    version = str(_read(installed).get("version", ""))
    if _plain(version) != _plain(__version__):
        return Finding(
            "warn",
            topic,
            f"version {version}, but the server's is {__version__} ({installed.parent})",
            "Install the package again, and reload the page.",
        )
    if _LAB_EXTENSION in _switched_off():
        return Finding(
            "warn",
            topic,
            "installed, but switched off",
            f"Run `jupyter labextension enable {_LAB_EXTENSION}`.",
        )
    return Finding("ok", topic, f"installed, version {version}")


def same_environment(program: str | None, prefix: Path) -> Finding:
    """Check that the JupyterLab a person starts is of the environment we are in."""
    topic = "same environment"
    ours = prefix / "bin" / "jupyter-lab"
    if program is None and not ours.exists():
        return Finding(
            "warn",
            topic,
            f"JupyterLab is not installed in {prefix}",
            "Run `pip install jupyterlab` there; other clients do not need it.",
        )
    if program is not None and not _is_of(Path(program), prefix):
        remedy = _SAME_ENVIRONMENT.format(prefix=prefix)
        text = f"`jupyter-lab` is {program}, but this package is in {prefix}"
        return Finding("warn" if ours.exists() else "fail", topic, text, remedy)
    return Finding("ok", topic, f"JupyterLab is in {prefix}")


def clashes() -> Iterator[Finding]:
    """Name other extensions that replace the same parts of the server."""
    enabled = _enabled()
    for name, consequence in _CLASHES.items():
        if enabled.get(name) and find_spec(name) is not None:
            yield Finding(
                "warn",
                "other extensions",
                f"{name} is enabled: {consequence}",
                f"Without need for it: `jupyter server extension disable {name}`.",
            )


def _enabled() -> dict[str, bool]:
    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    return dict(manager.get_jpserver_extensions())  # type: ignore[no-untyped-call]


def _lab_packages() -> Iterator[Path]:
    for folder in jupyter_path("labextensions"):
        yield Path(folder) / _LAB_EXTENSION / "package.json"


def _switched_off() -> set[str]:
    """Read what page configurations switch off, whole extensions only."""
    off: set[str] = set()
    for folder in (*jupyter_config_path(), *jupyter_path("lab", "settings")):
        for path in (
            Path(folder) / "labconfig" / "page_config.json",
            Path(folder) / "page_config.json",
        ):
            disabled = _read(path).get("disabledExtensions", {})
            if isinstance(disabled, dict):
                off |= {name for name, switch in disabled.items() if switch}
            elif isinstance(disabled, list):
                off |= {str(name) for name in disabled}
    return off


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain(version: str) -> str:
    """Spell ``0.1.0-alpha.0`` and ``0.1.0a0`` alike."""
    for long, short in (("-alpha.", "a"), ("-beta.", "b"), ("-rc.", "rc"), ("-dev.", ".dev")):
        version = version.replace(long, short)
    return version


def _is_of(program: Path, prefix: Path) -> bool:
    """Tell whether a console script runs with the Python of this environment."""
    if program.parent.resolve() == (prefix / "bin").resolve():
        return True
    try:
        with program.open("rb") as file:
            first = file.readline(512).decode(errors="replace")
    except OSError:
        return False
    interpreter = Path(first.removeprefix("#!").strip().split(" ")[0])
    # Not resolved: the interpreter of a virtual environment is a link out of it.
    return interpreter.parent == prefix / "bin"
