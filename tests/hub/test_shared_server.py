"""One server, several owners: the identity provider of examples/shared-server, and every door."""

from __future__ import annotations

import hashlib
import json

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.plugins.notebooks import Notebook
from tests.plugins.server import OTHERS, ROOT, Client

EXAMPLE = ROOT / "examples" / "shared-server"
WEB = 24812
TOKENS = {name: f"token-of-{name}" for name in ("operator", "ann", "ben")}


def write_tokens(path, *names):
    digests = {hashlib.sha256(TOKENS[name].encode()).hexdigest(): name for name in names}
    path.write_text(json.dumps(digests), encoding="utf-8")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    write_tokens(path, *TOKENS)
    return path


@pytest.fixture(scope="module")
def people(module_servers, tokens):
    """Everybody, asking one server."""
    config = {
        "People": {"tokens_file": str(tokens)},
        "IdentityProvider": {"token": TOKENS["operator"]},  # for the tests' own look at it
        "ServerApp": {"jpserver_extensions": dict.fromkeys(("jupyter_sessmgr", *OTHERS), True)},
    }
    environ = {"JUPYTER_CONFIG_PATH": str(EXAMPLE)}
    server = module_servers.start(config=config, environ=environ)
    made = {name: Client(server.url, token) for name, token in TOKENS.items()}
    yield made
    for one in made.values():
        one.destroy_sessions()


@pytest.fixture(scope="module")
def anns(people):
    """A session of Ann's."""
    ann = people["ann"]
    made = ann.create(name="work", config={"preopen_ports": [WEB]})["sessionId"]
    ann.until(made, "RUNNING")
    return made


def test_everybody_has_sessions_of_their_own(people, anns):
    """The same name is another session for each; a foreign one is like none."""
    bens = people["ben"].create(name="work", enqueueOnly=True)["sessionId"]
    assert bens != anns
    for name, mine in (("ann", [anns]), ("ben", [bens]), ("operator", [])):
        assert [one["sessionId"] for one in people[name].sessions()] == mine


@pytest.mark.parametrize(
    "door",
    [
        ("GET", "sessmgr/session/{}", None),
        ("PATCH", "sessmgr/session/{}", {}),
        ("DELETE", "sessmgr/session/{}", None),
        ("POST", "sessmgr/session/{}", {"mode": "query", "code": "1", "runId": "a"}),
        ("GET", "sessmgr/session/{}/logs", None),
        ("GET", "sessmgr/session/{}/output", None),
        ("GET", "sessmgr/session/{}/files", None),
        ("GET", "sessmgr/session/{}/service/24812/", None),
        ("GET", "WindowsHpc/Session/{}/Attach?durable=true&api-version=2012-11-01.4.0", None),
    ],
)
@pytest.mark.parametrize("name", ["ben", "operator"])
def test_nobody_opens_anothers_session_by_any_door(people, anns, name, door):
    method, path, body = door
    reply = people[name].ask(method, path.format(anns), json=body)
    nothing = people[name].ask(method, path.format("0" * 8 + anns[8:]), json=body)
    assert reply.status_code == nothing.status_code
    assert 400 <= reply.status_code < 500
    if method == "GET":  # there is something behind that door
        assert people["ann"].ask(method, path.format(anns)).status_code != nothing.status_code
    assert people["ann"].info(anns)["status"] == "RUNNING"


def test_nobody_opens_anothers_session_by_websocket(people, anns):
    for name, status in (("ben", 404), ("operator", 404)):
        with pytest.raises(InvalidStatus) as refused:
            stream(people[name], anns)
        assert refused.value.response.status_code == status
    with stream(people["ann"], anns):
        pass


def stream(client, session_id):
    url = f"ws{client.url.removeprefix('http')}sessmgr/stream/session/{session_id}/pty"
    return connect(url, additional_headers={"Authorization": f"token {client.token}"})


def test_jupyters_own_kernels_are_the_operators(people, anns):
    """They are one list for all who may see it; no session of somebody else's is in it."""
    operator = people["operator"]
    kernel = operator.ask("POST", "api/kernels", json={"name": "sessmgr-python"}).json()["id"]
    assert [one["id"] for one in operator.ask("GET", "api/kernels").json()] == [kernel]
    assert operator.ask("GET", f"api/kernels/{anns}").status_code == 404
    for path in ("api/kernels", f"api/kernels/{kernel}", "api/sessions", "api/contents"):
        assert people["ben"].ask("GET", path).status_code == 403
    with pytest.raises(InvalidStatus) as refused, Notebook(people["ben"], kernel):
        pass
    assert refused.value.response.status_code == 403
    assert operator.execute(kernel, "print(6 * 7)") == "42\n"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "lab/api/extensions", {"cmd": "none", "extension_name": "none"}),
        ("GET", "lab/api/extensions", None),
        ("POST", "lab/api/plugins", {"cmd": "none", "plugin_name": "none"}),
        ("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", {"raw": "{}"}),
        ("GET", "lab/api/workspaces", None),
        ("PUT", "lab/api/workspaces/of-all", {"data": {}, "metadata": {"id": "of-all"}}),
        ("DELETE", "lab/api/workspaces/of-all", None),
        ("GET", "lab", None),
        ("GET", "tree", None),
        ("GET", "metrics", None),
        ("GET", "proxy/1/", None),
        ("GET", "lsp/status", None),
        ("POST", "api/terminals", {}),
    ],
)
def test_what_other_extensions_bring_is_the_operators(people, method, path, body):
    """Most of it asks no authorizer, and some of it installs packages or reaches other ports."""
    assert people["ben"].ask(method, path, json=body).status_code == 403


def test_the_operator_has_jupyterlab_that_installs_nothing(people):
    page = people["operator"].ask("GET", "lab")
    assert page.status_code == 200
    assert '"can_install": false' in page.text
    assert people["operator"].ask("GET", "lab/api/settings/").status_code == 200


def test_a_limit_is_each_persons(people, anns):
    ben = people["ben"]
    ben.destroy_sessions()
    for _ in range(3):
        ben.create(enqueueOnly=True)
    refused = ben.ask("POST", "sessmgr/session", json={})
    assert refused.json()["data"]["limit"] == "sessions per owner"
    ben.destroy_sessions()
    assert people["ann"].ask("POST", "sessmgr/session", json={"name": "work"}).status_code == 200


def test_people_log_in_with_their_tokens_and_out_when_these_are_taken_back(people, anns, tokens):
    url = people["ann"].url
    browser = requests.Session()
    browser.get(f"{url}login")
    fields = {"password": "guessed", "_xsrf": browser.cookies["_xsrf"]}
    assert browser.post(f"{url}login", data=fields).status_code == 401
    fields["password"] = TOKENS["ann"]
    browser.post(f"{url}login", data=fields, allow_redirects=False)
    mine = browser.get(f"{url}sessmgr/session")
    assert [one["sessionId"] for one in mine.json()["items"]] == [anns]
    write_tokens(tokens, "operator", "ben")
    try:
        assert browser.get(f"{url}sessmgr/session").status_code == 403
        assert people["ann"].ask("GET", "sessmgr/session").status_code == 403
    finally:
        write_tokens(tokens, *TOKENS)
    assert people["ann"].info(anns)["status"] == "RUNNING"
