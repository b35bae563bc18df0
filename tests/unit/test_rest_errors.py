"""The one table from errors to HTTP."""

from __future__ import annotations

import pytest
from tornado.web import HTTPError

from jupyter_sessmgr.model import errors as tree
from jupyter_sessmgr.rest.errors import ANSWERS, problem_of


def all_errors():
    return [
        kind
        for kind in vars(tree).values()
        if isinstance(kind, type) and issubclass(kind, tree.SessmgrError)
    ]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_an_answer(kind):
    problem = problem_of(kind("It broke; do this.", field="x"))
    assert problem.message == "It broke; do this."
    assert problem.data == {"field": "x"}
    assert problem.retryable == kind.retryable
    assert 400 <= problem.status < 600
    assert (problem.status in (429, 503)) == (problem.retry_after is not None)
    if kind.retryable:
        assert problem.status in (429, 503, 504)


@pytest.mark.parametrize(
    ("kind", "status", "slug"),
    [
        (tree.InvalidRequest, 400, "invalid-api-params"),
        (tree.ImageNotFound, 404, "image-not-found"),
        (tree.SessionNotFound, 404, "session-not-found"),
        (tree.LimitExceeded, 406, "quota-exceeded"),
        (tree.NameTaken, 409, "session-already-exists"),
        (tree.Standby, 503, "service-unavailable"),
        (tree.EngineUnavailable, 503, "service-unavailable"),
        (tree.StoreError, 503, "service-unavailable"),
        (tree.StartFailed, 409, "session-not-running"),
        (tree.SessmgrError, 500, "internal-server-error"),
    ],
)
def test_answers(kind, status, slug):
    problem = problem_of(kind("x"))
    assert (problem.status, problem.slug) == (status, slug)


def test_an_error_without_a_row_is_answered_by_its_ancestors():
    class Fancier(tree.StartFailed):
        """Not in the table."""

    assert Fancier not in ANSWERS
    assert problem_of(Fancier("x")).status == 409


def test_a_dialect_changes_the_status_of_one_row_only():
    statuses = {tree.InvalidRequest: 401}
    assert problem_of(tree.InvalidRequest("x"), statuses=statuses).status == 401
    assert problem_of(tree.ImageNotFound("x"), statuses=statuses).status == 404


def test_words_of_http_errors_are_told_and_those_of_bugs_are_not():
    told = problem_of(HTTPError(415, "Send 100% JSON."), 415)
    assert (told.message, told.slug) == ("Send 100% JSON.", "unsupported-media-type")
    hidden = problem_of(ValueError("the password is hunter2"), 500)
    assert (hidden.status, hidden.slug) == (500, "internal-server-error")
    assert "hunter2" not in hidden.message
