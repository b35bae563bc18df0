"""Everything that can go wrong, as one tree that knows no HTTP.

::

    SessmgrError
    ├── InvalidRequest      what was asked makes no sense; asking again is no help
    │   ├── ImageNotFound   no such image here, or not allowed (one answer for both)
    │   └── NoSuchFile      no such file or folder in the session
    ├── NotAllowed          understood, and refused
    ├── SessionNotFound     absent, or somebody else's (one answer for both)
    ├── ServiceNotFound     the session has no such service
    ├── LimitExceeded       over the server's limits
    ├── NameTaken           a live session of this owner has this name
    ├── NotRunning          the session's state does not permit this
    │   └── StartFailed     the session ended before it ran; says why
    ├── AuthFailed          a key or a signature is wrong; which of both is not told
    ├── Unsupported         the document has it, this server does not
    ├── TooManyRequests     more than the server takes at once                (retryable)
    ├── Standby             another server leads, and cannot be followed   (retryable)
    ├── EngineError         the engine said no, or failed
    │   └── EngineUnavailable   no answer: unknown, which is not "gone"    (retryable)
    ├── AgentError          the agent inside the session said no, or failed
    │   └── AgentUnavailable    no answer: unknown, which is not "gone"    (retryable)
    ├── ServiceError        an app in the session failed, or answered nonsense
    │   ├── ServiceStarting     it does not answer yet                     (retryable)
    │   └── ServiceTimeout      it took too long to answer                 (retryable)
    └── StoreError          the state could not be read or written         (retryable)
        └── StoreRefused    the state folder must not be used as it is; says the remedy

Every message is one or two sentences for the person who meets it: what happened, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class SessmgrError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What happened and what to do, for people. Never a secret.
    session : str, optional
        Name or id of the session concerned.
    data : object
        Machine-readable details, shown to clients as they are.
    """

    #: Whether the same request can succeed later, unchanged.
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, session: str = "", **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.session = session
        self.data = {key: value for key, value in data.items() if value is not None}


class InvalidRequest(SessmgrError):
    """What was asked makes no sense; asking again is no help."""


class ImageNotFound(InvalidRequest):
    """The image is not here or not allowed; which of both is not told."""


class NoSuchFile(InvalidRequest):
    """There is no such file or folder in the session."""


class NotAllowed(SessmgrError):
    """The request was understood and is refused."""


class SessionNotFound(SessmgrError):
    """There is no such session, or it is another owner's."""


class ServiceNotFound(SessmgrError):
    """The session has no such service, and nobody says how it is started."""


class LimitExceeded(SessmgrError):
    """The request is over the server's limits; `data` has limit, asked and what would fit."""


class NameTaken(SessmgrError):
    """A live session of this owner has this name; `data["existingSessionId"]` is its id."""


class NotRunning(SessmgrError):
    """The session's status does not permit what was asked."""


class StartFailed(NotRunning):
    """The session ended before it ran."""


class AuthFailed(SessmgrError):
    """A key pair's signature does not hold; which part of it is not told."""


class Unsupported(SessmgrError):
    """The API's document has this, and this server does not; says what to use instead."""


class TooManyRequests(SessmgrError):
    """More was asked at once than this server takes; the same again will do, a little later."""

    retryable = True


class Standby(SessmgrError):
    """Another server leads and cannot be followed, or the manager is not open (yet)."""

    retryable = True


class EngineError(SessmgrError):
    """The engine refused or failed."""


class EngineUnavailable(EngineError):
    """The engine gave no answer. What it holds is unknown, which is not the same as gone."""

    retryable = True


class AgentError(SessmgrError):
    """The agent inside the session refused or failed."""


class AgentUnavailable(AgentError):
    """The agent gave no answer. Its session is unknown, which is not the same as gone."""

    retryable = True


class ServiceError(SessmgrError):
    """A service of a session failed, or answered nonsense; `data["log"]` has its last lines."""


class ServiceStarting(ServiceError):
    """A service of a session is being started and does not answer yet."""

    retryable = True


class ServiceTimeout(ServiceError):
    """A service of a session took too long to answer."""

    retryable = True


class StoreError(SessmgrError):
    """The state could not be read or written: disk full, locked, damaged."""

    retryable = True


class StoreRefused(StoreError):
    """The state folder must not be used as it is; the message says the remedy."""

    retryable = False
