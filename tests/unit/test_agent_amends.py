"""What of ipykernel is changed, compared to ipykernel as it is."""

from __future__ import annotations

import pytest
from ipykernel.kernelapp import IPKernelApp
from traitlets.config.application import Application

from jupyter_sessmgr.agent import amends


@pytest.fixture
def parsers(monkeypatch):
    """Count the parsers that are made for command lines."""
    made = []
    plain = Application._create_loader

    def make(self, *args, **named):
        made.append(self)
        return plain(self, *args, **named)

    monkeypatch.setattr(Application, "_create_loader", make)
    return made


@pytest.fixture
def amended(monkeypatch):
    """Have it changed for the time of a test."""
    monkeypatch.setattr(IPKernelApp, "parse_command_line", Application.parse_command_line)
    amends.take_plain_words()


def parsed(argv):
    app = IPKernelApp(log_level=50)
    app.parse_command_line(argv)
    return {
        "argv": app.argv,
        "cli": app.cli_config,
        "config": app.config,
        "extra": app.extra_args,
        "file": app.connection_file,
    }


PLAIN = [["-f", path] for path in ("/tmp/k.json", "/a b/~/$HOME/[1].json", "/x=1", "/é", "/'q'")]
OTHERS = [
    ["-f", "~/k.json"],
    ["-f", "k.json"],
    ["-f=/tmp/k.json"],
    ["-f", "/tmp/k.json", "--IPKernelApp.log_level=50"],
    ["-f", "/tmp/k.json", "more"],
    ["--debug", "-f", "/tmp/k.json"],
    [],
]


@pytest.mark.parametrize("argv", PLAIN + OTHERS, ids=" ".join)
def test_a_command_line_means_what_it_means_to_ipykernel(argv, amended, monkeypatch):
    ours = parsed(argv)
    monkeypatch.setattr(IPKernelApp, "parse_command_line", Application.parse_command_line)
    assert ours == parsed(argv)


@pytest.mark.parametrize("argv", PLAIN, ids=" ".join)
def test_the_usual_words_need_no_parser(argv, amended, parsers):
    parsed(argv)
    assert parsers == []


@pytest.mark.parametrize("argv", OTHERS, ids=" ".join)
def test_other_words_go_to_the_parser(argv, amended, parsers):
    parsed(argv)
    assert len(parsers) == 1


def test_words_of_the_process_are_taken_where_none_are_given(amended, parsers, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ipykernel_launcher", "-f", "/tmp/k.json"])
    assert parsed(None)["file"] == "/tmp/k.json"
    assert parsers == []


def test_an_ipykernel_that_parses_itself_is_left_alone(monkeypatch):
    def own(self, argv=None):
        raise AssertionError

    monkeypatch.setattr(IPKernelApp, "parse_command_line", own)
    amends.take_plain_words()
    assert IPKernelApp.parse_command_line is own


def test_an_ipykernel_that_means_something_else_by_f_is_asked(amended, parsers):
    class Other(IPKernelApp):
        aliases = {"f": "IPKernelApp.ip"}  # noqa: RUF012 - as traitlets has it

    Other(log_level=50).parse_command_line(["-f", "/tmp/k.json"])
    assert len(parsers) == 1
