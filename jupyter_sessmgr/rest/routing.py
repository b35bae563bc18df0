"""Paths as people write them, and as tornado wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tornado.web import RequestHandler

_VARIABLE = re.compile(r"\{([a-z_]+)\}")
#: What a variable of a path stands for, where it is not one piece between slashes.
_PATTERNS = {"rest": "(.*)", "unknown": "(.*[^/])"}


@dataclass(frozen=True, slots=True)
class Route:
    """One path and who answers it.

    `path` is relative to the server's base URL, with variables in braces, such as
    ``/sessmgr/session/{reference}``; the handler's methods get them in this order.
    """

    path: str
    handler: type[RequestHandler]
    #: Matches whatever case a client writes (outside of variables).
    any_case: bool = False
    #: Also with a slash at the end.
    slash: bool = False
    #: Another spelling of a route that is described already: served, not described.
    alias: bool = False

    @property
    def pattern(self) -> str:
        """The regular expression, without the base URL."""
        pieces = _VARIABLE.split(self.path)
        text = "".join(
            _PATTERNS.get(piece, "([^/]+)") if number % 2 else self._literal(piece)
            for number, piece in enumerate(pieces)
        )
        return text + "/?" * self.slash

    def _literal(self, text: str) -> str:
        text = re.escape(text).replace("\\-", "-")
        if not self.any_case:
            return text
        # A flag in the middle of a pattern is an error since Python 3.11, a group of its own not.
        # The first slash stays outside: the base URL is put before it.
        return re.sub("[^/].*", r"(?i:\g<0>)", text)


def under(prefix: str, routes: Sequence[Route], *, alias: bool = False) -> list[Route]:
    """Put routes under a path; `alias` when they are described elsewhere already."""
    return [
        replace(route, path=prefix + route.path, alias=alias or route.alias) for route in routes
    ]
