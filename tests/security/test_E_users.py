"""THREATS E: what somebody with credentials must not be able to do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.plugins.bodies import MALFORMED
from tests.plugins.people import DenyAll, ReadOnly
from tests.plugins.routes import good_calls, is_probe, our_paths, our_routes

ALICE, BOB = {"X-Person": "alice"}, {"X-Person": "bob"}


@pytest.fixture
def app(inside):
    return inside()


async def refused(app, body, *codes):
    """Ask for a session that must not be made; return the answer."""
    reply = await app.ask("POST", "sessmgr/session", body=body)
    assert reply.code in codes, (body, reply.code, reply.body)
    assert app.sessions._open_parts().store.sessions(live=False) == []
    return json.loads(reply.body)


async def test_E1_owners_do_not_see_each_other(inside_people):
    app = inside_people
    made = {}
    for name, who in (("alice", ALICE), ("bob", BOB)):
        reply = await app.ask(
            "POST", "sessmgr/session", body={"name": "same-name", "enqueueOnly": True}, headers=who
        )
        assert reply.code == 201
        made[name] = json.loads(reply.body)
    assert made["alice"]["sessionId"] != made["bob"]["sessionId"]
    await app.sessions.settled(made["alice"]["sessionId"], 60)
    store = app.sessions._open_parts().store
    before = store.get(made["alice"]["sessionId"])
    for reference in (made["alice"]["sessionId"], str(made["alice"]["sessionNumber"])):
        for path, handler in our_routes(app.app.web_app, reference):
            pieces = path.partition("?")[0].split("/")
            if reference in pieces and "Sessions" not in pieces:  # a cluster's name, there
                await refused_to_bob(app, path, handler)
    assert store.get(made["alice"]["sessionId"]) == before
    for query in ("", "?all=true"):
        listed = json.loads((await app.ask("GET", f"sessmgr/session{query}", headers=BOB)).body)
        assert [one["sessionId"] for one in listed["items"]] == [made["bob"]["sessionId"]]
        assert listed["total"] == 1
    own = json.loads((await app.ask("GET", "sessmgr/session/same-name", headers=BOB)).body)
    assert own["sessionId"] == made["bob"]["sessionId"]


#: No such session; no such method; nothing of that kind here; a websocket; for admins.
REFUSALS = {404, 405, 501, 400, 403}


async def refused_to_bob(app, path, handler):
    """Ask, as Bob, for what works on somebody's own session."""
    form = {"Content-Type": "multipart/form-data; boundary=x", **BOB}
    part = b'--x\r\nContent-Disposition: form-data; name="src"; filename="a"\r\n\r\nb\r\n--x--\r\n'
    for method in ("GET", "POST", "PATCH", "DELETE"):
        for call, body in good_calls(path, handler, method):
            kwargs = {"body": body, "headers": BOB}
            if path.endswith("/upload"):
                kwargs = {"body": part, "headers": form}
            reply = await app.ask(method, call, **kwargs)
            assert reply.code in REFUSALS, (method, call, body, reply.code, reply.body)


async def test_E1_a_foreign_session_is_no_kernel_of_this_server(inside_people):
    app = inside_people
    reply = await app.ask("POST", "sessmgr/session", body={"name": "alices"}, headers=ALICE)
    foreign = json.loads(reply.body)["sessionId"]
    kernels = json.loads((await app.ask("GET", "api/kernels", headers=BOB)).body)
    assert foreign not in {kernel["id"] for kernel in kernels}
    assert (await app.ask("GET", f"api/kernels/{foreign}", headers=BOB)).code == 404


async def test_E2_every_token_call_is_the_same_owner(app):
    made = await app.create(name="made-by-token", enqueueOnly=True)
    users = {(await app.ask("GET", "api/me")).body for _ in range(3)}
    assert len(users) == 3  # a new name for each: it must own nothing
    reply = await app.ask("GET", "sessmgr/session/made-by-token")
    assert json.loads(reply.body)["sessionId"] == made["sessionId"]
    assert (await app.ask("DELETE", "sessmgr/session/made-by-token")).code == 204


@pytest.fixture
def denying(inside):
    return inside(ServerApp={"authorizer_class": DenyAll})


async def test_E3_the_authorizer_decides(denying):
    for path in our_paths(denying.app.web_app):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            if is_probe(path):
                continue
            body = {} if method in {"POST", "PATCH"} else None
            reply = await denying.ask(method, path, body=body)
            assert reply.code in {403, 405}, (method, path)


@pytest.fixture
def reading(inside):
    return inside(ServerApp={"authorizer_class": ReadOnly})


