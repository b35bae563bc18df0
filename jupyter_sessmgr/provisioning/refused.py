"""How a Jupyter server's API answers when a kernel cannot be started."""

from __future__ import annotations

from tornado.web import HTTPError

from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed, SessmgrError


class KernelRefused(HTTPError):
    """An error of ours in a form whose text reaches the person.

    ``POST /api/kernels`` tells the text of an `HTTPError` only, and ``POST /api/sessions``, whose
    answer JupyterLab shows, tells `str` of any error; for this one both are the error's message.
    """

    def __init__(self, error: SessmgrError) -> None:
        super().__init__(_status(error), error.message)
        self.message = error.message

    def __str__(self) -> str:
        return self.message


def _status(error: SessmgrError) -> int:
    if isinstance(error, InvalidRequest):
        return 400
    if isinstance(error, NotAllowed):
        return 403
    return 503 if error.retryable else 500
