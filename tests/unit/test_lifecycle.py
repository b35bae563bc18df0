"""A manager that opens, fails to, and takes over: it is open whole, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_sessmgr.manager.admission.offers import OfferBoard
from jupyter_sessmgr.manager.installation.leading import Leading
from jupyter_sessmgr.model.errors import Standby, StoreError
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.managers import managed
from tests.plugins.waiting import eventually


@pytest.fixture
def failing(monkeypatch):
    """Have a method fail from now on, until `restore` is called."""

    def fail(owner, name, error):
        async def fails(*_args):
            raise error

        monkeypatch.setattr(owner, name, fails)

    fail.restore = monkeypatch.undo
    return fail


def tasks():
    return {task.get_name() for task in asyncio.all_tasks() if "sessmgr-" in task.get_name()}


@pytest.mark.parametrize("part", [(OfferBoard, "start"), (Leading, "_take_back")])
async def test_what_could_not_be_opened_whole_is_closed_and_can_be_opened_again(
    tmp_path, failing, part
):
    failing(*part, RuntimeError("a fault of ours"))
    with pytest.raises(RuntimeError):
        async with managed(tmp_path / "s"):
            pass
    assert not tasks()
    failing.restore()
    async with managed(tmp_path / "s") as other:
        assert other.leader


async def test_the_same_manager_opens_after_it_failed_to(tmp_path, failing):
    async with managed(tmp_path / "s") as manager:
        await manager.close()
        failing(OfferBoard, "start", RuntimeError("a fault of ours"))
        with pytest.raises(RuntimeError):
            await manager.open()
        with pytest.raises(Standby):
            manager.list("me")
        failing.restore()
        await manager.open()
        assert manager.leader
        assert manager.health().available


async def test_who_cannot_read_what_was_done_last_takes_over_all_the_same(
    tmp_path, failing, caplog
):
    async with managed(tmp_path / "s") as first, managed(tmp_path / "s", keep=True) as second:
        failing(SqliteStore, "refresh", StoreError("The disk is broken."))
        await first.close()
        await eventually(lambda: second.leader)
        assert "The disk is broken." in caplog.text


async def test_who_cannot_take_over_says_so_and_lets_go_of_the_folder(tmp_path, failing, caplog):
    async with managed(tmp_path / "s") as first, managed(tmp_path / "s", keep=True) as second:
        failing(Leading, "_take_back", RuntimeError("a fault of ours"))
        await first.close()
        await eventually(lambda: "could not take over" in second.health().reason)
        assert "a fault of ours" in caplog.text
        failing.restore()
        async with managed(tmp_path / "s", keep=True) as third:
            assert third.leader
