"""The agent runs where nothing but an old Python is."""

from __future__ import annotations

import ast
import json
import marshal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import jupyter_sessmgr.agent
from jupyter_sessmgr.agent import programs
from jupyter_sessmgr.agent.bootstrap import bytecode
from jupyter_sessmgr.engines.base import agent_command
from jupyter_sessmgr.manager.agents.boot import agent_sources, make_boot

FILES = sorted(Path(jupyter_sessmgr.agent.__file__).parent.glob("*.py"))
#: Modules of the standard library that Python 3.8 does not have, or that 3.13 has no more.
TOO_NEW_OR_GONE = {
    "zoneinfo",
    "graphlib",
    "tomllib",
    "cgi",
    "crypt",
    "imp",
    "asyncore",
    "telnetlib",
}

#: What a part of it needs that runs in the kernel's own Python.
OF_THE_IMAGE = {"collector.py": {"zmq"}}


def test_syntax_is_of_python_3_8():
    """In a process of its own: Python 3.11 fails to parse where a collection interrupts it."""
    check = (
        "import ast, sys\n"
        "for path in sys.argv[1:]:\n"
        "    ast.parse(open(path, encoding='utf-8').read(), path, feature_version=(3, 8))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", check, *FILES],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_annotations_are_never_evaluated(path):
    """Newer spellings in them are harmless only then."""
    text = path.read_text(encoding="utf-8")
    assert "from __future__ import annotations" in text or "def " not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_the_standard_library_is_imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names | OF_THE_IMAGE.get(
                path.name, set()
            )
            assert name.partition(".")[0] not in TOO_NEW_OR_GONE


def test_all_modules_travel_but_the_bootstrap():
    sources = json.loads(agent_sources())
    assert "main" in sources
    assert "bootstrap" not in sources
    assert set(sources) == {path.stem for path in FILES} - {"__init__", "bootstrap"}


def test_what_travels_is_of_one_version_though_another_was_installed_meanwhile(monkeypatch):
    before = [agent_command("python"), agent_sources()]
    monkeypatch.setattr(
        "importlib.resources.files", lambda _package: pytest.fail("it was read again")
    )
    assert [agent_command("python"), agent_sources()] == before


def test_boot_bytes_are_a_line_of_sizes_sources_code_and_orders():
    boot = make_boot({"place_id": "ä"})
    line, _, rest = boot.partition(b"\n")
    sizes = json.loads(line)
    assert len(line) < 256
    assert sizes["bytecode"] == bytecode()
    assert len(rest) == sizes["sources"] + sizes["code"] + sizes["config"]
    code = marshal.loads(rest[sizes["sources"] :][: sizes["code"]])
    assert set(code) == set(json.loads(zlib.decompress(rest[: sizes["sources"]])))
    assert json.loads(rest[sizes["sources"] + sizes["code"] :]) == {"place_id": "ä"}


def boot_with(main, config, *, code=b"", whose=""):
    sources = zlib.compress(json.dumps({"main": main}).encode())
    told = json.dumps(config).encode()
    sizes = {"sources": len(sources), "code": len(code), "config": len(told)}
    return json.dumps({"bytecode": whose, **sizes}).encode() + b"\n" + sources + code + told


