"""What a Python takes apart when it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_sessmgr.agent import ending

TEXT = Path(ending.__file__).read_text()
#: Each of these modules holds something that says when it goes.
SAYS = """
import os, sys, types

class Says:
    def __init__(self, word): self.word, self.write = word, os.write
    def __del__(self): self.write(1, self.word + b" ")

def module(name):
    made = sys.modules[name] = types.ModuleType(name)
    made.one = Says(name.encode())

module("early")
module("replaced")
"""
LEAVE = "leave_modules_whole()\n"
LATER = "module('late')\nmodule('replaced')\n"


def said(*texts):
    """Run code as a program; returns what it said, in any order."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([TEXT, SAYS, *texts])],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return sorted(done.stdout.split())


def test_python_takes_all_apart():
    assert said(LATER) == ["early", "late", "replaced", "replaced"]


def test_what_was_there_is_left_whole_and_what_came_later_is_not():
    assert said(LEAVE, LATER) == ["late", "replaced"]


def test_modules_are_there_for_what_is_called_at_the_end():
    texts = "import atexit\natexit.register(lambda: print('early' in sys.modules))"
    assert said(texts, LEAVE, texts) == ["True", "True"]


@pytest.mark.parametrize("other", ["None", "print"])
def test_nothing_is_hidden_when_somebody_takes_its_place(other):
    there = f"sys.__interactivehook__ = {other}\nprint('early' in sys.modules)"
    assert said(LEAVE, there) == ["True", "early", "replaced"]


def test_what_was_to_be_called_before_a_prompt_still_is():
    was = "sys.__interactivehook__ = lambda: print('was')\n"
    assert said(was, LEAVE, "sys.__interactivehook__()") == ["was"]
    assert said("del sys.__interactivehook__\n", LEAVE, "sys.__interactivehook__()") == []


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_stays(code):
    texts = "\n".join([TEXT, LEAVE, f"sys.exit({code})"])
    assert subprocess.run([sys.executable, "-c", texts], check=False, timeout=60).returncode == code
