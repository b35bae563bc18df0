"""One table from the error tree to HTTP. Handlers raise; a dialect renders what this says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from types import MappingProxyType

from tornado.web import HTTPError

from jupyter_sessmgr.model import errors as tree

#: Seconds after which a client may ask again, where nothing better is known.
RETRY_AFTER = 5
#: The same, where a person has to do something first.
RETRY_AFTER_REPAIR = 60
#: What the type of a problem begins with.
_PROBLEMS = "https://api.backend.ai/probs/"


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of the table."""

    status: int
    slug: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong with a request, ready to be rendered by a dialect."""

    status: int
    #: A word for programs; upstream's, where upstream has one.
    slug: str
    #: What kind of thing went wrong.
    title: str
    #: What happened and what to do, for people. Never a secret.
    message: str
    data: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    retryable: bool = False
    #: Seconds for the ``Retry-After`` header; None: no header.
    retry_after: int | None = None

    def body(self) -> dict[str, object]:
        """Write it as ``application/problem+json``."""
        return {
            "type": _PROBLEMS + self.slug,
            "title": self.title,
            "msg": self.message,
            "data": dict(self.data),
            "retryable": self.retryable,
        }


#: An error is answered by the row of its nearest ancestor.
ANSWERS: Mapping[type[tree.SessmgrError], Answer] = MappingProxyType(
    {
        tree.SessmgrError: Answer(500, "internal-server-error", "Internal error."),
        tree.InvalidRequest: Answer(
            400, "invalid-api-params", "Missing or invalid API parameters."
        ),
        tree.ImageNotFound: Answer(404, "image-not-found", "No such environment image."),
        tree.NoSuchFile: Answer(404, "file-not-found", "No such file or folder."),
        tree.NotAllowed: Answer(403, "generic-forbidden", "Not allowed."),
        tree.SessionNotFound: Answer(404, "session-not-found", "No such session."),
        tree.ServiceNotFound: Answer(404, "app-not-found", "No such service."),
        tree.LimitExceeded: Answer(406, "quota-exceeded", "Over the server's limits."),
        tree.NameTaken: Answer(
            409, "session-already-exists", "The session already exists with the same name."
        ),
        tree.NotRunning: Answer(
            409, "session-not-running", "The session's status does not permit this."
        ),
        tree.AuthFailed: Answer(401, "auth-failed", "Credential or signature mismatch."),
        tree.Unsupported: Answer(501, "not-implemented", "Not supported by this server."),
        tree.TooManyRequests: Answer(429, "rate-limit-exceeded", "Too many requests."),
        tree.Standby: Answer(503, "service-unavailable", "The session manager is not open."),
        tree.EngineError: Answer(502, "engine-error", "The engine failed."),
        tree.EngineUnavailable: Answer(503, "service-unavailable", "The engine does not answer."),
        tree.AgentError: Answer(502, "agent-error", "The session's agent failed."),
        tree.AgentUnavailable: Answer(
            503, "service-unavailable", "The session's agent does not answer."
        ),
        tree.ServiceError: Answer(502, "service-error", "The service failed."),
        tree.ServiceStarting: Answer(503, "service-unavailable", "The service is starting."),
        tree.ServiceTimeout: Answer(504, "service-timeout", "The service does not answer."),
        tree.StoreError: Answer(503, "service-unavailable", "The state cannot be written."),
        tree.StoreRefused: Answer(503, "service-unavailable", "The state folder is not usable."),
    }
)

#: Words for what tornado and Jupyter refuse without saying more.
_HTTP_WORDS = MappingProxyType(
    {
        403: "The credentials are missing, wrong, or do not permit this.",
        405: "This path does not take this method; the header Allow names those that it takes.",
    }
)
_HTTP_SLUGS = MappingProxyType({401: "auth-failed", 403: "auth-failed", 429: "rate-limit-exceeded"})


def problem_of(
    error: BaseException | None,
    status: int = 500,
    statuses: Mapping[type[tree.SessmgrError], int] = MappingProxyType({}),
) -> Problem:
    """Say what an exception that left a handler means to its client.

    Parameters
    ----------
    error : BaseException or None
        What was raised. Anything outside our tree and tornado's `HTTPError` is told as an
        internal error without its text, which is for the log.
    status : int
        What tornado would answer.
    statuses : mapping
        A dialect's own status codes, by row of the table.
    """
    if isinstance(error, tree.SessmgrError):
        return _from_tree(error, statuses)
    title = responses.get(status, "Error")
    slug = _HTTP_SLUGS.get(status, title.lower().replace(" ", "-"))
    if status >= 500:  # noqa: PLR2004 - where HTTP's server errors begin
        slug, title = "internal-server-error", "Internal error."
        return Problem(
            status=status, slug=slug, title=title, message="Something broke; see the server's log."
        )
    words = _HTTP_WORDS.get(status, title)
    if isinstance(error, HTTPError) and error.log_message and not error.args:
        words = error.log_message.replace("%%", "%")
    return Problem(status=status, slug=slug, title=title, message=words)


def _from_tree(
    error: tree.SessmgrError, statuses: Mapping[type[tree.SessmgrError], int]
) -> Problem:
    row = next(kind for kind in type(error).__mro__ if kind in ANSWERS)
    answer = ANSWERS[row]
    status = statuses.get(row, answer.status)
    retry_after = None
    if status in (503, 429):
        retry_after = RETRY_AFTER if error.retryable else RETRY_AFTER_REPAIR
    return Problem(
        status=status,
        slug=answer.slug,
        title=answer.title,
        message=error.message,
        data=error.data,
        retryable=error.retryable,
        retry_after=retry_after,
    )
