"""THREATS B: what a web page in the user's browser must not be able to do."""

from __future__ import annotations

import pytest

from tests.plugins.routes import METHODS, is_probe, our_paths

WRITES = ("POST", "PATCH", "DELETE")
#: What a page of another site can send without asking the server first.
FORMS = {
    "text/plain": b'{"name": "abcd"}',
    "text/plain; charset=application/json": b'{"name": "abcd"}',
    "application/x-www-form-urlencoded": b"name=abcd",
    "multipart/form-data; boundary=x": (
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nabcd\r\n--x--\r\n'
    ),
}


@pytest.fixture
def app(inside):
    return inside()


def rows(app):
    return list(app.sessions._open_parts().store.sessions(live=False))


async def test_B1_a_cookie_alone_changes_nothing(app):
    await app.create(name="some-session")
    cookie = {"Cookie": await app.log_in()}
    before = rows(app)
    for path in our_paths(app.app.web_app):
        for method in WRITES:
            reply = await app.ask(method, path, body={}, headers=cookie, anonymous=True)
            assert reply.code in {403, 405}, (method, path)
    assert rows(app) == before


async def test_B1_what_a_form_can_send_is_refused(app):
    await app.create(name="some-session")
    before = rows(app)
    for path in our_paths(app.app.web_app):
        # Its body is no JSON, and it says itself what is wrong with this one.
        refusals = {405, 415, 401} if path.endswith("/upload") else {405, 415}
        for method in WRITES:
            for kind, body in FORMS.items():
                reply = await app.ask(method, path, body=body, headers={"Content-Type": kind})
                assert reply.code in refusals, (method, path, kind)
    assert rows(app) == before


async def test_B1_a_page_cannot_send_files_with_the_users_cookie(app):
    await app.create(name="some-session")
    cookie = await app.log_in()
    for kind, body in FORMS.items():
        headers = {"Cookie": cookie, "Content-Type": kind}
        for path in ("sessmgr/session/some-session/upload", "session/some-session/upload"):
            reply = await app.ask("POST", path, body=body, headers=headers, anonymous=True)
            assert reply.code == 403, (path, kind)


async def test_B1_a_bodiless_post_is_refused_too(app):
    assert (await app.ask("GET", "sessmgr/session")).code == 200
    reply = await app.ask("POST", "sessmgr/session", body=b"")
    assert reply.code == 415
    assert rows(app) == []


async def test_B1_reading_changes_nothing(app):
    await app.create(name="some-session")
    foreign_page = {"Cookie": await app.log_in(), "Sec-Fetch-Site": "cross-site"}
    before = rows(app)
    for path in our_paths(app.app.web_app):
        for method in ("GET", "HEAD"):
            await app.ask(method, path, headers=foreign_page, anonymous=True)
            if not path.partition("?")[0].endswith("/Attach"):  # somebody's own counts as use
                await app.ask(method, path)
    assert rows(app) == before


async def test_B3_a_foreign_host_name_is_refused(app):
    made = await app.create(name="some-session")
    paths = [*our_paths(app.app.web_app), f"api/kernels/{made['sessionId']}/channels"]
    for path in paths:
        for method in METHODS:
            body = {} if method in {"POST", "PATCH", "PUT"} else None
            reply = await app.ask(method, path, body=body, headers={"Host": "evil.test"})
            assert reply.code == 403, (method, path)


@pytest.fixture
def pattern_app(inside):
    return inside(ServerApp={"allow_origin_pat": r"http://good\.example"})


@pytest.mark.filterwarnings("ignore:allow_origin_pat:UserWarning")
async def test_B4_a_look_alike_origin_may_not_read(pattern_app):
    app = pattern_app
    cookie = await app.log_in()
    for path in our_paths(app.app.web_app):
        headers = {"Cookie": cookie, "Origin": "http://good.example.evil"}
        reply = await app.ask("GET", path, headers=headers, anonymous=True)
        assert "Access-Control-Allow-Origin" not in reply.headers
        assert is_probe(path) or reply.code in {403, 404, 405}, path
    reply = await app.ask("GET", "sessmgr/session", headers={"Origin": "http://good.example"})
    assert reply.headers["Access-Control-Allow-Origin"] == "http://good.example"


async def test_B5_no_page_may_frame_ours(app):
    await app.create(name="some-session")
    for path in [*our_paths(app.app.web_app), "sessmgr/session/absent"]:
        for anonymous in (False, True):
            reply = await app.ask("GET", path, anonymous=anonymous)
            policy = reply.headers["Content-Security-Policy"]
            assert "frame-ancestors 'self'" in policy, path
            assert "default-src 'none'" in policy, path
            assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_B1_jupyters_own_pages_may_write(app):
    cookie = await app.log_in()
    page = await app.ask("GET", "login", anonymous=True)
    xsrf = page.headers.get_list("Set-Cookie")[0].partition(";")[0]
    assert xsrf.startswith("_xsrf="), xsrf
    headers = {"Cookie": f"{cookie}; {xsrf}", "X-XSRFToken": xsrf.partition("=")[2]}
    reply = await app.ask(
        "POST", "sessmgr/session", body={"enqueueOnly": True}, headers=headers, anonymous=True
    )
    assert reply.code == 201, reply.body
