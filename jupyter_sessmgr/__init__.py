"""Compute sessions for Jupyter: remote kernels in containers or local processes."""

from __future__ import annotations

import sys

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.model.platforms import refusal

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Name the server extension; called by jupyter_server when it looks for extensions."""
    if words := refusal(sys.platform):
        raise ImportError(words)
    from jupyter_sessmgr.app import SessMgrApp  # noqa: PLC0415 - keeps `import` light

    return [{"module": "jupyter_sessmgr.app", "app": SessMgrApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Name the prebuilt lab extension; called by ``jupyter labextension develop``."""
    return [{"src": "labextension", "dest": "jupyter-sessmgr"}]
