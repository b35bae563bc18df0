"""What strangers send is repeated in the log, but not at any length."""

from __future__ import annotations

import logging

import pytest

from jupyter_sessmgr.rest.shortlog import MAX_LINE, ShortLog


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="short")
    return ShortLog(logging.getLogger("short"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("plain, 100 %",), "plain, 100 %"),
        (("%s of %d", "one", 2), "one of 2"),
        (("%(a)s", {"a": "by name"}), "by name"),
    ],
)
def test_a_short_line_is_as_it_was(log, caplog, words, line):
    log.warning(*words)
    assert caplog.messages == [line]


def test_a_long_line_is_cut_and_says_so(log, caplog):
    log.warning("Blocking %s", "x" * 60_000)
    (line,) = caplog.messages
    assert line.startswith("Blocking xxx")
    assert line.endswith("x... (60009 characters)")
    assert len(line) < MAX_LINE + 40


def test_levels_and_traces_are_kept(log, caplog):
    log.debug("not asked for")
    try:
        int("boom")
    except ValueError:
        log.exception("Broken")
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "Broken")
    assert record.exc_info[0] is ValueError
