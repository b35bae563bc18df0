"""Which names in a state folder are ours: what is removed by these, and by nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessmgr.manager.installation.leftovers import MARKS
from jupyter_sessmgr.manager.installation.others import SERVERS
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.installation.statefolder import (
    INSTALL_FILE,
    LOCK_FILE,
    MASTER_FILE,
    StateFolder,
)
from jupyter_sessmgr.manager.keypairs import FILE as KEY_PAIRS
from jupyter_sessmgr.manager.keypairs import LOCK_FILE as KEY_PAIRS_LOCK
from jupyter_sessmgr.model.errors import StoreRefused
from jupyter_sessmgr.store.notebooks import FOLDER as NOTEBOOKS
from jupyter_sessmgr.store.sqlitefile import FILE_NAME as DATABASE

_FOLDERS = (MARKS, SERVERS, NOTEBOOKS, "homes", "places", "landings")
#: Which word a file that is being written has at its end.
_HALF = r"\.[a-z0-9_]{8}"
#: Names that can go in any order, and then those that say whose the rest is, in theirs.
_CONTENTS = re.compile(
    "|".join(map(re.escape, (*_FOLDERS, KEY_PAIRS, KEY_PAIRS_LOCK)))
    + "".join(rf"|\.{re.escape(name)}{_HALF}" for name in (KEY_PAIRS, INSTALL_FILE, MASTER_FILE))
)
_IDENTITY = (
    # a copy from before a change, a damaged one, and what is being written, with its journal
    re.compile(
        re.escape(DATABASE) + r"(\.new|\.corrupt-[0-9TZ-]+|\.v[0-9]+-backup)*(\.part)?"
        r"(-wal|-shm|-journal)?"
    ),
    *(re.compile(re.escape(name)) for name in (INSTALL_FILE, MASTER_FILE, LOCK_FILE)),
)


@dataclass(frozen=True, slots=True)
class Belongings:
    """What is in a state folder."""

    #: Of sessions, servers and people; they go first.
    contents: list[Path]
    #: What an installation knows its sessions by, in the order in which it is to be removed.
    identity: list[Path]
    #: Not made by us.
    foreign: list[Path]


def sort_out(folder: Path) -> Belongings:
    """Tell what in a folder is ours; nothing is when it is not there. Reads the folder."""
    found = Belongings([], [], [])
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in entries:
        if _CONTENTS.fullmatch(path.name):
            found.contents.append(path)
        elif _rank(path) < len(_IDENTITY):
            found.identity.append(path)
        else:
            found.foreign.append(path)
    found.identity.sort(key=_rank)
    return found


def recognise(folder: StateFolder) -> InstallationSecrets | None:
    """Read whose folder it is; None when nothing was ever made there. Changes nothing.

    Raises
    ------
    StoreRefused
        when it is not provably a state folder of this user, whatever the configuration says.
    """
    try:
        names = {path.name for path in folder.path.iterdir()}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreRefused(f"{folder.path} cannot be read ({error.strerror}).") from error
    if names <= {LOCK_FILE}:
        return None
    for name in (MASTER_FILE, INSTALL_FILE):
        if name not in names:
            raise StoreRefused(
                f"{folder.path} is not a state folder, or not a whole one: it has no {name}. Set "
                "c.ComputeSessionManager.state_dir to the right one, or remove it by hand."
            )
    folder.prepare()
    return folder.secrets()


def _rank(path: Path) -> int:
    matches = (number for number, one in enumerate(_IDENTITY) if one.fullmatch(path.name))
    return next(matches, len(_IDENTITY))
