"""Services of a session by our own routes: list, start, stop, restart, log, ports."""

from __future__ import annotations

import pytest
import requests

from tests.plugins import webapp

#: Answers with what it was started with; slow to listen when it is told so.
APP = webapp.source()
PIECES = [APP[start : start + 4000] for start in range(0, len(APP), 4000)]
SLOW = (
    "import os, runpy, sys, time; print('hello from', sys.argv[2:], flush=True); "
    "time.sleep(float(os.environ.get('SLOW', '0'))); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)
DEFINITIONS = {
    "app": {
        "prestart": [{"action": "write_tempfile", "args": {"body": PIECES}, "ref": "program"}],
        "command": ["{runtime_path}", "-c", SLOW, "{program}", "{ports[0]}"],
        "allowed_arguments": ["--colour"],
        "allowed_envs": ["SLOW"],
        "trusted": True,
    },
    "broken": {"command": ["{runtime_path}", "-c", "import sys; sys.exit('no data here')"]},
}
PORT = 24711
#: What the session's user runs, in its kernel.
LISTEN = f"""
import http.server, threading
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"by hand")
listener = http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), App)
threading.Thread(target=listener.serve_forever, daemon=True).start()
"""


@pytest.fixture(scope="module")
def server(module_servers):
    people = {"identity_provider_class": "tests.plugins.people.PeopleAndToken"}
    config = {"SessionServices": {"definitions": DEFINITIONS}, "ServerApp": people}
    return module_servers.start(config=config)


@pytest.fixture(scope="module")
def session(server):
    return server.create(config={"preopen_ports": [PORT + 1]})["sessionId"]


@pytest.fixture
def ask(server, session):
    """Ask one of the session's routes about services; none runs at first."""

    def asked(method, path, **kwargs):
        return server.ask(method, f"sessmgr/api/session/{session}/{path}", **kwargs)

    assert asked("POST", "services/app/stop").status_code == 200
    return asked


def listed(ask):
    reply = ask("GET", "services")
    assert reply.status_code == 200, reply.text
    return {one["name"]: one for one in reply.json()["items"]}


def test_services_are_listed_started_stopped_and_restarted(server, session, ask):
    before = listed(ask)
    assert "host of its own" in before["app"].pop("isolationInfo")
    assert before["app"] == {
        "name": "app",
        "state": "stopped",
        "protocol": "http",
        "ports": [],
        "url": f"/base/sessmgr/session/{session}/service/app/",
        "definition": "",
        "trusted": True,
        "isolation": "subdomain",
        "error": "",
    }
    assert before[str(PORT + 1)]["protocol"] == "preopen"
    assert not before["broken"]["trusted"]
    begun = ask("POST", "services/app/start", json={"arguments": {"--colour": "red"}})
    assert begun.status_code == 200, begun.text
    assert begun.json()["state"] == "running"
    assert begun.json()["definition"] == "admin"
    assert server.ask("GET", begun.json()["url"].removeprefix("/base/") + "echo").status_code == 200
    again = ask("POST", "services/app/restart")
    assert (again.status_code, again.json()["state"]) == (200, "running")
    log = ask("GET", "services/app/log")
    assert log.headers["Content-Type"].startswith("text/plain")
    assert log.text.count("hello from") == log.text.count("'--colour', 'red'") == 2
    assert len(ask("GET", "services/app/log?tail=5").text) <= 5
    ended = ask("POST", "services/app/stop")
    assert (ended.status_code, ended.json()["state"]) == (200, "stopped")
    assert "hello from" in ask("GET", "services/app/log").text, "of one that ended"
    assert ask("POST", "services/app/stop").status_code == 200, "harmless"


def test_a_start_need_not_be_waited_for(ask):
    body = {"environ": {"SLOW": "1"}, "enqueueOnly": True}
    at_once = ask("POST", "services/app/start", json=body)
    assert (at_once.status_code, at_once.json()["state"]) == (202, "starting")
    done = ask("POST", "services/app/start", json={"maxWaitSeconds": 60})
    assert (done.status_code, done.json()["state"]) == (200, "running")
    slow = ask("POST", "services/app/restart", json={"environ": {"SLOW": "3"}, "maxWaitSeconds": 1})
    assert (slow.status_code, slow.json()["state"]) == (202, "starting")


def test_a_service_that_fails_says_why(ask):
    reply = ask("POST", "services/broken/start")
    assert reply.status_code == 502
    assert "exit code 1" in reply.json()["msg"]
    assert "no data here" in reply.json()["data"]["log"]
    assert listed(ask)["broken"]["state"] == "failed"
    assert "exit code 1" in listed(ask)["broken"]["error"]
    assert "no data here" in ask("GET", "services/broken/log").text


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("start", {"arguments": {"--evil": "1"}}, "--evil"),
        ("start", {"arguments": "x"}, "arguments"),
        ("start", {"environ": {"LD_PRELOAD": "x"}}, "LD_PRELOAD"),
        ("start", {"enqueueOnly": "yes"}, "enqueueOnly"),
        ("restart", {"maxWaitSeconds": -1}, "maxWaitSeconds"),
        ("restart", {"maxWaitSeconds": 1e99}, "maxWaitSeconds"),
    ],
)
def test_what_makes_no_sense_is_refused_and_starts_nothing(ask, verb, body, field):
    reply = ask("POST", f"services/app/{verb}", json=body)
    assert (reply.status_code, reply.json()["title"]) == (400, "Missing or invalid API parameters.")
    assert field in reply.json()["msg"]
    assert listed(ask)["app"]["state"] == "stopped"


