"""S3, the store's part: the disk is full."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessmgr.model.errors import StoreError, StoreRefused
from jupyter_sessmgr.model.status import Goal, SessionStatus
from tests.plugins.disks import as_root, fill, tmpfs
from tests.plugins.stores import PLENTY, a_place, a_session, open_store

#: More than the whole disk can hold.
MUCH = "x" * 300_000


async def test_S3_a_full_disk_is_said_in_words_and_the_store_recovers(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "small") as folder:
        async with open_store(folder) as store:
            first = await store.add(a_session(), PLENTY)
            ballast = fill(folder)
            with pytest.raises(StoreError, match="is full, so nothing was changed") as caught:
                await store.add(a_session(tag=MUCH), PLENTY)
            assert caught.value.retryable
            assert caught.value.data["reason"] == "full"
            assert str(folder) in caught.value.message
            for write in (
                store.save_wish(replace(first, goal=Goal.STOP, tag=MUCH)),
                store.save_facts(replace(first, status=SessionStatus.RUNNING, log_tail=MUCH)),
                store.save_place(a_place(key=MUCH)),
            ):
                with pytest.raises(StoreError, match="is full"):
                    await write
            assert list(store.sessions(live=False)) == [first]
            assert list(store.places()) == []
            ballast.unlink()
            second = await store.add(a_session(tag="x" * 20_000), PLENTY)
            first = await store.save_wish(replace(first, goal=Goal.STOP))
            assert (first.goal, second.number) == (Goal.STOP, 2)
        async with open_store(folder) as store:
            assert store.opened.corrupt_copy == ""
            assert list(store.sessions()) == [second, first]


async def test_S3_small_changes_go_on_in_the_room_that_is_ours_already(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "small") as folder:
        async with open_store(folder) as store:
            session = await store.add(a_session(), PLENTY)
        async with open_store(folder) as store:
            session = await store.save_facts(replace(session, status=SessionStatus.RUNNING))
            fill(folder)
            for generation in range(2, 100):
                session = await store.save_wish(replace(session, generation=generation))
            await store.save_wish(replace(session, goal=Goal.STOP))
            ended = replace(session, status=SessionStatus.TERMINATED, ended_at=2e9)
            session = await store.save_facts(ended)
        async with open_store(folder) as store:
            assert store.opened.corrupt_copy == ""
            assert list(store.sessions(live=False)) == [session]


async def test_S3_writing_until_the_disk_is_full_loses_nothing_acknowledged(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "small") as folder:
        stored = []
        async with open_store(folder) as store:
            failure = None
            while failure is None and len(stored) < 1000:
                try:
                    stored.append(await store.add(a_session(tag="x" * 500), PLENTY))
                except StoreError as error:
                    failure = error
            assert "is full" in str(failure)
            assert list(store.sessions()) == stored[::-1]
        assert len(stored) > 5
        async with open_store(folder) as store:
            assert store.opened.corrupt_copy == ""
            assert list(store.sessions()) == stored[::-1]


async def test_S3_a_store_cannot_be_made_on_a_full_disk(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "small") as folder:
        ballast = fill(folder)
        with pytest.raises(StoreError, match="is full") as caught:
            async with open_store(folder):
                pass
        assert not isinstance(caught.value, StoreRefused), "it may work later"
        ballast.unlink()
        async with open_store(folder) as store:
            assert store.opened.is_new
            assert store.opened.corrupt_copy == ""
