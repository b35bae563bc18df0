"""Which systems this package runs on, in words for people. Pure: a system is named by its words."""

from __future__ import annotations

#: Where the table of what is tested, and what is only reasoned, is.
TABLE = "docs/reference/platforms.md"


def refusal(platform: str) -> str:
    """Say why the package cannot run on a system, as `sys.platform` names it; "" where it can."""
    if not platform.startswith(("win", "cygwin")):
        return ""
    return (
        "jupyter_sessmgr does not run on Windows itself, whose files cannot be locked as it needs. "
        "Install and start Jupyter in WSL 2 (`wsl --install`), where Docker Desktop's containers "
        f"can be used, too: see {TABLE}."
    )


def advice(platform: str, release: str) -> str:
    """Say what to know of a system that it was not tested on; "" where there is nothing.

    Parameters
    ----------
    platform, release
        `sys.platform` and `platform.release()`.
    """
    if platform == "linux":
        if "microsoft" not in release.lower():
            return ""
        return (
            "Linux in Windows (WSL). Keep notebooks and the state folder on its own disk, not "
            f"below /mnt/c: see {TABLE}."
        )
    name = {"darwin": "macOS"}.get(platform, platform)
    return (
        f"{name}: built to run here, but tested on Linux alone. Local sessions have no sandbox; "
        f"containers are reached by ports on 127.0.0.1: see {TABLE}."
    )
