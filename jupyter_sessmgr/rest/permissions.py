"""What a method of a handler wants its caller to be allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized

Method = TypeVar("Method", bound=Callable[..., Any])


def may_execute(method: Method) -> Method:
    """Ask the authorizer for "execute", where ``@authorized`` asks for what the HTTP verb means.

    For all that runs code or commands inside a session (THREATS E3).
    """
    allowed: Method = authorized(action="execute")(method)
    return allowed
