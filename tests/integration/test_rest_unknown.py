"""Paths below ours that are nobody's."""

from __future__ import annotations

import json

import pytest

PATHS = [
    "sessmgr/nonsense",
    "sessmgr/session/some/nonsense",
    "sessmgr/api/<script>",
    "sessmgr/s/nonsense",
    "session/some/nonsense",
]
PAGE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,*/*"}


@pytest.fixture
def app(inside):
    return inside()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_programs_are_told_by_a_problem(app, method):
    answers = set()
    for path in PATHS:
        body = {} if method in {"POST", "PUT"} else None
        reply = await app.ask(method, path, body=body)
        assert reply.code == 404
        assert reply.headers["Content-Type"] == "application/problem+json"
        answers.add(reply.body)
    (answer,) = answers  # whatever is asked for
    told = json.loads(answer)
    assert told["type"].endswith("/not-found")
    assert "openapi.json" in told["msg"]


async def test_people_see_jupyters_page(app):
    for path in PATHS:
        reply = await app.ask("GET", path, headers=PAGE)
        assert reply.code == 404
        assert reply.headers["Content-Type"].startswith("text/html")
        assert b"Jupyter Server" in reply.body
        assert b"<script>alert" not in reply.body
        assert "default-src" not in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize("headers", [{}, PAGE])
async def test_A1_strangers_learn_nothing_of_what_there_is(app, headers):
    replies = [await app.ask("GET", path, headers=headers, anonymous=True) for path in PATHS]
    known = await app.ask("GET", "sessmgr/session", headers=headers, anonymous=True)
    assert {reply.code for reply in replies} == {known.code} == {403}


async def test_a_slash_at_the_end_is_taken_away(app):
    reply = await app.ask("GET", "sessmgr/session/")
    assert (reply.code, reply.headers["Location"]) == (302, f"{app.app.base_url}sessmgr/session")


@pytest.fixture
def modest(inside):
    return inside(SessMgrApp={"document_routes": False})


async def test_the_other_root_can_be_left_to_others(modest):
    ours = await modest.ask("GET", "sessmgr/nonsense")
    assert (ours.code, ours.headers["Content-Type"]) == (404, "application/problem+json")
    theirs = await modest.ask("GET", "session/some/nonsense")
    assert (theirs.code, theirs.headers["Content-Type"]) == (404, "text/html")
