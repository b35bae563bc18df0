"""The presets that come with the package, and how an admin's are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jupyter_sessmgr.model.presets import Preset

#: What there is without any configuration.
BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "python": {
        "title": "Python (remote)",
        "description": "The notebook's folder is the working folder, the home folder survives "
        "the session, and there is network access.",
    },
    "isolated": {
        "title": "Python (remote, isolated)",
        "description": "Sees neither the notebook's folder nor a lasting home, and has no network.",
        "network": "isolated",
        "notebook_folder": False,
        "home": False,
    },
}


def make_presets(changes: Mapping[str, Mapping[str, Any] | None]) -> Mapping[str, Preset]:
    """Put an admin's presets over the built-in ones; None removes one."""
    values: dict[str, Mapping[str, Any] | None] = {**BUILT_IN}
    for name, change in changes.items():
        values[name] = None if change is None else {**(values.get(name) or {}), **change}
    return {name: make_preset(name, one) for name, one in values.items() if one is not None}


def make_preset(name: str, values: Mapping[str, Any]) -> Preset:
    """Make one preset.

    Raises
    ------
    ValueError
        naming an unknown key; TypeError for a value of another kind.
    """
    known = {field.name for field in fields(Preset)} - {"name"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    defaults = {"title": name, "description": ""}
    return Preset(name=name, **{**defaults, **values})
