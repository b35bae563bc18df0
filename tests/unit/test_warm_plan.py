"""Which spares fit whom, and which there should be: pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest

from jupyter_sessmgr.engines.process import ProcessEngine
from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.pool.keys import can_be_spared, make_key, spare_spec, terms_of
from jupyter_sessmgr.manager.pool.machine import free_memory
from jupyter_sessmgr.manager.pool.pauses import FIRST, LONGEST, Pauses
from jupyter_sessmgr.manager.pool.plan import (
    MEMORY,
    Demand,
    Kept,
    Wish,
    to_make,
    too_many,
    without_room,
)
from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import SessionSpec

SECRETS = InstallationSecrets(b"k" * 32, "install")
SPEC = SessionSpec(
    image="example/image:1",
    preset="python",
    environ=MappingProxyType({"GREETING": "hello"}),
    mounts=(Mount(name="home", source="/srv/ada", target="/home/work", read_only=False),),
)
GIB = 2**30


def key(spec=SPEC, digest="sha256:1", terms=MappingProxyType({})):
    return make_key(spec, digest, dict(terms), SECRETS)


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "example/image:2"},
        {"preset": "big"},
        {"kernel": "ir"},
        {"environ": MappingProxyType({"GREETING": "bye"})},
        {"environ": MappingProxyType({})},
        {"mounts": ()},
        {"mounts": (replace(SPEC.mounts[0], source="/srv/bob"),)},
        {"mounts": (replace(SPEC.mounts[0], read_only=True),)},
        {"workdir": "/work/notes"},
        {"resources": Resources(mem=GIB)},
        {"resources": Resources(cpu=Decimal(1))},
        {"resources": Resources(shmem=1)},
        {"resources": Resources(pids=7)},
        {"resources": Resources(devices=MappingProxyType({"cuda.device": 1}))},
        {"service_ports": (ServicePort("jupyter", "http", (8080,)),)},
        {"preopen_ports": (8080,)},
        {"network": "isolated"},
        {"encryption": "required"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_change_after_creation_makes_another_key(changes):
    assert key(replace(SPEC, **changes)) != key()


@pytest.mark.parametrize("changes", [{"jupyter_session": "a.ipynb"}, {"durable": False}], ids=str)
def test_what_a_spare_is_told_later_makes_none(changes):
    assert key(replace(SPEC, **changes)) == key()
    assert spare_spec(replace(SPEC, **changes)) == SPEC


def test_another_image_and_other_terms_make_another_key():
    assert len({key(), key(digest="sha256:2"), key(terms={"release": "2"})}) == 3


def test_a_key_tells_nothing_of_the_environment():
    other = InstallationSecrets(b"o" * 32, "install")
    assert make_key(SPEC, "sha256:1", {}, other) != key()
    assert "hello" not in key()


def test_terms_follow_settings():
    engine, admission = ProcessEngine(), AdmissionControl()
    before = terms_of(engine, admission)
    assert terms_of(engine, admission) == before
    engine.isolation = "none"
    changed = terms_of(engine, admission)
    admission.pids_limit = 7
    assert before != changed != terms_of(engine, admission)
    assert terms_of(engine, admission, (7, 0.0)) != terms_of(engine, admission)


async def test_terms_follow_what_processes_inherit(monkeypatch, state_dir):
    async def terms(**environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        engine = ProcessEngine()
        await engine.open(SECRETS, state_dir)
        try:
            return terms_of(engine, AdmissionControl())
        finally:
            await engine.close()

    before = await terms(TZ="Asia/Tokyo")
    assert await terms(A_SECRET_OF_THE_SERVER="x") == before
    assert await terms(TZ="Europe/Berlin") != before


@pytest.mark.parametrize(
    ("changes", "can"),
    [
        ({}, True),
        ({"kernel": ""}, False),
        ({"session_type": "batch", "startup_command": "make"}, False),
        ({"bootstrap_script": "true"}, False),
        ({"command": ("sleep", "1")}, False),
        ({"cluster_size": 2}, False),
        ({"resources": Resources(devices=MappingProxyType({"cuda.device": 1}))}, False),
    ],
    ids=str,
)
def test_which_sessions_can_be_made_ahead(changes, can):
    assert can_be_spared(replace(SPEC, **changes)) is can


def test_the_likely_one_is_the_most_frequent_then_the_latest():
    demand = Demand()
    here, there = replace(SPEC, workdir="/here"), replace(SPEC, workdir="/there")
    assert demand.likely() == []
    demand.note(here)
    assert demand.likely() == [here]
    demand.note(there)
    assert demand.likely() == [there]
    demand.note(here)
    demand.note(there)
    demand.note(here)
    assert demand.likely() == [here]
    for _ in range(MEMORY):
        demand.note(there)
    assert demand.likely() == [there]


def test_each_preset_and_image_is_guessed_for_by_itself():
    demand, other = Demand(), replace(SPEC, preset="isolated")
    demand.note(SPEC)
    demand.note(other)
    assert demand.likely() == [SPEC, other]


def kept(*keys, mem=GIB):
    return [Kept(place_id=str(n), key=k, needs=Resources(mem=mem)) for n, k in enumerate(keys)]


def wish(name, size=1, mem=GIB):
    return Wish(key=name, size=size, spec=replace(SPEC, resources=Resources(mem=mem)))


def test_spares_that_nobody_wishes_for_are_too_many():
    assert too_many(kept("a", "b", "a"), [wish("a", 2)]) == ["1"]
    assert too_many(kept("a", "a", "a"), [wish("a")]) == ["1", "0"]
    assert sorted(too_many(kept("a", "b"), [])) == ["0", "1"]
    assert too_many(kept("a"), [wish("a", 3)]) == []


def test_spares_that_do_not_fit_are_without_room():
    assert without_room(kept("a", "b", "c"), Room(mem=2 * GIB)) == ["2"]
    assert without_room(kept("a", "b"), Room(mem=-1)) == ["0", "1"]
    assert without_room(kept("a", "b"), Room()) == []


def test_what_is_missing_is_made_a_few_at_a_time_and_only_where_there_is_room():
    wishes = [wish("a", 2), wish("b", 2)]
    assert [one.key for one in to_make([], wishes, Room(), 9)] == ["a", "a", "b", "b"]
    assert [one.key for one in to_make([], wishes, Room(), 1)] == ["a"]
    assert [one.key for one in to_make(kept("a", "a"), wishes, Room(), 1)] == ["b"]
    assert to_make(kept("a", "a", "b", "b"), wishes, Room(), 9) == []
    assert to_make([], wishes, Room(), 0) == []
    # The spares that are there take of the room, too.
    assert [one.key for one in to_make(kept("a"), wishes, Room(mem=2 * GIB), 9)] == ["a"]
    assert to_make([], wishes, Room(mem=GIB - 1), 9) == []


def test_free_memory_is_a_part_of_the_whole(tmp_path, monkeypatch):
    assert 0 < free_memory() < 1
    info = tmp_path / "meminfo"
    monkeypatch.setattr("jupyter_sessmgr.manager.pool.machine._INFO", info)
    assert free_memory() == 1.0  # not told is not short
    info.write_text("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n")
    assert free_memory() == 0.25
    info.write_text("MemTotal: 0 kB\nMemAvailable: 0 kB\n")
    assert free_memory() == 1.0


def test_a_kind_is_put_off_for_longer_each_time_until_one_of_it_was_used():
    put_off = Pauses()
    assert [put_off.begin("kind") for _ in range(3)] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert [put_off.is_over(key) for key in ("kind", "other")] == [False, True]
    assert max(put_off.begin("kind") for _ in range(20)) == LONGEST
    put_off.end("kind")
    assert put_off.is_over("kind")
    assert put_off.begin("kind") == FIRST
