"""Remote kernels without a server: what people do with a kernel manager of jupyter_client."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import stat
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq.asyncio
from jupyter_client import AsyncKernelManager, KernelManager

from jupyter_sessmgr.model.errors import InvalidRequest, NotRunning, SessmgrError
from tests.plugins.kernels import ENGINES, KERNEL
from tests.plugins.waiting import eventually

pytestmark = pytest.mark.parametrize("engine", ENGINES)


@asynccontextmanager
async def started(outside, **kwargs):
    """Start a kernel and connect to it."""
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
    await manager.start_kernel(**kwargs)
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


#: Comes before what is to be interrupted when it runs.
ON = "print('on', flush=True)\n"


async def run(client, code, timeout=30, on=None):
    """Run code; return its reply's status and what it printed or showed.

    `on` is set when it prints for the first time.
    """
    texts = []

    def hook(message):
        content = message["content"]
        texts.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
        if on is not None and texts[-1]:
            on.set()

    # else kernels drop for a moment what comes after an error
    reply = await client.execute_interactive(
        code, stop_on_error=False, timeout=timeout, output_hook=hook
    )
    return reply["content"]["status"], "".join(texts)


async def begun(client, code, on=ON):
    """Have code run; return when it does, with the task that waits for its end."""
    prints = asyncio.Event()
    task = asyncio.create_task(run(client, on + code, timeout=60, on=prints))
    await asyncio.wait_for(prints.wait(), 30)
    return task


async def test_execute_interrupt_restart_shut_down(outside):
    async with started(outside) as (manager, client):
        assert await run(client, "x = 40 + 1; print(x)") == ("ok", "41\n")
        loop = await begun(client, "import time\nwhile True: time.sleep(0.01)")
        await manager.interrupt_kernel()
        assert (await loop)[0] == "error"
        assert await run(client, "print(x)") == ("ok", "41\n")
        assert await manager.is_alive()
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=60)
        assert await run(client, "print('x' in dir())") == ("ok", "False\n")
        (session,) = outside.live()
        assert session.id == manager.kernel_id
        await manager.shutdown_kernel()
        assert not await manager.is_alive()
    assert outside.live() == []


async def test_blocking_code_and_child_processes_are_interrupted(outside):
    async with started(outside) as (manager, client):
        # the C library ignores the signal from before there is a child, so that one tells
        child = "import os; os.system('echo now; exec sleep 600')"
        for on, code in ((ON, "import time; time.sleep(600)"), ("", child)):
            began = time.monotonic()
            task = await begun(client, code, on)
            await manager.interrupt_kernel()
            await task
            assert time.monotonic() - began < 20
        assert await manager.is_alive()


async def test_the_notebooks_folder_is_the_working_folder_and_writable(outside, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    folder.chmod(0o777)  # sessions of a server that runs as root run as somebody else
    (folder / "data.csv").write_text("1,2")
    async with started(outside, cwd=str(folder)) as (_, client):
        assert await run(client, "print(open('data.csv').read())") == ("ok", "1,2\n")
        assert await run(client, "open('new.txt', 'w').write('seen')") == ("ok", "4")
    assert (folder / "new.txt").read_text() == "seen"


async def test_without_one_it_is_where_the_program_runs(outside):
    (outside.folder / "here.txt").write_text("here")
    async with started(outside) as (_, client):
        assert await run(client, "print(open('here.txt').read())") == ("ok", "here\n")


async def test_E5_the_servers_environment_stays_outside(outside, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "canary-e5")
    environ = {**os.environ, "MORE": "canary-e5", "JPY_SESSION_NAME": "/x/n.ipynb"}
    async with started(outside, env=environ) as (_, client):
        status, inside = await run(client, "import os; print(dict(os.environ))")
        assert status == "ok"
        assert "canary-e5" not in inside
        assert (await run(client, "print(__session__)"))[1] == "/x/n.ipynb\n"


#: Makes a wheel by hand, since no image needs to have what builds one, and has pip install it.
PIP_INSTALL = """
import pathlib, subprocess, sys, zipfile
name = "sessmgrprobe-1.0"
info = name + ".dist-info"
wheel = pathlib.Path.home() / (name + "-py3-none-any.whl")
files = {
    "sessmgrprobe.py": "word = 'kept'",
    info + "/METADATA": "Metadata-Version: 2.1\\nName: sessmgrprobe\\nVersion: 1.0\\n",
    info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    info + "/RECORD": "",
}
with zipfile.ZipFile(wheel, "w") as archive:
    for path, text in files.items():
        archive.writestr(path, text)
