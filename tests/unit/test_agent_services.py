"""How the agent fills in how an app is started."""

from __future__ import annotations

import json

import pytest

from jupyter_sessmgr.agent import servicedefs
from jupyter_sessmgr.agent.refusals import Invalid
from jupyter_sessmgr.manager.inside.servicedefs import BUILT_IN

VALUES = {
    "ports": [8888, 8889],
    "runtime_path": "/opt/python",
    "base_url": "/base/",
    "token": "t",
    "workdir": "/w",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{ports[0]}", "8888"),
        ("{ports[1]}:{runtime_path}", "8889:/opt/python"),
        ("{ports[7]}", "{ports[7]}"),
        ("{ports}", "{ports}"),
        ("{unknown} {{}} {'json': 1}", "{unknown} {{}} {'json': 1}"),
        ("{base_url.__class__} {token!r} {ports[0].real}", None),
        ("$(touch x); `id` && {token}", "$(touch x); `id` && t"),
    ],
)
def test_templates_are_filled_as_data(text, filled):
    assert servicedefs.fill(text, VALUES) == (text if filled is None else filled)


def test_arguments_and_variables_are_those_allowed():
    definition = servicedefs.Definition(
        "app",
        {
            "command": ["run", "--port={ports[0]}"],
            "env": {"A": "{token}"},
            "allowed_arguments": ["--dir", "--flag", "--many"],
            "positional": ["script"],
            "default_arguments": {"script": "app.py", "--dir": "{workdir}/logs"},
            "allowed_envs": ["B"],
        },
    )
    argv, environ = definition.fill(VALUES, {}, {})
    assert argv == ["run", "--port=8888", "--dir", "/w/logs", "app.py"]
    assert environ == {"A": "t"}
    asked = {"--dir": "x; rm -rf /", "--flag": None, "--many": ["1", 2], "script": "s.py"}
    argv, environ = definition.fill(VALUES, asked, {"B": "b"})
    assert argv[2:] == ["--dir", "x; rm -rf /", "--flag", "--many", "1", "2", "s.py"]
    assert environ["B"] == "b"
    for arguments, variables in [
        ({"--evil": "1"}, {}),
        ({"script": "--evil"}, {}),
        ({"--dir": {"x": 1}}, {}),
        ({"--dir": "a\0b"}, {}),
        ({"--dir": "x" * 5000}, {}),
        ({}, {"LD_PRELOAD": "x"}),
        ({}, {"B": ["x"]}),
    ]:
        with pytest.raises(Invalid):
            definition.fill(VALUES, arguments, variables)


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"command": "run it"},
        {"command": []},
        {"command": [["x"]]},
        {"command": ["x"], "env": {"A B": "1"}},
        {"command": ["x"], "prestart": [{"action": "run_command", "args": {}}]},
        {"command": ["x"], "prestart": "x"},
        {"command": ["x"], "timeout": 0},
        {"command": ["x"], "timeout": "1"},
        {"command": ["x"] * 300},
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(content):
    with pytest.raises(Invalid):
        servicedefs.Definition("app", content)


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", "x" * 64, 3, None, "a\n"])
def test_a_name_that_makes_no_sense_is_refused(name):
    with pytest.raises(Invalid):
        servicedefs.check_name(name)


def test_definitions_of_the_image_are_read_and_broken_ones_left_out(tmp_path):
    upstream = {
        "prestart": [
            {
                "action": "write_tempfile",
                "args": {"body": ["c.NotebookApp.port = {ports[0]}\n"]},
                "ref": "jupyter_cfg",
            }
        ],
        "command": ["{runtime_path}", "-m", "notebook", "--config", "{jupyter_cfg}"],
        "url_template": "{protocol}://{host}:{port}/",
    }
    (tmp_path / "jupyter.json").write_text(json.dumps(upstream))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.txt").write_text("{}")
    found = servicedefs.in_image(str(tmp_path))
    assert list(found) == ["jupyter"]
    values = dict(VALUES)
    servicedefs.prepare(found["jupyter"].prestart, values, str(tmp_path))
    argv, _ = found["jupyter"].fill(values, {}, {})
    assert argv[:3] == ["/opt/python", "-m", "notebook"]
    written = tmp_path / argv[4].rpartition("/")[2]
    assert written.read_text() == "c.NotebookApp.port = 8888\n"
    assert written.stat().st_mode & 0o777 == 0o600
    assert servicedefs.in_image(str(tmp_path / "none")) == {}


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_comes_with_the_server_makes_sense(name):
    definition = servicedefs.Definition(name, dict(BUILT_IN[name]))
    argv, _ = definition.fill(dict(VALUES, config="/run/c.py"), {}, {})
    assert "8888" in " ".join(argv) or definition.prestart
    assert "{" not in " ".join(argv)
