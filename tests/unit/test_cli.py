"""The command line without a server: words in, exit codes and texts out."""

from __future__ import annotations

import io
import json
import stat
import sys

import pytest
from jupyter_core.paths import jupyter_config_dir

from jupyter_sessmgr.cli import main as cli
from jupyter_sessmgr.cli.backend import Row, Sessions, Wanted, read_variables, row_of
from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.console import _public, connection_file
from jupyter_sessmgr.cli.failures import CommandFailed, Exit, exit_code
from jupyter_sessmgr.cli.output import Progress, age, printable
from jupyter_sessmgr.cli.remote import _body
from jupyter_sessmgr.cli.sessions import news
from jupyter_sessmgr.model import errors
from jupyter_sessmgr.model.session import ComputeSession, SessionSpec
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai.params import parse_create


class Remembered(Sessions):
    """Sessions in a list, in place of a server: the commands' own words are under test here."""

    where = "a list"

    def __init__(self):
        self.rows = {}
        self.wanted = []
        self.stopped = []
        self.texts = iter(["one\n"])
        self.becomes = SessionStatus.RUNNING
        self.closed = False

    def close(self):
        self.closed = True

    def list(self, *, ended):
        return [row for row in self.rows.values() if ended or not row.is_final]

    def get(self, reference):
        if reference not in self.rows:
            raise errors.SessionNotFound(f"There is no session {reference!r}.")
        return self.rows[reference]

    def create(self, wanted):
        self.wanted.append(wanted)
        row = make_row(wanted.name or "made-up", SessionStatus.PENDING)
        self.rows[row.id] = self.rows[row.name] = row
        return row, True

    def settled(self, row, timeout, tell):
        if timeout == 0:
            raise TimeoutError
        tell("creating")
        return make_row(row.name, self.becomes, info="no such luck")

    def stop(self, row, *, forced):
        if row.name == "stuck":
            raise errors.EngineUnavailable("The engine does not answer.")
        self.stopped.append((row.name, forced))

    def logs(self, row):
        return next(self.texts)

    def connection_info(self, row):
        raise NotImplementedError


def make_row(name, status=SessionStatus.RUNNING, info=""):
    return Row(
        id=name, name=name, number=7, status=status.value, info=info, image="i:latest",
        durable=True, age=61.5, resources={"cpu": "2"},
    )  # fmt: skip


@pytest.fixture
def sessions(monkeypatch):
    remembered = Remembered()
    monkeypatch.setattr("jupyter_sessmgr.cli.sessions.open_sessions", lambda _options: remembered)
    return remembered


