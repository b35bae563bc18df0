"""THREATS E1-E3 and A5 for programs that sign: whom a signature speaks for, and what it opens."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlsplit

import pytest

from tests.plugins.people import DenyAll, People
from tests.plugins.routes import METHODS, is_probe, our_paths
from tests.plugins.signing import signature

JSON = "application/json"


@pytest.fixture
def app(inside):
    return inside()


async def new_pair(app, owner, **kwargs):
    pair, secret = await asyncio.to_thread(app.sessions.keypairs.add, owner, **kwargs)
    return {"access_key": pair.access_key, "secret_key": secret}


async def ask(app, pair, method, path, *, body=None, content_type="text/plain", **changed):
    """Send a signed request, as a stock client does; `changed` goes under the signature."""
    url = urlsplit(app.base + path)
    target = url.path + (f"?{url.query}" if url.query else "")
    fields = {"method": method, "target": target, "host": url.netloc, **changed}
    headers = signature(pair, content_type=content_type, **fields).headers()
    if body is None and method in {"POST", "PATCH", "PUT"}:
        body = b""
    return await app.ask(method, path, body=body, headers=headers, anonymous=True)


async def create(app, pair, **body):
    sent = json.dumps({"enqueueOnly": True, **body}).encode()
    return await ask(app, pair, "POST", "sessmgr/session", body=sent, content_type=JSON)


async def test_E1_a_pair_speaks_for_its_owner(app):
    alice, bob = await new_pair(app, "alice"), await new_pair(app, "bob")
    also_alice = await new_pair(app, "alice")
    made = json.loads((await create(app, alice, name="same-name")).body)
    others = json.loads((await create(app, bob, name="same-name")).body)
    assert made["sessionId"] != others["sessionId"]
    for pair, seen in ((also_alice, made), (bob, others)):
        reply = await ask(app, pair, "GET", "sessmgr/session/same-name")
        assert json.loads(reply.body)["sessionId"] == seen["sessionId"]
    for reference in (made["sessionId"], made["sessionNumber"]):
        assert (await ask(app, bob, "GET", f"sessmgr/session/{reference}")).code == 404
        assert (await ask(app, bob, "DELETE", f"sessmgr/session/{reference}")).code == 404
    listed = json.loads((await ask(app, bob, "GET", "sessmgr/session?all=true")).body)
    assert [one["sessionId"] for one in listed["items"]] == [others["sessionId"]]
    assert (await ask(app, alice, "DELETE", "sessmgr/session/same-name")).code == 200


async def test_E2_signed_and_token_calls_of_one_owner_are_the_same(app):
    pair = await new_pair(app, app.extension.owner)
    await create(app, pair, name="by-program")
    assert (await app.ask("GET", "sessmgr/session/by-program")).code == 200
    assert (await app.ask("DELETE", "sessmgr/session/by-program")).code == 204


async def test_a_running_server_sees_a_new_and_a_removed_pair_at_once(app):
    pair = await new_pair(app, "alice")
    assert (await ask(app, pair, "GET", "sessmgr/session")).code == 200
    assert await asyncio.to_thread(app.sessions.keypairs.remove, pair["access_key"])
    assert (await ask(app, pair, "GET", "sessmgr/session")).code == 401
    pair = await new_pair(app, "alice")
    assert (await ask(app, pair, "GET", "sessmgr/session")).code == 200


async def refusals(app, pair):
    """Send what must be refused alike: a wrong signature, and one for a key that there is not."""
    wrong = {**pair, "secret_key": "0" * 64}
    unknown = {**pair, "access_key": "A" * len(pair["access_key"])}
    return [await ask(app, one, "GET", "sessmgr/session") for one in (wrong, unknown)]


async def test_A5_unknown_keys_and_wrong_signatures_are_the_same_answer(app):
    pair = await new_pair(app, "alice")
    answers = [
        (reply.code, {k: v for k, v in reply.headers.get_all() if k != "Date"}, reply.body)
        for reply in await refusals(app, pair)
    ]
    assert answers[0] == answers[1]
    status, headers, body = answers[0]
    assert (status, headers["Content-Type"]) == (401, "application/problem+json")
    assert json.loads(body)["type"] == "https://api.backend.ai/probs/auth-failed"
    assert "WWW-Authenticate" not in headers


async def test_A5_unknown_keys_and_wrong_signatures_take_the_same_time(app):
    pair = await new_pair(app, "alice")
    wrong = {**pair, "secret_key": "0" * 64}
    unknown = {**pair, "access_key": "A" * len(pair["access_key"])}
    times = {id(wrong): [], id(unknown): []}
    for _ in range(60):
        for one in (wrong, unknown):
            began = time.perf_counter()
            await ask(app, one, "GET", "sessmgr/session")
            times[id(one)].append(time.perf_counter() - began)
    first, second = (median(one) for one in times.values())
    assert abs(first - second) < 0.3 * max(first, second), (first, second)


async def test_without_any_pair_no_signature_is_right(app):
    await app.sessions.keypairs.refresh()
    nobody = {"access_key": "A" * 20, "secret_key": "0" * 64}
    assert (await ask(app, nobody, "GET", "sessmgr/session")).code == 401
    assert not (app.sessions.keypairs._folder / "key-pairs.json").exists()


async def test_a_wrong_signature_is_not_saved_by_other_credentials(app):
    pair = await new_pair(app, "alice")
    headers = signature({**pair, "secret_key": "0" * 64}).headers()
    headers["Cookie"] = await app.log_in()
    token = app.app.identity_provider.token
    path = f"sessmgr/session?token={token}"
    assert (await app.ask("GET", path, headers=headers, anonymous=True)).code == 401


async def test_B1_only_a_verified_signature_needs_no_json_and_no_xsrf_token(app):
    pair = await new_pair(app, "alice")
    await create(app, pair, name="some-session")
    for content_type in ("text/plain", "application/octet-stream"):
        reply = await ask(app, pair, "DELETE", "sessmgr/session/absent", content_type=content_type)
        assert reply.code == 404, reply.body
    forged = {**pair, "secret_key": "0" * 64}
    assert (await ask(app, forged, "DELETE", "sessmgr/session/some-session")).code == 401
    plain = {"Content-Type": "text/plain"}
    assert (await app.ask("DELETE", "sessmgr/session/some-session", headers=plain)).code == 415
    assert (await ask(app, pair, "GET", "sessmgr/session/some-session")).code == 200


async def test_B3_a_signature_does_not_open_a_foreign_host_name(app):
    pair = await new_pair(app, "alice")
    url = urlsplit(app.base + "sessmgr/session")
    signed = signature(pair, target=url.path, host="evil.test")
    headers = {**signed.headers(), "Host": "evil.test"}
    assert (await app.ask("GET", "sessmgr/session", headers=headers, anonymous=True)).code == 403


@pytest.fixture
def behind_proxy(inside):
    return inside(SessMgrApp={"accepted_hosts": ["hub.example"]})


async def test_a_proxy_may_change_the_host_name_where_the_admin_says_so(behind_proxy):
    app = behind_proxy
    pair = await new_pair(app, "alice")
    assert (await ask(app, pair, "GET", "sessmgr/session", host="hub.example")).code == 200
    assert (await ask(app, pair, "GET", "sessmgr/session")).code == 200
    url = urlsplit(app.base + "sessmgr/session")
    signed = signature(pair, target=url.path, host="other.example").headers()
    forwarded = {"X-Forwarded-Host": "other.example", "Forwarded": "host=other.example"}
    for more in ({}, forwarded):
        headers = {**signed, **more}
        reply = await app.ask("GET", "sessmgr/session", headers=headers, anonymous=True)
        assert reply.code == 401


async def test_a_request_can_be_sent_again_while_its_date_is_good(app):
    pair = await new_pair(app, "alice")
    early = (datetime.now(UTC) - timedelta(minutes=14)).isoformat()
    for _ in range(2):
        assert (await ask(app, pair, "GET", "sessmgr/session", date=early)).code == 200
    late = (datetime.now(UTC) - timedelta(minutes=16)).isoformat()
    reply = await ask(app, pair, "GET", "sessmgr/session", date=late)
    assert reply.code == 401
    assert json.loads(reply.body)["msg"].startswith("Date: more than 15 minutes")


async def test_E11_neither_signatures_nor_secrets_are_logged(app, inside_log):
    pair = await new_pair(app, "alice")
    url = urlsplit(app.base + "sessmgr/session")
    signed = signature(pair, target=url.path, host=url.netloc)
    assert (await app.ask("GET", "sessmgr/session", headers=signed.headers())).code == 200
    forged = signed.but(target="/").headers()
    assert (await app.ask("GET", "sessmgr/session", headers=forged)).code == 401
    for secret in (signed.hexdigest(), signed.but(target="/").hexdigest(), pair["secret_key"]):
        assert secret not in inside_log()


@pytest.fixture
def denying(inside):
    return inside(ServerApp={"authorizer_class": DenyAll})


async def test_E3_the_authorizer_decides_about_who_signs_too(denying):
    pair = await new_pair(denying, "alice", admin=True)
    for path in our_paths(denying.app.web_app):
        for method in METHODS:
            if is_probe(path) or method in {"OPTIONS", "HEAD", "PUT"}:
                continue
            reply = await ask(denying, pair, method, path)
            assert reply.code in {403, 405}, (method, path)


async def exempt(app, pair, reference):
    path = f"sessmgr/api/session/{reference}/exempt"
    return await ask(app, pair, "POST", path, body=b"{}", content_type=JSON)


async def test_E1_only_an_admins_pair_acts_for_others(app):
    alice, bob = await new_pair(app, "alice"), await new_pair(app, "bob")
    root = await new_pair(app, "root", admin=True)
    made = json.loads((await create(app, alice, name="some-session")).body)
    session = "sessmgr/session/some-session?owner_access_key="
    as_alice = session + alice["access_key"]
    assert (await ask(app, root, "GET", as_alice)).code == 200
    assert (await ask(app, alice, "GET", as_alice)).code == 200
    assert (await ask(app, root, "GET", "sessmgr/session/some-session")).code == 404
    existing, unknown = [
        await ask(app, bob, "GET", path) for path in (as_alice, session + "A" * 20)
    ]
    assert (existing.code, existing.body) == (unknown.code, unknown.body)
    assert existing.code == 403
    assert (await exempt(app, bob, made["sessionId"])).code == 403
    assert (await exempt(app, alice, made["sessionId"])).code == 403
    assert (await exempt(app, root, made["sessionId"])).code == 200
    body = {"enqueueOnly": True, "owner_access_key": alice["access_key"]}
    sent = {"body": json.dumps(body).encode(), "content_type": JSON}
    assert (await ask(app, bob, "POST", "sessmgr/session", **sent)).code == 403
    reply = await ask(app, root, "POST", "sessmgr/session", **sent)
    assert reply.code == 201, reply.body
    listed = json.loads((await ask(app, alice, "GET", "sessmgr/session")).body)
    assert listed["total"] == 2


@pytest.fixture
def with_admins(inside):
    return inside(
        ServerApp={"identity_provider_class": People}, SessMgrApp={"admin_users": {"alice"}}
    )


async def test_E1_people_are_admins_by_name(with_admins):
    app = with_admins
    for name, code in (("alice", 200), ("bob", 403)):
        person = {"X-Person": name}
        reply = await app.ask("POST", "sessmgr/session", body={"enqueueOnly": True}, headers=person)
        path = f"sessmgr/api/session/{json.loads(reply.body)['sessionId']}/exempt"
        assert (await app.ask("POST", path, body={}, headers=person)).code == code
