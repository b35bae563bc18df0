"""Groups: what an admin says of them, and which one a request means."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.resources import parse_count, parse_size
from jupyter_sessmgr.store.quota import NO_CEILING, Ceiling

#: The group of requests that name none.
DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What holds in one group besides the limits of owners and of the server."""

    #: Of the whole group.
    ceiling: Ceiling = NO_CEILING
    max_running: int | None = None
    #: Of one session.
    max_cpu: Decimal | None = None
    max_mem: int | None = None
    max_shmem: int | None = None
    max_devices: int | None = None
    #: Patterns, instead of the server's.
    allowed_images: tuple[str, ...] | None = None
    #: Names.
    presets: tuple[str, ...] | None = None
    #: Patterns of who may use it; none: everybody.
    owners: tuple[str, ...] = ()


def _whole(value: object, name: str) -> int:
    count = parse_count(value, name)
    if count != int(count):
        raise InvalidRequest(f"{name}: a whole number, please.", field=name)
    return int(count)


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise InvalidRequest(f"{name}: a list of texts, please.", field=name)
    return tuple(value)


_READERS: Mapping[str, Callable[[object, str], Any]] = {
    "max_running": _whole,
    "max_cpu": parse_count,
    "max_mem": parse_size,
    "max_shmem": parse_size,
    "max_devices": _whole,
    "allowed_images": _texts,
    "presets": _texts,
    "owners": _texts,
}
#: Keys that make the ceiling: how they are read, and the ceiling's word for them.
_CEILING: Mapping[str, tuple[Callable[[object, str], Any], str]] = {
    "max_sessions": (_whole, "sessions"),
    "max_pending": (_whole, "pending"),
    "total_cpu": (parse_count, "cpu"),
    "total_mem": (parse_size, "mem"),
    "total_devices": (_whole, "devices"),
}


def read_group(values: Mapping[str, Any]) -> Group:
    """Read what an admin wrote of a group; None counts as not written.

    Raises
    ------
    ValueError
        naming the key that is unknown or cannot be read.
    """
    if not isinstance(values, Mapping):
        raise ValueError("not a dictionary")  # noqa: TRY004 - a setting is wrong, not a type
    given = {key: value for key, value in values.items() if value is not None}
    unknown = sorted(set(given) - set(_READERS) - set(_CEILING))
    if unknown:
        known = ", ".join(sorted([*_READERS, *_CEILING]))
        raise ValueError(f"unknown key {unknown[0]!r}; known: {known}")
    try:
        ceiling = {
            word: read(given[key], key) for key, (read, word) in _CEILING.items() if key in given
        }
        rest = {key: read(given[key], key) for key, read in _READERS.items() if key in given}
    except InvalidRequest as error:
        raise ValueError(error.message) from error
    return Group(ceiling=Ceiling(**ceiling), **rest)


def find_group(groups: Mapping[str, Group], name: str, owner: str) -> Group:
    """Find the group that an owner's request names.

    Where an admin described no group, every name will do and nothing more holds. Where there is
    one, nobody gets around its limits by naming none.

    Raises
    ------
    InvalidRequest
        when there is none, or the owner may not use it: one answer for both.
    """
    if not groups:
        return Group()
    mine = groups_of(groups, owner)
    if name in mine:
        return groups[name]
    known = f"you have: {', '.join(mine)}" if mine else "you have none; ask the administrator"
    if name == DEFAULT:
        raise InvalidRequest(f"Name a group of yours; {known}.", field="group")
    raise InvalidRequest(
        f"There is no group {name!r:.60} that you may use; {known}.", field="group"
    )


def groups_of(groups: Mapping[str, Group], owner: str) -> tuple[str, ...]:
    """List the groups that an owner may use, by name."""
    return tuple(sorted(one for one, group in groups.items() if _may_use(group, owner)))


def _may_use(group: Group, owner: str) -> bool:
    patterns = group.owners
    return not patterns or any(fnmatch.fnmatchcase(owner, pattern) for pattern in patterns)
