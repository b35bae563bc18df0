"""The community's own kernel tests, with the same expectations for a local kernel and for ours."""

from __future__ import annotations

import signal
import time

import jupyter_kernel_test
import pytest
from jupyter_client import KernelManager
from jupyter_kernel_test import msgspec_v5

from tests.plugins.kernels import ENGINES, KERNEL


class Suite(jupyter_kernel_test.KernelTests):
    """What an IPython kernel can, wherever it runs. Not collected itself: it has no kernel."""

    __test__ = False
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [  # noqa: RUF012 - as the suite has it
        {"text": "zi", "matches": {"zip"}},
        {"text": "isinst", "matches": {"isinstance"}},
    ]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]  # noqa: RUF012
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]  # noqa: RUF012
    invalid_code_samples = ["import = 7q"]  # noqa: RUF012
    code_page_something = "zip?"
    code_inspect_sample = "zip"
    code_generate_error = "raise ValueError('x')"
    code_execute_result = [{"code": "1+2+3", "result": "6"}]  # noqa: RUF012
    code_display_data = [  # noqa: RUF012
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))",
            "mime": "text/html",
        },
        {
            "code": "from IPython.display import Math, display; display(Math('x'))",
            "mime": "text/latex",
        },
    ]
    supported_history_operations = ("tail", "search")
    code_history_pattern = "1?2*"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    def test_stdin(self):
        self.flush_channels()
        message_id = self.kc.execute("print(input('prompt '))", allow_stdin=True)
        request = self.kc.get_stdin_msg(timeout=10)
        assert request["content"]["prompt"] == "prompt "
        self.kc.input("answer")
        assert self.get_non_kernel_info_reply(timeout=10)["content"]["status"] == "ok"
        texts = []
        while True:
            message = self.kc.get_iopub_msg(timeout=10)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            texts.append(message["content"].get("text", ""))
            if message["content"].get("execution_state") == "idle":
                break
        assert "answer" in "".join(texts)

    def test_interrupt(self):
        self.flush_channels()
        self.kc.execute("import time; print('on', flush=True); time.sleep(600)")
        deadline = time.monotonic() + 10
        while self.kc.get_iopub_msg(timeout=10)["content"].get("text") != "on\n":
            assert time.monotonic() < deadline
        self.km.interrupt_kernel()
        reply = self.get_non_kernel_info_reply(timeout=10)
        assert reply["content"]["status"] == "error"
        assert reply["content"]["ename"] == "KeyboardInterrupt"

    def test_comm_info(self):
        self.flush_channels()
        message_id = self.kc.comm_info()
        reply = self.get_non_kernel_info_reply(timeout=10)
        msgspec_v5.validate_message(reply, "comm_info_reply", message_id)

    def test_signal(self):
        self.flush_channels()
        self.execute_helper("import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)")
        self.km.signal_kernel(signal.SIGUSR1)
        reply, _ = self.execute_helper("1")
        assert reply["content"]["status"] == "ok"


def case_for(kernel_name, config=None):
    """Make a test case whose class starts this kernel."""

    class Case(Suite):
        @classmethod
        def setUpClass(cls):
            cls.km = KernelManager(kernel_name=kernel_name, config=config)
            cls.km.start_kernel()
            cls.kc = cls.km.blocking_client()
            cls.kc.start_channels()
            cls.kc.wait_for_ready(timeout=60)

    return Case


def run_all(case):
    """Run every test of a case; return outcomes by test name."""
    outcomes = {}
    case.setUpClass()
    try:
        for name in sorted(dir(case)):
            if not name.startswith("test_"):
                continue
            outcomes[name] = outcome(case(name))
    finally:
        case.tearDownClass()
    return outcomes


def outcome(test):
    result = test.defaultTestResult()
    test.run(result)
    problems = [text for _, text in (*result.failures, *result.errors)]
    if problems:
        return "failed: " + problems[0]
    return "skipped" if result.skipped else "passed"


@pytest.fixture(scope="module")
def local_outcomes(tmp_path_factory):
    """Run the suite on a local kernel, once."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder))
        return run_all(case_for("python3"))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_remote_kernel_passes_what_a_local_one_passes(outside, local_outcomes):
    remote = run_all(case_for(KERNEL, outside.config))
    assert remote == local_outcomes
    # IPython calls the session it is in 0, so the suite's history by range is left out.
    assert {name: how for name, how in remote.items() if how != "passed"} == {
        "test_history": "skipped"
    }