def says(boot):
    """Run a bootstrap that reads these bytes, and no end of them; returns what it printed."""
    process = subprocess.Popen(
        agent_command(sys.executable), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process, process.stdin, process.stdout:
        process.stdin.write(boot)
        process.stdin.flush()
        assert process.wait(timeout=20) == 3
        return process.stdout.read().decode().split()


MAIN = "def run(config):\n    print(config['x'], __name__)\n    return 3\n"


def test_the_bootstrap_runs_what_it_reads_and_needs_no_end_of_input():
    assert says(boot_with(MAIN, {"x": "ä"})) == ["ä", "sessmgr_agent.main"]


@pytest.mark.parametrize(("whose", "runs"), [(bytecode(), "code"), ("another's", "text")])
def test_code_is_run_by_the_python_that_it_is_of_and_the_text_by_others(whose, runs):
    made = compile(MAIN.replace("config['x']", "'code'"), "<main>", "exec")
    code = marshal.dumps({"main": marshal.dumps(made)})
    boot = boot_with(MAIN, {"x": "text"}, code=code, whose=whose)
    assert says(boot)[0] == runs


@pytest.mark.parametrize(("whose", "runs"), [(bytecode(), "code"), ("another's", "text")])
def test_modules_that_are_handed_over_are_run_in_the_same_way(whose, runs):
    code = marshal.dumps(compile("print('code')", "<one>", "exec"))
    program = programs.READER + "for name, code in read_modules(sys.stdin.buffer): exec(code)"
    told = subprocess.run(
        [sys.executable, "-c", "import sys\n" + program],
        input=marshal.dumps((whose, [("one", code, "print('text')")]), 2),
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert told.stdout.split() == [runs.encode()]


def test_input_that_makes_no_sense_ends_the_agent_and_is_not_repeated():
    result = subprocess.run(
        agent_command(sys.executable),
        input=b'{"bytecode": "", "sources": 2, "code": 0, "config": 99}\n{}{"token": "a secret"',
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert result.returncode == 1
    assert b"a secret" not in result.stderr + result.stdout


def test_orders_that_make_no_sense_end_the_agent_and_are_not_repeated(tmp_path):
    config = {"runtime_dir": str(tmp_path), "token": "a secret", "home": str(tmp_path)}
    result = subprocess.run(
        agent_command(sys.executable),
        input=make_boot(config),
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert result.returncode == 1
    assert b"KeyError" in result.stderr
    assert b"a secret" not in result.stderr + result.stdout


AS_IN_A_PLACE = f"""
import sys, types
made = sys.modules["agent"] = types.ModuleType("agent")
made.__path__ = [{str(FILES[0].parent)!r}]
import agent.main
"""


def in_a_place(code):
    """Run code in a Python of its own that has what the agent has when its kernel starts."""
    run = [sys.executable, "-I", "-OO", "-c", AS_IN_A_PLACE + code]  # as it is compiled there
    return subprocess.check_output(run, text=True, timeout=60)


def test_a_kernel_starts_before_much_is_imported():
    code = "print(sorted({'asyncio', 'ssl', 'ctypes', 'inspect', 'logging'} & set(sys.modules)))"
    assert in_a_place(code) == "[]\n"


PUT_OFF = """
agent.thrift.put_off()
import asyncio, inspect, signal, ssl

async def main():
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    signal.raise_signal(signal.SIGUSR1)
    await asyncio.wait_for(told.wait(), 20)

asyncio.run(main())
print(type(inspect).__name__, hasattr(inspect, "__path__"), type(inspect).__name__)
print(inspect.signature(lambda x: 1), type(inspect).__name__, inspect.iscoroutinefunction(main))
agent.thrift.give_back()
"""


def test_what_asyncio_hardly_needs_is_loaded_when_it_is_used():
    assert in_a_place(PUT_OFF) == "Later False Later\n(x) module True\n"


SAYS = """
agent.thrift.put_off()
import asyncio, asyncio.log, functools, os, resource, ssl
from agent.thrift import say_trouble
loop = asyncio.new_event_loop()
loop.set_exception_handler(say_trouble)
print(*(type(sys.modules[name]).__name__ for name in ("logging", "subprocess", "typing")))

async def main():
    process = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.PIPE)
    await process.wait()
    sys.stderr = sys.stdout
    no_more_files()
    asyncio.log.logger.warning("%s went wrong", "something")
    loop.call_exception_handler({"message": "something else"})
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(functools.partial(int, "nonsense"))
    await asyncio.sleep(0.1)

def no_more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        pass

loop.run_until_complete(main())
print(type(sys.modules["logging"]).__name__)
try:
    sys.modules["typing"].Dict
except OSError:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from typing import Dict, Optional
print(Dict[str, Optional[int]], sys.modules["subprocess"].PIPE)
"""


def test_what_goes_wrong_is_told_though_no_file_can_be_opened_to_tell_it():
    """Nor does it end the agent: asyncio's own way of telling would."""
    lines = in_a_place(SAYS).splitlines()
    assert lines[:3] == ["Later Later Later", "something went wrong", "something else"]
    assert "ZeroDivisionError: division by zero" in lines
    assert any(line.startswith("ValueError: invalid literal") for line in lines)
    assert lines[-2:] == ["Later", "typing.Dict[str, typing.Optional[int]] -1"]
