"""Which engine is chosen, and what is said of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jupyter_sessmgr.engines import choose
from jupyter_sessmgr.engines.choose import choose_engine
from jupyter_sessmgr.engines.process import ProcessEngine
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine

HERE = "tests.unit.test_choose"


class Answers(FakeEngine):
    """A container engine that has `FAKE_IMAGE`."""

    closed = 0

    async def close(self):
        type(self).closed += 1
        await super().close()


class Silent(FakeEngine):
    """A container engine that is not there."""

    async def open(self, signer, folder):
        raise EngineUnavailable("Nothing listens on the socket. Start the engine.")


class NotAnEngine:
    pass


@pytest.fixture(autouse=True)
def socket_file(monkeypatch, tmp_path):
    """Have a file where the engine's socket would be."""
    path = tmp_path / "docker.sock"
    path.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


async def choose_as(monkeypatch, folder, docker, wanted="auto", allowed=(FAKE_IMAGE,)):
    monkeypatch.setitem(choose.ENGINES, "docker", f"{HERE}.{docker.__name__}")
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    return await choose_engine(wanted, allowed, None, signer=None, folder=folder)


async def test_docker_is_taken_when_it_answers_and_has_an_allowed_image(monkeypatch, tmp_path):
    Answers.closed = 0
    engine = await choose_as(monkeypatch, tmp_path, Answers)
    assert isinstance(engine, Answers)
    assert "containers" in engine.why
    assert FAKE_IMAGE in engine.why
    assert engine.engine_id
    assert Answers.closed == 0


async def test_processes_are_taken_when_docker_has_no_allowed_image(monkeypatch, tmp_path):
    Answers.closed = 0
    engine = await choose_as(monkeypatch, tmp_path, Answers, allowed=[REFERENCE_IMAGE])
    assert isinstance(engine, ProcessEngine)
    assert "no image that may be used" in engine.why
    assert "image build" in engine.why
    assert Answers.closed == 1


async def test_processes_are_taken_when_docker_does_not_answer(monkeypatch, tmp_path):
    engine = await choose_as(monkeypatch, tmp_path, Silent)
    assert isinstance(engine, ProcessEngine)
    assert "Nothing listens on the socket" in engine.why


async def test_an_engine_without_a_socket_is_not_even_imported(monkeypatch, tmp_path, socket_file):
    socket_file.unlink()
    engine = await choose_as(monkeypatch, tmp_path, NotAnEngine)
    assert isinstance(engine, ProcessEngine)
    assert f"answers at unix://{socket_file}: there is no such socket" in engine.why
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    engine = await choose_as(monkeypatch, tmp_path, Answers)
    assert isinstance(engine, Answers)  # who is elsewhere is asked


async def test_processes_are_taken_when_the_docker_library_is_broken(monkeypatch, tmp_path):
    monkeypatch.setitem(choose.ENGINES, "docker", "no.such.Engine")
    engine = await choose_engine("auto", (), None, signer=None, folder=tmp_path)
    assert isinstance(engine, ProcessEngine)
    assert "cannot be loaded" in engine.why


async def test_what_is_configured_is_taken_even_when_it_does_not_answer(monkeypatch, tmp_path):
    engine = await choose_as(monkeypatch, tmp_path, Silent, wanted="docker")
    assert isinstance(engine, Silent)
    assert "as configured" in engine.why


@pytest.mark.parametrize("path", [f"{HERE}:Answers", f"{HERE}.Answers"])
async def test_an_import_path_is_taken(monkeypatch, tmp_path, path):
    engine = await choose_as(monkeypatch, tmp_path, Silent, wanted=path)
    assert isinstance(engine, Answers)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("dokcer", "cannot be loaded"), ("no.such:Engine", "cannot be loaded"),
     (f"{HERE}.NotAnEngine", "is not an engine"), (f"{HERE}.None", "cannot be loaded")],
)  # fmt: skip
async def test_what_is_no_engine_is_refused_in_words(monkeypatch, tmp_path, wanted, words):
    with pytest.raises(EngineError, match=words):
        await choose_as(monkeypatch, tmp_path, Silent, wanted=wanted)


def test_what_is_not_chosen_is_not_imported():
    code = (
        "import sys, asyncio\n"
        "from jupyter_sessmgr.engines.choose import choose_engine\n"
        "made = asyncio.run(choose_engine('process', (), None, signer=None, folder=None))\n"
        "print(made.name, 'docker' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "process False\n"