command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", str(wheel)]
done = subprocess.run(command, capture_output=True, text=True)
print(done.returncode, done.stderr if done.returncode else "")
"""


async def test_what_pip_installs_is_there_after_a_restart(outside):
    """Also in the next session of the same owner, since the home folder is one per owner."""
    probe = "import sessmgrprobe; print(sessmgrprobe.word)"
    async with started(outside) as (manager, client):
        assert await run(client, PIP_INSTALL, timeout=120) == ("ok", "0 \n")
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=60)
        assert await run(client, probe) == ("ok", "kept\n")
    async with started(outside) as (_, client):
        assert await run(client, probe) == ("ok", "kept\n")


async def test_input_and_rich_output(outside):
    async with started(outside) as (_, client):
        answers = []

        def stdin_hook(message):
            answers.append(message["content"]["prompt"])
            client.input("blue")

        shown = []
        await client.execute_interactive(
            "c = input('colour? ')\nfrom IPython.display import HTML\nHTML('<b>' + c + '</b>')",
            stdin_hook=stdin_hook,
            output_hook=shown.append,
            allow_stdin=True,
            timeout=30,
        )
        assert answers == ["colour? "]
        (html,) = [m for m in shown if m["msg_type"] == "execute_result"]
        assert html["content"]["data"]["text/html"] == "<b>blue</b>"


async def test_a_kernel_that_dies_is_dead_and_its_exit_is_known(outside):
    async with started(outside) as (manager, client):
        client.execute("import os; os._exit(7)")
        await eventually(lambda: not_alive(manager))
        assert await manager.provisioner.poll() == 7
        assert "7" in manager.provisioner.held.why_ended()
        await manager.restart_kernel(now=True)
        await client.wait_for_ready(timeout=60)
        assert await run(client, "print(1)") == ("ok", "1\n")


async def not_alive(manager):
    return not await manager.is_alive()


async def test_signals_reach_the_kernel(outside):
    async with started(outside) as (manager, client):
        code = "import signal; got = []; signal.signal(signal.SIGUSR1, lambda *a: got.append(1))"
        assert (await run(client, code))[0] == "ok"
        await manager.signal_kernel(signal.SIGUSR1)

        async def arrived():
            return (await run(client, "print(got)"))[1] == "[1]\n"

        await eventually(arrived)


async def test_C4_a_kernel_that_ignores_all_signals_is_killed_in_time(outside):
    async with started(outside) as (manager, client):
        code = (
            "import signal, time\n"
            "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
            "print('on', flush=True)\n"
            "while True:\n"
            "    try: time.sleep(1)\n"
            "    except BaseException: pass\n"
        )
        task = await begun(client, code, on="")
        began = time.monotonic()
        await manager.shutdown_kernel()
        assert time.monotonic() - began < 15
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert outside.live() == []


async def test_channels_are_encrypted_and_files_are_private(outside):
    async with started(outside) as (manager, _):
        info = json.loads(Path(manager.connection_file).read_text())
        assert len(info["curve_publickey"]) == 40
        assert manager.curve_publickey
        assert stat.S_IMODE(Path(manager.connection_file).stat().st_mode) == 0o600
        (session,) = outside.live()
        assert session.encrypted
        connection_file = manager.connection_file
    assert not Path(connection_file).exists()


async def test_a_left_over_connection_file_does_no_harm(outside):
    async with started(outside) as (manager, _):
        path, kernel_id = Path(manager.connection_file), manager.kernel_id
        left = path.read_text()
    path.write_text(left)
    manager = AsyncKernelManager(
        kernel_name=KERNEL, config=outside.config, connection_file=str(path)
    )
    await manager.start_kernel()
    assert manager.kernel_id != kernel_id
    await manager.shutdown_kernel(now=True)
    assert not path.exists()


async def test_a_manager_can_start_again_after_its_shutdown(outside):
    context = zmq.asyncio.Context()
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config, context=context)
    for _ in range(2):
        await manager.start_kernel()
        assert await manager.is_alive()
        await manager.shutdown_kernel(now=True)
    assert outside.live() == []


async def test_a_start_that_is_cancelled_leaves_nothing(outside):
    for pause in (0.0, 0.005, 0.05, 0.2):
        manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
        task = asyncio.create_task(manager.start_kernel())
        await asyncio.sleep(pause)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: outside.live() == [], timeout=20)


async def test_a_manager_that_is_dropped_without_a_word_leaves_nothing(outside):
    context = zmq.asyncio.Context()
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config, context=context)
    await manager.start_kernel()
    assert len(outside.live()) == 1
    del manager
    gc.collect()
    await eventually(lambda: outside.live() == [])
    context.destroy(linger=0)


async def test_bad_kernelspecs_are_refused_in_words_and_leave_nothing(outside):
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
    config = manager.kernel_spec.metadata["kernel_provisioner"]["config"]
    good = dict(config)
    for change, words in [
        ({"memory": "4g"}, "unknown key 'memory'"),
        ({"resources": {"mem": "many"}}, "mem"),
        ({"resources": {"color": 1}}, "color"),
        ({"image": "no/such:1"}, "no/such"),
        ({"image": "--privileged"}, "image reference"),
        ({"kernel": "fortran"}, "fortran"),
        ({"preset": "nowhere"}, "nowhere"),
        ({"encryption": "maybe"}, "encryption"),
    ]:
        config.clear()
        config.update({**good, **change})
        manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
        manager._kernel_spec = _spec_with(manager, config)
        with pytest.raises(SessmgrError, match=words):
            await manager.start_kernel()
        assert outside.live() == [], change


def _spec_with(manager, config):
    spec = manager.kernel_spec
    spec.metadata["kernel_provisioner"] = {
        "provisioner_name": "sessmgr-provisioner",
        "config": dict(config),
    }
    return spec


async def test_extra_arguments_and_odd_ids_are_refused_in_words(outside):
    for kwargs, words in [
        ({"extra_arguments": ["--pdb"]}, "no extra arguments"),
        ({"kernel_id": "mine"}, "UUID"),
    ]:
        manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
        with pytest.raises(InvalidRequest, match=words):
            await manager.start_kernel(**kwargs)
    assert outside.live() == []


async def test_signalling_a_kernel_that_was_never_started_is_an_error_in_words(outside):
    async with started(outside) as (manager, _):
        provisioner = manager.provisioner
        await manager.shutdown_kernel(now=True)
        assert not provisioner.has_process
        with pytest.raises(NotRunning, match="Start it again"):
            await provisioner.send_signal(signal.SIGINT)
        await provisioner.kill()
        await provisioner.cleanup()


def test_the_blocking_manager_works_too(outside):
    manager = KernelManager(kernel_name=KERNEL, config=outside.config)
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    assert client.execute_interactive("1 + 1", timeout=30)["content"]["status"] == "ok"
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    manager.shutdown_kernel()
    assert outside.live() == []


SPEC = (
    "import json, pathlib, sys\n"
    "folder = pathlib.Path.home() / '.local/share/jupyter/kernels/polite'\n"
    "folder.mkdir(parents=True, exist_ok=True)\n"
    "(folder / 'kernel.json').write_text(json.dumps({\n"
    "    'argv': [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}'],\n"
    "    'display_name': 'Polite', 'language': 'python', 'interrupt_mode': 'message',\n"
    "    'metadata': {'supported_encryption': 'curve'}}))\n"
)


async def test_a_kernel_that_wants_messages_is_interrupted_by_a_message(outside, monkeypatch):
    async with started(outside) as (_, client):
        assert (await run(client, SPEC))[0] == "ok"
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
    config = manager.kernel_spec.metadata["kernel_provisioner"]["config"]
    config["kernel"] = "polite"
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    sessions = outside.home.sessions
    assert sessions.interrupt_mode(manager.kernel_id) == "message"
    monkeypatch.setattr(type(sessions), "interrupt", None)  # would fail if it were asked
    task = await begun(client, "import time; time.sleep(600)")
    await manager.interrupt_kernel()
    await task
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