async def test_E3_reading_and_writing_are_different_permissions(reading):
    for path in our_paths(reading.app.web_app):
        reply = await reading.ask("GET", path)
        runs = path.startswith("sessmgr/stream/") and not path.endswith("/_/events")
        files = path.endswith(("/files", "/download", "/download_single"))
        # More than reading: it runs something, or shows what code runs on.
        assert (reply.code == 403) == (runs or files), path
        for method in ("POST", "PATCH", "DELETE"):
            body = {} if method in {"POST", "PATCH"} else None
            reply = await reading.ask(method, path, body=body)
            nothing = {404} if path.endswith("/unknown") else set()
            assert reply.code in {403, 405, 501} | nothing, (method, path)


BAD_VARIABLES = [
    {"A=B": "1"},
    {"A\nB": "1"},
    {"": "1"},
    {"1A": "1"},
    {"Ä": "1"},
    {"A B": "1"},
    {"A": 1},
    {"A": "x" * 32769},
    {f"A{number}": "x" * 32000 for number in range(9)},
    {"JPY_PARENT_PID": "1"},
    {"JUPYTER_TOKEN": "1"},
    {"SESSMGR_KILLPOINT": "1"},
    {"KERNEL_ID": "1"},
]


@pytest.mark.parametrize("environ", BAD_VARIABLES, ids=lambda environ: repr(next(iter(environ))))
async def test_E5_variables_that_may_not_be(app, environ):
    await refused(app, {"config": {"environ": environ}}, 401)
    problem = await refused(app, {"config": {"environ": {"A": "x\0y"}}}, 401)
    assert "x" not in problem["data"].values()


def test_E5_variables_reach_the_kernel_and_not_the_server(server):
    environ_file = Path(f"/proc/{server.pid}/environ")
    before = environ_file.read_bytes()
    environ = {"LD_PRELOAD": "/no/such/library.so", "MINE": "$(id) {{7*7}} `id`"}
    made = server.create(name="with-environ", config={"environ": environ})
    shown = server.execute(
        made["sessionId"], "import os; print(os.environ['LD_PRELOAD']); print(os.environ['MINE'])"
    )
    assert shown.splitlines() == list(environ.values())
    assert environ_file.read_bytes() == before
    assert "MINE" not in server.execute(made["sessionId"], "print(open('/proc/1/environ').read())")


def test_E6_no_secret_in_answers_logs_or_files(server):
    secret = "canary-5f0c2a"
    server.create(name="secretive", config={"environ": {"PASSWORD": secret}})
    answers = [
        server.ask("GET", path).text
        for path in (
            "sessmgr/session",
            "sessmgr/session/secretive",
            "sessmgr/session/secretive/logs",
            "sessmgr/api/health",
            "sessmgr/api/offers",
            "api/kernels",
            "api/kernelspecs",
            "api/sessions",
        )
    ]
    again = server.ask(
        "POST",
        "sessmgr/session",
        json={"name": "secretive", "config": {"environ": {"PASSWORD": secret, "1": secret}}},
    )
    wrong = server.ask(
        "POST", "sessmgr/session", json={"config": {"environ": {"PASSWORD": [secret]}}}
    )
    master = next(
        path.read_bytes() for path in server.state_dir.rglob("*secret*") if path.is_file()
    )
    for text in (*answers, again.text, wrong.text, server.log()):
        assert secret not in text
        assert master.hex() not in text
    server.ask("DELETE", "sessmgr/session/secretive")
    for path in server.state_dir.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in server.log()


BAD_IMAGES = [
    "alpine",
    "alpine:latest",
    "jupyter-sessmgr/python:other",
    "Jupyter-Sessmgr/Python:latest",
    "registry.evil/jupyter-sessmgr/python:latest",
    "jupyter-sessmgr/python@sha256:" + "0" * 64,
    "jupyter-sessmgr/python:latest\n",
    " jupyter-sessmgr/python:latest",
    "--privileged",
    "-v/:/host",
    "../python",
    "jupyter-sessmgr/pythön:latest",
    "jupyter-sessmgr/*",
    "x" * 300,
]


@pytest.mark.parametrize("image", BAD_IMAGES)
async def test_E7_only_allowed_images(app, image):
    await app.ask("GET", "sessmgr/session")  # the manager is open before the clock runs
    begin = time.monotonic()
    await refused(app, {"image": image}, 401, 404)
    assert time.monotonic() - begin < 1