@pytest.mark.parametrize("name", ["nobody", "..%2fapp", "%3Cscript%3E", "a%00b", "x" * 300])
def test_a_service_that_is_not_there_is_named_so_everywhere(server, session, ask, name):
    replies = [
        ask("POST", f"services/{name}/start"),
        ask("POST", f"services/{name}/stop"),
        ask("POST", f"services/{name}/restart"),
        ask("GET", f"services/{name}/log"),
        server.ask("GET", f"sessmgr/session/{session}/service/{name}/"),
    ]
    if name == "nobody":
        stock = f"sessmgr/session/{session}"
        replies += [
            server.ask("POST", f"{stock}/start-service", json={"app": name}),
            server.ask("POST", f"{stock}/shutdown-service", json={"service_name": name}),
        ]
    for reply in replies:
        assert reply.status_code == 404, reply.text
        assert reply.headers["Content-Type"] == "application/problem+json"
        problem = reply.json()
        assert problem["title"] == "No such service."
        assert problem["type"].endswith("/app-not-found")
        assert (problem["retryable"], problem["data"]) == (False, {})
        assert "<script>" not in problem["msg"]


def test_ports_are_opened_and_closed(server, session, ask):
    page = f"sessmgr/session/{session}/service/{PORT}/echo"
    run = {"mode": "query", "code": LISTEN}
    assert server.ask("POST", f"sessmgr/session/{session}", json=run).status_code == 200
    assert server.ask("GET", page).status_code == 404
    opened = ask("PUT", f"ports/{PORT}")
    assert (opened.status_code, opened.json()["state"]) == (200, "running")
    assert ask("PUT", f"ports/{PORT}").status_code == 200
    assert server.ask("GET", page).text == "by hand"
    (told,) = (one for one in server.info(session)["servicePorts"] if one["name"] == str(PORT))
    assert told["url"] == f"/base/sessmgr/session/{session}/service/{PORT}/"
    assert told["protocol"] == "preopen"
    assert ask("DELETE", f"ports/{PORT}").status_code == 204
    assert server.ask("GET", page).status_code == 404
    assert ask("DELETE", f"ports/{PORT}").json()["title"] == "No such service."
    for bad in ("80", "70000", "x", "-1", "%D9%A8%D9%A0%D9%A8%D9%A0", "0x50"):
        for method in ("PUT", "DELETE"):
            assert ask(method, f"ports/{bad}").status_code == 400, (method, bad)


def test_a_port_that_was_opened_with_the_session_stays_open(ask):
    assert ask("DELETE", f"ports/{PORT + 1}").status_code == 403
    assert ask("PUT", f"ports/{PORT + 1}").status_code == 200


def test_E1_services_of_somebody_else_are_absent(server, session, ask):
    routes = [
        ("GET", "services"),
        ("POST", "services/app/start"),
        ("POST", "services/app/stop"),
        ("POST", "services/app/restart"),
        ("GET", "services/app/log"),
        ("PUT", f"ports/{PORT}"),
        ("DELETE", f"ports/{PORT + 1}"),
    ]
    stranger = {"X-Person": "bob", "Authorization": ""}
    for method, path in routes:
        theirs = server.ask(method, f"sessmgr/api/session/{session}/{path}", headers=stranger)
        nowhere = server.ask(method, f"sessmgr/api/session/{'0' * 36}/{path}", headers=stranger)
        assert theirs.status_code == nowhere.status_code == 404, (method, path)
        assert theirs.json()["title"] == "No such session."
        url = f"{server.url}sessmgr/api/session/{session}/{path}"
        nobody = requests.request(method, url, json={}, timeout=30)
        assert nobody.status_code == 403, (method, path)
    assert listed(ask)["app"]["state"] == "stopped"


def test_B1_a_cookie_alone_starts_and_opens_nothing(server, ask):
    """A write from a browser needs Jupyter's token against forged requests, as everywhere."""
    server.ask("GET", f"api/status?token={server.token}")  # it keeps the cookie
    for method, path in [("POST", "services/app/start"), ("PUT", f"ports/{PORT}")]:
        forged = {"Authorization": "", "Content-Type": "application/json"}
        assert ask(method, path, headers=forged, data=b"{}").status_code == 403
        form = {"Content-Type": "text/plain"}
        assert ask(method, path, headers=form, data=b"{}").status_code == 415
    assert listed(ask)["app"]["state"] == "stopped"
    assert str(PORT) not in listed(ask)
