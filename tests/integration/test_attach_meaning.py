"""What attaching does: a running session can be used from this server, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_sessmgr.model.errors import Standby
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.provisioning import adopt
from jupyter_sessmgr.testing import make_session
from tests.plugins.attachreaders import dotnet_fault, dotnet_info
from tests.plugins.waiting import eventually
from tests.security.test_E_key_pairs import ask as ask_signed
from tests.security.test_E_key_pairs import new_pair

QUERY = "durable=true&api-version=2011-11-01"
JSON = {"Accept": "application/json"}


@pytest.fixture
def app(inside):
    return inside()


def path(reference, durable="true"):
    return f"WindowsHpc/Session/{reference}/Attach?durable={durable}&api-version=2011-11-01"


async def opens(app, session_id):
    """Open a kernel's websocket as a client does that was just told of it; asks nothing before."""
    url = f"{app.base}api/kernels/{session_id}".replace("http:", "ws:", 1)
    socket = await websocket_connect(HTTPRequest(f"{url}/channels", headers=app.token))
    socket.close()


async def run(app, session_id, code):
    """Run code in a listed kernel; return what it wrote."""
    client = app.app.kernel_manager.get_kernel(session_id).client()
    client.start_channels()
    written = []
    try:
        await client.wait_for_ready(timeout=60)
        await client.execute_interactive(
            code, timeout=60, output_hook=lambda one: written.append(one["content"].get("text", ""))
        )
    finally:
        client.stop_channels()
    return "".join(written)


async def test_whoever_is_told_that_a_session_runs_can_open_its_kernel_at_once(app):
    for turn in range(3):
        made = await app.create(name=f"at-once-{turn}")
        assert made["status"] == "RUNNING"
        assert (await app.ask("GET", f"api/kernels/{made['sessionId']}")).code == 200
        await opens(app, made["sessionId"])


async def test_attach_says_when_a_start_is_over_and_the_kernel_can_be_used_then(app):
    made = await app.create(name="waited-for", enqueueOnly=True)
    refused = []

    async def attached():
        reply = await app.ask("GET", path(made["sessionId"]))
        if reply.code != 200:
            refused.append(reply)
        return reply if reply.code == 200 else None

    await eventually(attached, timeout=60)
    await opens(app, made["sessionId"])
    assert refused
    for reply in refused:
        assert (reply.code, dotnet_fault(reply.body)[0]) == (503, 267386880)
        assert int(reply.headers["Retry-After"]) > 0


async def test_attach_never_makes_a_session(app):
    await app.ask("GET", "sessmgr/session")  # opens the manager
    before = list(app.sessions._open_parts().store.sessions(live=False))
    for reference in ("absent", "1", "00000000-0000-4000-8000-000000000000"):
        assert (await app.ask("GET", path(reference))).code == 404
    assert list(app.sessions._open_parts().store.sessions(live=False)) == before


def without_use(session):
    """A row but for what the idle clock writes into it."""
    return replace(
        session, last_active_at=None, connected_at=None, usage=None, cpu_ms=0, revision=0
    )