def test_list_is_a_table(sessions, capsys):
    sessions.rows = {"one": make_row("one"), "old": make_row("old", SessionStatus.TERMINATED)}
    assert cli.main(["list"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NUMBER", "NAME", "STATUS", "AGE", "IMAGE", "INFO"]
    assert [line.split()[1] for line in lines[1:]] == ["one"]
    assert cli.main(["list", "--all"]) == Exit.OK
    assert "old" in capsys.readouterr().out
    assert sessions.closed


def test_list_as_json(sessions, capsys):
    sessions.rows = {"one": make_row("one")}
    assert cli.main(["list", "--json"]) == Exit.OK
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "id": "one", "name": "one", "number": 7, "status": "RUNNING", "info": "",
        "image": "i:latest", "durable": True, "age": 61.5, "resources": {"cpu": "2"},
    }  # fmt: skip


def test_nothing_to_list_is_no_table_but_valid_json(sessions, capsys):
    assert cli.main(["list"]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == ""
    assert "No sessions" in said.err
    assert cli.main(["list", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == []


def test_create_passes_everything_on(sessions, capsys):
    words = ["create", "--image", "i", "--preset", "p", "--name", "good", "--cpu", "2", "--mem",
             "4g", "--env", "A=b=c", "--env", "E=", "--mount", "data", "--mount", "x:y",
             "--no-durable"]  # fmt: skip
    assert cli.main(words) == Exit.OK
    assert sessions.wanted == [
        Wanted(
            image="i", preset="p", name="good", resources={"cpu": "2", "mem": "4g"},
            environ={"A": "b=c", "E": ""}, mounts=("data", "x:y"), durable=False,
        )
    ]  # fmt: skip
    assert capsys.readouterr().out == "good\n"


def test_create_reads_the_script_that_runs_first(sessions, capsys, tmp_path):
    script = tmp_path / "first.sh"
    script.write_text("echo é\n", encoding="utf-8")
    words = ["create", "--batch", "make all", "--bootstrap", str(script), "--port", "8080",
             "--port", "9090", "--group", "physics", "--tag", "mine"]  # fmt: skip
    assert cli.main(words) == Exit.OK
    (wanted,) = sessions.wanted
    assert wanted == Wanted(
        command="make all", bootstrap="echo é\n", ports=(8080, 9090), group="physics", tag="mine"
    )
    script.unlink()
    assert cli.main(words) == Exit.USAGE
    assert "No such file" in capsys.readouterr().err


def test_a_server_is_asked_for_what_was_wanted():
    wanted = Wanted(
        name="good", command="make", bootstrap="true", ports=(8080,), group="physics", tag="mine"
    )
    asked = parse_create(json.loads(json.dumps(_body(wanted)))).request
    assert (asked.name, asked.group, asked.tag) == ("good", "physics", "mine")
    assert (asked.session_type, asked.startup_command) == ("batch", "make")
    assert (asked.bootstrap_script, asked.preopen_ports) == ("true", (8080,))
    usual = parse_create(_body(Wanted())).request
    assert (usual.session_type, usual.group, usual.name) == ("interactive", "default", None)


def test_a_batch_session_may_have_done_its_work_by_then(sessions, capsys):
    sessions.becomes = SessionStatus.TERMINATED
    assert cli.main(["create", "--batch", "true"]) == Exit.OK
    assert cli.main(["create"]) == Exit.FAILED


def test_create_that_fails_says_why_and_nothing_else(sessions, capsys):
    sessions.becomes = SessionStatus.ERROR
    assert cli.main(["create"]) == Exit.FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "jupyter sessmgr: no such luck\n"


def test_create_that_takes_too_long_says_what_to_do(sessions, capsys):
    assert cli.main(["create", "--name", "slow", "--timeout", "0"]) == Exit.TIMEOUT
    said = capsys.readouterr()
    assert "goes on starting" in said.err
    assert "jupyter sessmgr stop slow" in said.err


def test_create_without_waiting_needs_somebody_who_goes_on(sessions, capsys):
    assert cli.main(["create", "--no-wait"]) == Exit.OK
    sessions.ends_with_command = True
    assert cli.main(["create", "--no-wait"]) == Exit.USAGE
    assert "No server runs" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["A", "=b", "1A=b", "A B=c", "A\nB=c", "ä=c"])
def test_variables_that_are_none(pair, sessions, capsys):
    assert cli.main(["create", "--env", pair]) == Exit.USAGE
    assert sessions.wanted == []
    assert "NAME=VALUE" in capsys.readouterr().err


def test_a_secret_value_is_not_repeated_in_the_message():
    with pytest.raises(ValueError, match="NAME=VALUE") as caught:
        read_variables(["BAD-NAME=hunter2"])
    assert "hunter2" not in str(caught.value)


def test_stop_tries_all_and_tells_which_failed(sessions, capsys):
    sessions.rows = {name: make_row(name) for name in ("one", "stuck", "two")}
    assert cli.main(["stop", "one", "stuck", "two", "--forced"]) == Exit.FAILED
    said = capsys.readouterr()
    assert sessions.stopped == [("one", True), ("two", True)]
    assert said.out.split() == ["one", "two"]
    assert "stuck: The engine does not answer." in said.err


def test_stop_all_asks_first(sessions, capsys, monkeypatch):
    sessions.rows = {"one": make_row("one")}
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert cli.main(["stop", "--all"]) == Exit.FAILED, "nobody is at the other end of a pipe"
    assert sessions.stopped == []
    assert cli.main(["stop", "--all", "-y", "--json"]) == Exit.OK
    assert sessions.stopped == [("one", False)]
    assert json.loads(capsys.readouterr().out) == {"stopped": ["one"], "failed": {}}


@pytest.mark.parametrize("words", [["stop"], ["stop", "one", "--all"]])
def test_stop_wants_names_or_all(words, sessions):
    assert cli.main(words) == Exit.USAGE


def test_what_is_not_there_has_its_own_exit_code(sessions, capsys):
    assert cli.main(["logs", "nope"]) == Exit.NOT_FOUND
    assert capsys.readouterr().err == "jupyter sessmgr: There is no session 'nope'.\n"


def test_logs_follow_until_the_end(sessions, capsys, monkeypatch):
    monkeypatch.setattr("jupyter_sessmgr.cli.sessions.FOLLOW_INTERVAL", 0)
    sessions.texts = iter(["one\n", "one\ntwo\n", "two\nthree\n"])
    states = iter([SessionStatus.RUNNING, SessionStatus.RUNNING, SessionStatus.TERMINATED])
    monkeypatch.setattr(sessions, "get", lambda _reference: make_row("one", next(states)))
    assert cli.main(["logs", "-f", "one"]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == "one\ntwo\nthree\n"
    assert "one is TERMINATED" in said.err


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "abc", "abc"),
        ("abc", "abc", ""),
        ("abc", "abcdef", "def"),
        ("abcd", "cdef", "ef"),
        ("abc", "xyz", "xyz"),
        ("ab" * 2000, "ab" * 2000 + "c", "c"),
        ("a" * 3000 + "b", "a" * 1500 + "b" + "c", "c"),
    ],
)
def test_news(before, now, new):
    assert news(before, now) == new


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequest("x"), Exit.USAGE),
        (errors.ImageNotFound("x"), Exit.USAGE),
        (errors.SessionNotFound("x"), Exit.NOT_FOUND),
        (errors.EngineUnavailable("x"), Exit.UNAVAILABLE),
        (errors.EngineError("x"), Exit.FAILED),
        (errors.StoreRefused("x"), Exit.UNAVAILABLE),
        (errors.LimitExceeded("x"), Exit.FAILED),
    ],
)
def test_exit_codes(error, code):
    assert exit_code(error) is code