TOO_MUCH = [{"mem": "900t"}, {"cpu": "4096"}, {"cuda.device": 99}, {"cuda.shares": "0.5"}]
NOT_AMOUNTS = ["-1", "1e9", "NaN", "inf", "0x10", str(2**63), "4 g", "4q", "", "٣", True, [], {}]


@pytest.mark.parametrize("resources", TOO_MUCH, ids=str)
async def test_E8_more_than_the_limits(app, resources):
    problem = await refused(app, {"config": {"resources": resources}}, 406)
    assert problem["msg"]


@pytest.mark.parametrize("slot", ["mem", "cpu", "cuda.device"])
@pytest.mark.parametrize("amount", NOT_AMOUNTS, ids=repr)
async def test_E8_amounts_that_are_none(app, slot, amount):
    codes = {401, 406} if amount == str(2**63) else {401}
    await refused(app, {"config": {"resources": {slot: amount}}}, *codes)


@pytest.mark.parametrize("body", [b"1e999", b"-1", b"9223372036854775808", b"NaN"])
async def test_E8_numbers_that_are_none(app, body):
    for slot in (b"cpu", b"mem"):
        raw = b'{"config": {"resources": {"' + slot + b'": ' + body + b"}}}"
        headers = {"Content-Type": "application/json"}
        reply = await app.ask("POST", "sessmgr/session", body=raw, headers=headers)
        assert reply.code in {401, 406}, (slot, body)


@pytest.fixture
def small(inside):
    return inside(AdmissionControl={"max_sessions_per_owner": 2})


async def test_E8_more_sessions_than_allowed(small):
    for _ in range(2):
        await small.create(enqueueOnly=True)
    reply = await small.ask("POST", "sessmgr/session", body={"enqueueOnly": True})
    assert reply.code == 406
    assert len(small.sessions._open_parts().store.sessions()) == 2


BAD_NAMES = [
    "abc",
    "a" * 65,
    "-abcd",
    "abcd-",
    "abcd\n",
    "ab cd",
    "ab/cd",
    "abcd\u0660",
    "äbcd",
    "ab%2fcd",
    "../abcd",
    "create",
    "abc\u202ed",
    4711,
    ["abcd"],
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
async def test_E9_names_that_are_none(app, name):
    await refused(app, {"clientSessionToken": name}, 401)


async def test_E9_a_session_gets_no_other_name_than_one(app):
    made = await app.create(name="abcd", enqueueOnly=True)
    for name in filter(lambda one: isinstance(one, str), BAD_NAMES):
        path = f"sessmgr/session/{made['sessionId']}/rename?name={quote(name, errors='replace')}"
        reply = await app.ask("POST", path, body={})
        assert reply.code == 401, (name, reply.body)
    assert json.loads((await app.ask("GET", "sessmgr/session/abcd")).body)["sessId"] == "abcd"


async def test_E9_names_that_are_some(app):
    for name in ("abcd", "a" * 64, "4-letters", "with_and.too"):
        assert (await app.create(clientSessionToken=name, enqueueOnly=True))["sessId"] == name


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_E10_malformed_bodies_are_the_clients_fault(app, body):
    headers = {"Content-Type": "application/json"}
    reply = await app.ask("POST", "sessmgr/session", body=body, headers=headers)
    assert 400 <= reply.code < 500, reply.code
    assert reply.headers["Content-Type"] == "application/problem+json"


async def test_E10_a_large_body_is_refused(app):
    body = b'{"tag": "' + b"x" * 2**20 + b'"}'
    headers = {"Content-Type": "application/json"}
    reply = await app.ask("POST", "sessmgr/session", body=body, headers=headers)
    assert reply.code == 413


async def test_E10_a_body_on_other_routes_does_no_harm(app):
    await app.create(name="some-session")
    headers = {"Content-Type": "application/json"}
    for path in our_paths(app.app.web_app):
        for method in ("GET", "PUT"):
            reply = await app.ask(method, path, body=b'{"a": "\xff"}', headers=headers)
            assert reply.code < 500 or reply.code == 501, (method, path)


def test_E11_log_lines_cannot_be_forged(server):
    forged = "x\n[C 2026-01-01 00:00:00.000 ServerApp] \x1b[31mroot\u202e logged in"
    for body in (
        {"name": forged},
        {"image": forged},
        {"type": forged},
        {forged: 1, forged.upper(): 2},
    ):
        server.ask("POST", "sessmgr/session", json=body)
    server.ask("GET", "sessmgr/session/" + "%0a%5bC%20root%1b%5b31m%e2%80%ae")
    log = server.log()
    assert "\n[C 2026" not in log
    assert "\x1b[31mroot" not in log
    assert "\u202e" not in log
