"""THREATS B2: a GET that has effects has none when a page of another site sent it."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_sessmgr.model.requests import CreateRequest
from tests.integration.test_attach_meaning import forget, path, without_use
from tests.plugins.people import ReadOnly
from tests.plugins.waiting import eventually


@pytest.fixture
def app(inside):
    return inside()


def state(app, session_id):
    """All that attaching could change."""
    return (
        [without_use(row) for row in app.sessions._open_parts().store.sessions(live=False)],
        app.sessions.activity.of(session_id).active_at,
        app.app.kernel_manager.list_kernel_ids(),
    )


async def is_at_rest(app, session_id):
    """Whether the kernel has answered all that was asked when it was listed."""
    before = app.sessions.activity.of(session_id).active_at
    await asyncio.sleep(0.3)
    return app.sessions.activity.of(session_id).active_at == before


async def prepared(app):
    made = await app.create(name="some-session")
    one = made["sessionId"]
    assert (await app.ask("GET", path(one))).code == 200
    # What listing a kernel asks of it counts as activity until it was answered.
    manager = app.app.kernel_manager.get_kernel(one)
    await eventually(lambda: manager.execution_state == "idle")
    await eventually(lambda: app.sessions.activity.of(one).busy is False)
    forget(app, one)
    await eventually(lambda: is_at_rest(app, one))
    return one, {"Cookie": await app.log_in()}


async def test_B2_a_cookie_has_no_effect_but_for_the_own_site(app):
    one, cookie = await prepared(app)
    before = state(app, one)
    for site in (None, "cross-site", "same-site", "nonsense", "same-origin, none", ""):
        headers = {**cookie, **({} if site is None else {"Sec-Fetch-Site": site})}
        for method in ("GET", "HEAD"):
            reply = await app.ask(method, path(one), headers=headers, anonymous=True)
            assert reply.code == 200
            assert not any("kernels" in link for link in reply.headers.get_list("Link"))
            assert state(app, one) == before, site


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_B2_the_own_site_and_the_person_have_an_effect(app, site):
    one, cookie = await prepared(app)
    before = state(app, one)
    headers = {**cookie, "Sec-Fetch-Site": site}
    assert (await app.ask("GET", path(one), headers=headers, anonymous=True)).code == 200
    assert app.app.kernel_manager.list_kernel_ids() == [one]
    assert state(app, one)[1] > before[1]


async def test_B2_a_token_always_has_an_effect(app):
    one, _ = await prepared(app)
    reply = await app.ask("GET", path(one), headers={"Sec-Fetch-Site": "cross-site"})
    assert reply.code == 200
    assert app.app.kernel_manager.list_kernel_ids() == [one]


@pytest.fixture
def reading(inside):
    return inside(ServerApp={"authorizer_class": ReadOnly})


async def test_B2_who_may_only_read_causes_nothing(reading):
    app = reading
    await app.ask("GET", "sessmgr/session")  # opens the manager
    session, _ = await app.sessions.create(CreateRequest(kernel=""), app.extension.owner)
    await app.sessions.settled(session.id, 60)
    before = app.sessions.activity.of(session.id).active_at
    assert (await app.ask("GET", path(session.id))).code == 200
    assert app.sessions.activity.of(session.id).active_at == before