def test_an_unexpected_error_is_a_sentence_and_not_a_traceback(sessions, capsys, monkeypatch):
    monkeypatch.setattr(sessions, "list", lambda ended: 1 / 0)
    assert cli.main(["list"]) == Exit.FAILED
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err
    assert "Traceback" not in said.err
    monkeypatch.setenv("SESSMGR_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["list"])


def test_ctrl_c_ends_quietly(sessions, capsys, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "settled", interrupted)
    assert cli.main(["create", "--name", "slow"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == (
        "slow goes on starting; `jupyter sessmgr stop slow` ends it.\n"
    )


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["list", "--nonsense"], ["create", "--cp", "1"]]
)
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == Exit.USAGE
    assert "usage:" in capsys.readouterr().err


def test_names_cannot_steer_the_terminal(sessions, capsys):
    assert printable("a\x1b[31mb\u202ec\nd") == "a?[31mb?c?d"
    sessions.rows = {"one": make_row("one", info="\x1b]0;title\x07")}
    cli.main(["list"])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (3 * 86400, "3 d")],
)
def test_age(seconds, text):
    assert age(seconds) == text


def test_a_row_has_what_the_session_has():
    session = ComputeSession(
        id="u", name="n", owner="o", number=3, created_at=100.0, failure="why", status_info="x",
        status=SessionStatus.ERROR, spec=SessionSpec(image="i", durable=False),
    )  # fmt: skip
    row = row_of(session, now=90.0)
    assert (row.age, row.info, row.durable, row.number) == (0.0, "why", False, 3)
    assert row.is_final


def test_progress_is_silent_without_a_terminal(capsys):
    with Progress("Waiting") as progress:
        progress.say("pulling 43 %")
    assert capsys.readouterr().err == ""


def test_the_connection_file_is_private_and_short_lived(jp_environ):
    info = {"key": b"secret", "ip": "127.0.0.1", "shell_port": 1}
    with connection_file("abc", info) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["key"] == "secret"
    assert not path.exists()
    with pytest.raises(RuntimeError, match="broke"), connection_file("abc", info) as path:
        raise RuntimeError("broke")
    assert not path.exists()


def test_keys_are_not_printed():
    info = {"key": b"a", "curve_secretkey": "b", "curve_publickey": b"c", "ip": "d"}
    assert _public(info) == {"curve_publickey": "c", "ip": "d"}


def test_configuration_is_read_as_a_server_reads_it(jp_environ, jp_config_dir):
    folder = jp_config_dir
    assert str(folder) == jupyter_config_dir()
    (folder / "jupyter_server_config.py").write_text("c.AdmissionControl.max_cpu = 1.0\nc.X.y = 1")
    (folder / "jupyter_sessmgr_config.json").write_text('{"AdmissionControl": {"max_cpu": 2.0}}')
    config = load_config(["--ComputeSessionManager.engine=process"])
    assert config.AdmissionControl.max_cpu == 2.0
    assert config.X.y == 1
    from jupyter_sessmgr.manager.sessions import ComputeSessionManager

    assert ComputeSessionManager(config=config).engine == "process"


def test_a_broken_configuration_file_is_named(jp_environ, jp_config_dir, capsys):
    (jp_config_dir / "jupyter_sessmgr_config.py").write_text("c.X = = 1")
    with pytest.raises(CommandFailed, match="jupyter_sessmgr_config cannot be read"):
        load_config()
