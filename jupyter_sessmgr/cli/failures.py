"""What a command says when it fails, and with which exit code.

The codes are part of the command line's promise (docs/reference/cli.md); scripts rely on them.
"""

from __future__ import annotations

from enum import IntEnum

from jupyter_sessmgr.model.errors import (
    AgentUnavailable,
    EngineUnavailable,
    InvalidRequest,
    ServiceNotFound,
    ServiceStarting,
    ServiceTimeout,
    SessionNotFound,
    SessmgrError,
    Standby,
    StoreError,
    TooManyRequests,
)


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    #: What was asked did not happen; the message says why.
    FAILED = 1
    #: The command line, or a value on it, makes no sense.
    USAGE = 2
    #: There is no such session.
    NOT_FOUND = 3
    #: Nobody could be asked (no server, engine, or state folder); the same command can succeed
    #: later.
    UNAVAILABLE = 4
    #: The wait was longer than ``--timeout``; what was asked goes on.
    TIMEOUT = 5
    #: Ctrl-C.
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command's failure, for people: one or two sentences, what happened and what to do.

    Parameters
    ----------
    message : str
        Goes to standard error as it is.
    code : Exit
        What the program ends with.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


_CODES: tuple[tuple[type[SessmgrError], Exit], ...] = (
    (InvalidRequest, Exit.USAGE),
    (SessionNotFound, Exit.NOT_FOUND),
    (ServiceNotFound, Exit.NOT_FOUND),
    (Standby, Exit.UNAVAILABLE),
    (TooManyRequests, Exit.UNAVAILABLE),
    (EngineUnavailable, Exit.UNAVAILABLE),
    (AgentUnavailable, Exit.UNAVAILABLE),
    (ServiceStarting, Exit.UNAVAILABLE),
    (ServiceTimeout, Exit.UNAVAILABLE),
    (StoreError, Exit.UNAVAILABLE),
)


def exit_code(error: SessmgrError) -> Exit:
    """Give the exit code of an error of the tree; the first matching line of the table wins."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)
