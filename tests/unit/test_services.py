"""What follows from definitions of services, and from what is known of them."""

from __future__ import annotations

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_sessmgr.agent import listening, servicedefs
from jupyter_sessmgr.manager.agents.words import AgentService, Junk, read_service, read_survey
from jupyter_sessmgr.manager.inside.servicedefs import BUILT_IN, TRUSTED, check_definition
from jupyter_sessmgr.manager.inside.services import SessionServices
from jupyter_sessmgr.manager.inside.servicestates import is_trusted

GOOD = {
    "command": ["run", "--port={ports[0]}", 1],
    "env": {"A": "{token}", "B": 2},
    "prestart": [
        {"action": "write_tempfile", "args": {"body": ["x\n"]}, "ref": "file"},
        {"action": "mkdir", "args": {"path": "{workdir}/x"}},
        {"action": "log", "args": {"message": "hello"}},
    ],
    "allowed_arguments": ["--dir"],
    "default_arguments": {"--dir": "{workdir}"},
    "positional": ["script"],
    "allowed_envs": ["C"],
    "url_template": "{protocol}://{host}:{port}/",
    "authorization": "token {token}",
    "timeout": 20,
    "trusted": True,
}


def test_a_definition_that_makes_sense_is_taken_by_server_and_agent():
    assert check_definition("app", GOOD) == ""
    assert servicedefs.Definition("app", GOOD).authorization == "token {token}"
    for name, definition in BUILT_IN.items():
        assert check_definition(name, definition) == ""


@pytest.mark.parametrize(
    ("name", "definition", "key"),
    [
        ("my app", GOOD, "my app"),
        ("../x", GOOD, "../x"),
        (3, GOOD, "3"),
        ("app", None, "app"),
        ("app", {}, "command"),
        ("app", {"command": "run it"}, "command"),
        ("app", {"command": []}, "command"),
        ("app", {"command": [["x"]]}, "command"),
        ("app", {"command": ["x\0"]}, "command"),
        ("app", {"comand": ["x"], "command": ["x"]}, "comand"),
        ("app", {**GOOD, "env": ["A=1"]}, "env"),
        ("app", {**GOOD, "prestart": [{"action": "run_command"}]}, "prestart"),
        ("app", {**GOOD, "prestart": [{"action": "mkdir"}]}, "prestart"),
        ("app", {**GOOD, "prestart": [{"action": "mkdir", "args": []}]}, "prestart"),
        ("app", {**GOOD, "prestart": [{"action": ["mkdir"], "args": {}}]}, "prestart"),
        (
            "app",
            {**GOOD, "prestart": [{"action": "write_tempfile", "args": {"body": "x"}}]},
            "prestart",
        ),
        ("app", {**GOOD, "allowed_arguments": "--dir"}, "allowed_arguments"),
        ("app", {**GOOD, "default_arguments": ["--dir"]}, "default_arguments"),
        ("app", {**GOOD, "positional": "script"}, "positional"),
        ("app", {**GOOD, "allowed_envs": {"A"}}, "allowed_envs"),
        ("app", {**GOOD, "url_template": 1}, "url_template"),
        ("app", {**GOOD, "authorization": "x\r\nSet-Cookie: a=b"}, "authorization"),
        ("app", {**GOOD, "timeout": 0}, "timeout"),
        ("app", {**GOOD, "timeout": True}, "timeout"),
        ("app", {**GOOD, "trusted": "yes"}, "trusted"),
    ],
)
def test_what_is_wrong_with_a_definition_names_service_and_key(name, definition, key):
    told = check_definition(name, definition)
    assert str(name) in told
    assert key in told
    config = Config({"SessionServices": {"definitions": {name: definition}}})
    with pytest.raises(TraitError, match="definitions: "):
        SessionServices(None, config=config)


def told(source, state="running"):
    return AgentService(name="x", state=state, ports=(1,), error="", tail="", source=source)


@pytest.mark.parametrize(
    ("name", "admins", "service", "in_image", "trusted"),
    [
        ("jupyter", {}, None, False, True),
        ("tensorboard", {}, told("built-in"), False, True),
        ("code-server", {}, told("built-in"), False, False),
        ("jupyter", {}, None, True, False),
        ("jupyter", {}, told("image"), False, False),
        ("jupyter", {}, told(""), False, False),
        # what runs is what counts; of what ended, what would be started
        ("jupyter", {}, told("built-in"), True, True),
        ("jupyter", {}, told("built-in", "failed"), True, False),
        ("jupyter", {}, told("image", "stopped"), False, True),
        # an admin's word goes before all that comes out of a session
        ("jupyter", {"jupyter": {}}, None, False, False),
        ("jupyter", {"jupyter": {}}, told("built-in"), False, False),
        ("notes", {"notes": {"trusted": True}}, told("image"), True, True),
        ("notes", {"notes": {"trusted": 1}}, told("admin"), False, False),
        ("notes", {}, told("admin"), False, False),
    ],
)
def test_who_is_trusted(name, admins, service, in_image, trusted):
    assert {"jupyter", "jupyterlab", "tensorboard"} == TRUSTED
    assert is_trusted(name, admins, service, in_image) is trusted


SAID = {"name": "x", "state": "running", "ports": [1], "error": "", "tail": ""}
MORE = {"source": "image", "whole_paths": True, "authorization": "token {token}"}


def test_F10_what_an_agent_says_of_services_is_checked():
    assert read_service(SAID).source == "", "an agent of an earlier release"
    assert read_service({**SAID, **MORE}).whole_paths
    for lie in (
        {"source": "mine"},
        {"source": 1},
        {"whole_paths": "yes"},
        {"authorization": "x\r\nCookie: a"},
        {"authorization": "é"},
        {"authorization": None},
    ):
        with pytest.raises(Junk):
            read_service({**SAID, **MORE, **lie})
    survey = {"definitions": {}, "listening": [8050]}
    assert read_survey(survey).listening == {8050}
    for lie in ("8050", ["8050"], [True], None):
        with pytest.raises(Junk):
            read_survey({**survey, "listening": lie})


@pytest.mark.parametrize(
    ("host", "listeners", "reached"),
    [
        ("127.0.0.1", {"mine": "127.0.0.1"}, True),
        ("127.0.0.1", {"mine": "0.0.0.0"}, True),
        ("127.0.0.1", {"mine": "::"}, True),
        ("127.0.0.1", {"mine": "::1"}, False),
        ("::1", {"mine": "::1"}, True),
        ("::1", {"mine": "::"}, True),
        ("::1", {"mine": "0.0.0.0"}, False),
        ("127.0.0.1", {"theirs": "127.0.0.1"}, False),
        ("127.0.0.1", {"theirs": "127.0.0.1", "mine": "::1"}, False),
        ("::1", {"theirs": "127.0.0.1", "mine": "::1"}, True),
        # the nearest listener takes it
        ("127.0.0.1", {"theirs": "127.0.0.1", "mine": "::"}, False),
        ("127.0.0.1", {"mine": "127.0.0.1", "theirs": "::"}, True),
        # a port that several share is nobody's
        ("127.0.0.1", {"mine": "127.0.0.1", "theirs": "127.0.0.1"}, False),
        ("127.0.0.1", {}, False),
        ("172.17.0.2", {"mine": "172.17.0.2"}, True),
        ("172.17.0.2", {"mine": "127.0.0.1"}, False),
    ],
)
def test_D1_a_connection_reaches_nobody_but_who_is_of_the_place(host, listeners, reached):
    seen = {inode: (listening._spelled(where), 80) for inode, where in listeners.items()}
    assert listening._takes(host, seen, {"mine"}) is reached
