"""Folders that a session sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One folder of the host inside the session.

    `source` was resolved and checked by whoever made the mount; engines take it as it is.
    """

    #: What people call it: ``notebook``, ``home``, or a name of the admin's table.
    name: str
    #: Absolute path on the host.
    source: str
    #: Absolute path inside the session.
    target: str
    read_only: bool = True
    kind: Literal["bind"] = "bind"
