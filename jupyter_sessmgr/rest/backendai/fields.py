"""Reads the keys of a JSON object, in whatever case a generation of clients writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported

#: Longest of the texts that have no rule of their own: tag, group, domain.
MAX_TEXT = 255

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Fields:
    """The keys of a JSON object, in whatever case they were written; null is absent.

    Parameters
    ----------
    source : object
        What should be a JSON object.
    what : str
        What people call it.
    """

    def __init__(self, source: object, what: str) -> None:
        if not isinstance(source, Mapping):
            raise InvalidRequest(f"{what}: not an object.", field=what)
        self._what = what
        self._values: dict[str, Any] = {}
        self._spelled: dict[str, str] = {}
        for key, value in source.items():
            name = _HUMP.sub("_", key).lower()
            if value is not None and self._values.setdefault(name, value) != value:
                raise InvalidRequest(f"{key!r:.80} is given twice, differently.", field=key)
            self._spelled[name] = key

    def first(self, *names: str) -> Any:
        """Return the value of the first name that has one; None when none has."""
        return next((self._values[name] for name in names if name in self._values), None)

    def text(self, *names: str, default: str = "", longest: int = MAX_TEXT) -> str:
        """Return a text of at most `longest` characters."""
        value = self.first(*names)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > longest:
            told = self._told(names)
            raise InvalidRequest(f"{told}: not a text of at most {longest} characters.", field=told)
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """Return true or false."""
        value = self.first(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            told = self._told(names)
            raise InvalidRequest(f"{told}: write true or false.", field=told)
        return value

    def object(self, *names: str) -> Fields:
        """Return the keys of an object inside; none when it is absent."""
        value = self.first(*names)
        return Fields({} if value is None else value, self._told(names))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.first(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
            raise InvalidRequest(f"{name}: not a list of texts.", field=name)
        if isinstance(value, str):
            raise InvalidRequest(f"{name}: not a list of texts.", field=name)
        return tuple(value)

    def refuse(self, *names: str) -> None:
        """Refuse what upstream has and this server has not, unless it is empty."""
        for name in names:
            if self._values.get(name):
                told = self._told([name])
                raise Unsupported(f"{told} is not supported by this server.", field=told)

    def refuse_others(self, known: frozenset[str]) -> None:
        """Refuse all keys but these, unless they are empty."""
        for name, value in self._values.items():
            if value and name not in known:
                told = self._told([name])
                raise InvalidRequest(
                    f"{self._what}: {told!r:.80} is not known to this server.", field=told[:80]
                )

    def _told(self, names: Sequence[str]) -> str:
        """Return the name that the client used, in its own spelling, for errors."""
        return next((self._spelled[name] for name in names if name in self._values), names[0])
