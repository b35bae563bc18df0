"""What the HPC Pack dialect answers when it refuses: a status, and a number for programs.

The numbers are those that HPC Pack's own clients know.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NotAllowed,
    NotRunning,
    SessionNotFound,
    SessmgrError,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: what is answered, and as what it counts."""

    status: HTTPStatus
    code: int
    kind: type[SessmgrError]


BAD_VERSION = Fault(HTTPStatus.BAD_REQUEST, 50331700, InvalidRequest)
BAD_ARGUMENT = Fault(HTTPStatus.BAD_REQUEST, 251723775, InvalidRequest)
NO_SESSION = Fault(HTTPStatus.NOT_FOUND, 50331649, SessionNotFound)
IS_DURABLE = Fault(HTTPStatus.CONFLICT, 50331658, NotAllowed)
IS_INTERACTIVE = Fault(HTTPStatus.CONFLICT, 50331659, NotAllowed)
FINISHED = Fault(HTTPStatus.GONE, 50331675, NotRunning)
CANCELLED = Fault(HTTPStatus.GONE, 50331676, NotRunning)
#: Everything else that goes wrong.
OTHER_CODE = 267386880
NOT_READY = Fault(HTTPStatus.SERVICE_UNAVAILABLE, OTHER_CODE, NotRunning)

#: Rows of the error tree that have a number of their own.
_CODES: dict[type[BaseException], int] = {
    SessionNotFound: NO_SESSION.code,
    InvalidRequest: BAD_ARGUMENT.code,
}


class Refused(SessmgrError):
    """The dialect refuses, with a fault of its own."""

    def __init__(self, fault: Fault, message: str, *, session: str = "") -> None:
        super().__init__(message, session=session)
        self.fault = fault
        self.counts_as = fault.kind


def code_of(error: BaseException | None) -> int:
    """Say an error's number."""
    if isinstance(error, Refused):
        return error.fault.code
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), OTHER_CODE)