async def test_48_in_parallel_are_equal_and_do_nothing_but_reset_the_idle_clock(app):
    made = await app.create(name="wanted")
    one = made["sessionId"]
    assert (await app.ask("GET", path(one))).code == 200
    store = app.sessions._open_parts().store
    before = [without_use(row) for row in store.sessions(live=False)]
    kernels = set(app.app.kernel_manager.list_kernel_ids())
    manager = app.app.kernel_manager.get_kernel(one)
    heard = []
    unsubscribe = app.sessions.subscribe(heard.append)
    app.sessions.activity.of(one).active_at -= 1000
    idle_since = app.sessions.activity.of(one).active_at
    replies = await asyncio.gather(*(app.ask("GET", path(one), headers=JSON) for _ in range(48)))
    unsubscribe()
    assert {reply.code for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert len({tuple(reply.headers.get_list("Link")) for reply in replies}) == 1
    assert app.sessions.activity.of(one).active_at > idle_since + 500
    assert [without_use(row) for row in store.sessions(live=False)] == before
    assert set(app.app.kernel_manager.list_kernel_ids()) == kernels
    assert app.app.kernel_manager.get_kernel(one) is manager
    assert heard == []


async def test_48_that_attach_before_jupyter_knows_the_kernel_list_it_once(app):
    made = await app.create(name="unlisted")
    one = made["sessionId"]
    await app.ask("GET", path(one))
    assert "kept" not in await run(app, one, "x = 'kept'")
    forget(app, one)
    assert (await app.ask("GET", f"api/kernels/{one}")).code == 404
    replies = await asyncio.gather(*(app.ask("GET", path(one)) for _ in range(48)))
    assert {(reply.code, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert app.app.kernel_manager.list_kernel_ids() == [one]
    assert await run(app, one, "print(x)") == "kept\n"


def forget(app, kernel_id):
    """Take a kernel out of Jupyter's hands, as it is when another server made the session."""
    assert adopt._adopters[id(app.app)]._let_go(kernel_id)


async def test_a_session_without_a_kernel_can_be_attached_to(app):
    made = await app.create(name="no-kernel", kernel="")
    reply = await app.ask("GET", path(made["sessionNumber"]))
    assert dotnet_info(reply.body).id == made["sessionNumber"]
    assert reply.headers.get_list("Link") == [
        f'<{app.app.base_url}sessmgr/session/{made["sessionId"]}>; rel="session"'
    ]


STATES = {
    SessionStatus.PENDING: (503, 267386880),
    SessionStatus.PULLING: (503, 267386880),
    SessionStatus.CREATING: (503, 267386880),
    SessionStatus.RESTARTING: (503, 267386880),
    SessionStatus.TERMINATING: (410, 50331675),
    SessionStatus.TERMINATED: (410, 50331675),
    SessionStatus.ERROR: (410, 50331675),
    SessionStatus.CANCELLED: (410, 50331676),
}


async def test_what_is_answered_in_every_status(app, monkeypatch):
    await app.ask("GET", "sessmgr/session")  # opens the manager
    assert set(STATES) == set(SessionStatus) - {SessionStatus.RUNNING, SessionStatus.SUSPENDED}
    for status, expected in STATES.items():
        session = make_session(number=7, status=status, failure="Of {this}.")
        monkeypatch.setattr(app.sessions, "find", lambda *_, found=session, **__: found)
        reply = await app.ask("GET", path(7))
        assert (reply.code, dotnet_fault(reply.body)[0]) == expected, status
        assert ("Retry-After" in reply.headers) is (expected[0] == 503)
        other = await app.ask("GET", path(7, "false"))
        assert (other.code, dotnet_fault(other.body)[0]) == (409, 50331658)


async def test_a_number_counts_before_a_name(app, monkeypatch):
    await app.ask("GET", "sessmgr/session")
    found = {True: SessionStatus.CANCELLED, False: SessionStatus.ERROR}
    monkeypatch.setattr(
        app.sessions, "find", lambda *_, name_last=False: make_session(status=found[name_last])
    )
    reply = await app.ask("GET", path(7))
    assert (reply.code, dotnet_fault(reply.body)[0]) == STATES[SessionStatus.CANCELLED]


async def test_a_session_that_is_being_ended_has_finished(app, monkeypatch):
    await app.ask("GET", "sessmgr/session")
    ending = make_session(status=SessionStatus.RUNNING, goal=Goal.STOP, stop_reason="idle-timeout")
    monkeypatch.setattr(app.sessions, "find", lambda *_, **__: ending)
    reply = await app.ask("GET", path(7))
    code, message = dotnet_fault(reply.body)
    assert (reply.code, code) == (410, 50331675)
    assert message.endswith(" has finished: idle-timeout")


async def test_an_interactive_session_is_not_durable(app, monkeypatch):
    await app.ask("GET", "sessmgr/session")
    one = make_session(spec=SessionSpec(image="image", durable=False))
    monkeypatch.setattr(app.sessions, "find", lambda *_, **__: one)
    reply = await app.ask("GET", path(7))
    assert (reply.code, dotnet_fault(reply.body)[0]) == (409, 50331659)


async def test_a_server_that_stands_by_says_to_ask_again_but_judges_the_request_first(
    app, monkeypatch
):
    async def standby():
        raise Standby("Another server is in charge.")

    settings = app.app.web_app.settings
    monkeypatch.setitem(settings, "sessmgr_rest", replace(settings["sessmgr_rest"], ready=standby))
    reply = await app.ask("GET", path(7))
    assert (reply.code, dotnet_fault(reply.body)) == (
        503,
        (267386880, "Another server is in charge."),
    )
    assert int(reply.headers["Retry-After"]) > 0
    assert (await app.ask("GET", "WindowsHpc/Session/7/Attach?durable=true")).code == 400
    assert (await app.ask("GET", "WindowsHpc/Clusters")).code == 200


async def test_what_breaks_is_a_fault_without_details(app, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("secret-canary")

    await app.ask("GET", "sessmgr/session")
    monkeypatch.setattr(app.sessions, "find", broken)
    reply = await app.ask("GET", path(7))
    assert (reply.code, dotnet_fault(reply.body)[0]) == (500, 267386880)
    assert b"canary" not in reply.body


@pytest.fixture
def docker_app(inside, reference_image, jp_asyncio_loop):
    app = inside("docker")
    yield app
    # A server in the test's own process ends only after it was looked for what is left.
    jp_asyncio_loop.run_until_complete(app.end())
    jp_asyncio_loop.run_until_complete(app.sessions.close())


@pytest.mark.docker
async def test_a_suspended_session_is_resumed(docker_app):
    app = docker_app
    made = await app.create(name="asleep")
    one = made["sessionId"]
    assert await run(app, one, "x = 41; print(x)") == "41\n"
    assert (await app.sessions.suspend(one)).status == "SUSPENDED"
    without_effect = await app.ask(
        "GET", path(one), headers={"Cookie": await app.log_in()}, anonymous=True
    )
    assert (without_effect.code, app.sessions._session(one).status) == (503, "SUSPENDED")
    replies = await asyncio.gather(*(app.ask("GET", path(one)) for _ in range(8)))
    assert {(reply.code, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert app.sessions._session(one).status == "RUNNING"
    assert await run(app, one, "print(x + 1)") == "42\n"


@pytest.fixture
def chosen(inside):
    return inside(
        AttachApi={
            "broker_node": "broker.example:9087",
            "operation_timeout": 2**40,
            "cluster": "the cluster",
            "fault_namespace": "https://schemas.microsoft.com/HPCS2008R2/common",
        },
        ServerApp={"tornado_settings": {"websocket_max_message_size": 4096}},
    )


async def test_what_an_admin_can_set(chosen):
    app = chosen
    made = await app.create(name="settings", kernel="")
    told = json.loads((await app.ask("GET", path(made["sessionId"]), headers=JSON)).body)
    assert told == {
        "BrokerNode": "broker.example:9087",
        "Id": made["sessionNumber"],
        "IsDurable": True,
        "MaxMessageSize": 4096,
        "ServiceOperationTimeout": 2**31 - 1,
        "ServiceVersion": None,
    }
    clusters = json.loads((await app.ask("GET", "WindowsHpc/Clusters", headers=JSON)).body)
    assert clusters[0]["Properties"][0]["Value"] == "the cluster"
    fault = (await app.ask("GET", path("absent"))).body
    assert dotnet_fault(fault, "https://schemas.microsoft.com/HPCS2008R2/common")[0] == 50331649


async def test_owners_attach_to_their_own_and_others_look_absent(inside_people):
    app = inside_people
    alice, bob = {"X-Person": "alice"}, {"X-Person": "bob"}
    reply = await app.ask("POST", "sessmgr/session", body={"name": "of-alice"}, headers=alice)
    one = json.loads(reply.body)["sessionId"]
    own = await app.ask("GET", path(one), headers=alice)
    # Jupyter's list of kernels has no owners, so other people's kernels are not in it.
    assert (own.code, len(own.headers.get_list("Link"))) == (200, 1)
    foreign = await app.ask("GET", path(one), headers=bob)
    absent = await app.ask("GET", path(one[::-1]), headers=bob)
    assert (foreign.code, foreign.body.replace(one.encode(), b"X")) == (
        404,
        absent.body.replace(one[::-1].encode(), b"X"),
    )


def test_attach_finds_the_kernel_that_a_crashed_server_left(servers):
    first = servers.start()
    made = first.create(name="survivor")
    first.execute(made["sessionId"], "x = 41")
    first.kill()
    second = servers.start(state_dir=first.state_dir)
    reply = second.ask("GET", path(made["sessionNumber"]))
    assert reply.status_code == 200, reply.text
    assert second.ask("GET", f"api/kernels/{made['sessionId']}").status_code == 200
    assert second.execute(made["sessionId"], "print(x + 1)") == "42\n"


async def test_a_key_pair_attaches_with_effect_and_creates_by_json_only(app):
    made = await app.create(name="signed-for")
    one = made["sessionId"]
    pair = await new_pair(app, app.extension.owner)
    forget(app, one)
    assert (await ask_signed(app, pair, "GET", path(one))).code == 200
    assert app.app.kernel_manager.list_kernel_ids() == [one]
    create = f"WindowsHpc/Sessions/Create?{QUERY}"
    for media, status in (("application/xml", 415), ("application/json", 201)):
        reply = await ask_signed(
            app, pair, "POST", create, body=b'{"kernel": ""}', content_type=media
        )
        assert reply.code == status, reply.body
    wrong = {**pair, "secret_key": "wrong"}
    assert (await ask_signed(app, wrong, "GET", path(one))).code == 403


async def test_a_kernel_that_cannot_be_listed_does_not_hold_up_its_session(app, monkeypatch):
    hangs = asyncio.Event()

    async def start_kernel(**_):
        await hangs.wait()
        raise RuntimeError("It cannot be listed.")

    monkeypatch.setattr(adopt, "ADOPT_TIMEOUT", 0.1)
    monkeypatch.setattr(app.app.kernel_manager, "start_kernel", start_kernel)
    made = await app.create(name="unlistable")
    assert made["status"] == "RUNNING"
    for _ in range(2):
        reply = await app.ask("GET", path(made["sessionId"]))
        assert reply.code == 200
        assert [link for link in reply.headers.get_list("Link") if "kernels" in link] == []
        hangs.set()
    monkeypatch.undo()
    assert (await app.ask("GET", path(made["sessionId"]))).code == 200
    await opens(app, made["sessionId"])
