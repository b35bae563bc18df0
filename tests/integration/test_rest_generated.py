"""Requests that a program made from the OpenAPI document, sent to a real server.

A few here; ``make fuzz`` sends ten thousand.
"""

from __future__ import annotations

import pytest

from tests.generated.run import CONFIG, destroy_all, generate

SEED = 20261122


@pytest.fixture(scope="module")
def server(module_servers):
    server = module_servers.start(config=CONFIG)
    yield server
    destroy_all(server)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_is_one_that_the_document_has(server, tmp_path):
    answers, code, output = generate(
        server, seed=SEED, examples=20, phases="examples,fuzzing", folder=tmp_path
    )
    assert code == 0, output
    assert sum(answers.values()) > 600
    seen = {answer.rpartition(" ")[2] for answer in answers}
    assert {"200", "201", "204", "401", "403", "404", "415"} <= seen
    assert "Traceback" not in server.log()


def test_an_answer_that_the_document_has_not_is_found(server, tmp_path):
    document = server.ask("GET", "sessmgr/api/openapi.json").json()
    path = "/sessmgr/api/offers"
    operation = document["paths"][path]["get"]
    operation["responses"] = {"404": operation["responses"]["400"]}
    document["paths"] = {path: {"get": operation}}
    answers, code, output = generate(
        server, seed=SEED, examples=5, phases="fuzzing", folder=tmp_path, document=document
    )
    assert code == 1, output
    assert answers, output
    assert "ndocumented" in output


def test_a_key_that_the_document_has_not_is_found(server, tmp_path):
    document = server.ask("GET", "sessmgr/api/openapi.json").json()
    path = "/sessmgr/api/health"
    del document["components"]["schemas"]["HealthReply"]["properties"]["engine"]
    document["components"]["schemas"]["HealthReply"]["required"].remove("engine")
    document["paths"] = {path: document["paths"][path]}
    _, code, output = generate(
        server, seed=SEED, examples=5, phases="fuzzing", folder=tmp_path, document=document
    )
    assert code == 1, output
    assert "'engine' was unexpected" in output
