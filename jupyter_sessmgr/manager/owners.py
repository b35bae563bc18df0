"""Whose sessions a server makes where nobody says otherwise."""

from __future__ import annotations

import getpass
import os


def server_owner() -> str:
    """Name the owner of a whole server: the Hub's user, else the one of the operating system.

    With Jupyter's token every request has a new random user name, so that name owns nothing
    (THREATS E2); the doors use this one. The kernel door serves this owner only.
    """
    name = os.environ.get("JUPYTERHUB_USER", "")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
