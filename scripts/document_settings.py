"""Write every setting with its default, as a configuration file and as a page of the reference.

Run it after a trait changed; a test compares.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from traitlets import TraitType
from traitlets.config import Configurable

import jupyter_sessmgr

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "etc" / "jupyter_sessmgr_config.py"
PAGE = ROOT / "docs" / "reference" / "traits.md"
#: Most wanted first; others follow by name.
ORDER = (
    "SessMgrApp",
    "ComputeSessionManager",
    "AdmissionControl",
    "StartQueue",
    "WarmPool",
    "IdleCuller",
    "DockerEngine",
    "ProcessEngine",
    "SessionProvisioner",
)
#: Not importable outside a session, or not ours to configure.
SKIPPED = ("agent", "cli", "testing", "labextension", "tests")


def configurables() -> list[type[Configurable]]:
    """Find the classes of the package that have settings and can be made."""
    found: dict[str, type[Configurable]] = {}
    for module in _modules():
        for _, one in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            ours = one.__module__.startswith("jupyter_sessmgr.") and issubclass(one, Configurable)
            if ours and not inspect.isabstract(one) and settings(one):
                found[one.__name__] = one
    whole = [one for one in found.values() if not _is_part(one, found.values())]
    rank = {name: place for place, name in enumerate(ORDER)}
    return sorted(whole, key=lambda one: (rank.get(one.__name__, 99), one.__name__))


def _is_part(one: type, others: Iterable[type]) -> bool:
    """Tell whether a class is only there for another to be made from it."""
    return any(other is not one and issubclass(other, one) for other in others)


def _modules() -> Iterator[str]:
    for info in pkgutil.walk_packages(jupyter_sessmgr.__path__, "jupyter_sessmgr."):
        if info.name.split(".")[1] not in SKIPPED:
            yield info.name


def settings(cls: type[Configurable]) -> dict[str, TraitType]:
    """Give a class's settings that this package defines, in the order they are written."""
    own: dict[str, TraitType] = {}
    for base in cls.__mro__:
        if not base.__module__.startswith("jupyter_sessmgr."):
            continue
        for name, value in vars(base).items():
            if isinstance(value, TraitType) and value.metadata.get("config"):
                own.setdefault(name, value)
    return own


def default_of(trait: TraitType) -> str:
    """Spell a default as Python that can be pasted."""
    if type(trait).__name__ == "ByteSize" and isinstance(trait.default_value, int):
        for unit, size in (("g", 2**30), ("m", 2**20), ("k", 2**10)):
            if trait.default_value and trait.default_value % size == 0:
                return f'"{trait.default_value // size}{unit}"'
    text = str(trait.default_value_repr()).replace("'", '"')
    return text.replace(f'"{sys.executable}"', "sys.executable")


def help_of(trait: TraitType) -> str:
    """Give a setting's help as one paragraph."""
    return " ".join(inspect.cleandoc(trait.help).split())


def render_config() -> str:
    """Write the configuration file: everything, commented out."""
    lines = [
        "# Every setting of jupyter_sessmgr with its default. Copy what you change into a file of",
        "# this name in one of the folders that `jupyter --paths` lists under config.",
        "# Written by scripts/document_settings.py.",
        "",
        "import sys  # noqa: F401 - some defaults below name it",
        "",
        "c = get_config()  # noqa: F821 - given by traitlets",
    ]
    for cls in configurables():
        lines += ["", "# " + "-" * 78, f"# {cls.__name__}: {_first_line(cls)}", "# " + "-" * 78]
        for name, trait in settings(cls).items():
            lines += [
                "",
                *textwrap.wrap(help_of(trait), 96, initial_indent="# ", subsequent_indent="# "),
            ]
            lines.append(f"# c.{cls.__name__}.{name} = {default_of(trait)}")
    return "\n".join(lines) + "\n"


def render_page() -> str:
    """Write the reference page."""
    lines = [
        "# Settings",
        "",
        "In `jupyter_sessmgr_config.py` or `jupyter_server_config.py` as `c.Class.name = value`,",
        "or on the command line as `--Class.name=value`. Here is",
        "[the whole file](../../etc/jupyter_sessmgr_config.py) to copy from.",
        "Written by `scripts/document_settings.py` from the classes.",
    ]
    for cls in configurables():
        lines += ["", f"## {cls.__name__}", "", _first_line(cls), ""]
        lines += ["| name | default | when to change it |", "|---|---|---|"]
        for name, trait in settings(cls).items():
            text = help_of(trait).replace("|", "\\|")
            lines.append(f"| `{name}` | `{default_of(trait)}` | {text} |")
    return "\n".join(lines) + "\n"


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


def main() -> int:
    """Write both files."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(render_config(), encoding="utf-8")
    PAGE.write_text(render_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
