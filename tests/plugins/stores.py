"""Sessions, places and a cipher for tests of stores."""

from __future__ import annotations

import itertools
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from types import MappingProxyType

from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.naming import new_place_id, new_session_id
from jupyter_sessmgr.model.ports import Endpoint, ServicePort
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import (
    ComputeSession,
    KernelExit,
    Place,
    SessionSpec,
    StatusNote,
)
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.store.base import Cipher
from jupyter_sessmgr.store.memory import MemoryStore
from jupyter_sessmgr.store.quota import UNLIMITED
from jupyter_sessmgr.store.sqlite import SqliteStore

PLENTY = UNLIMITED
_COUNT = itertools.count(1)


class ReversingCipher(Cipher):
    """Seals so that a test can see that it did; another key cannot unseal."""

    def __init__(self, key="key"):
        self.key = key

    def seal(self, text):
        return f"sealed:{self.key}:{text[::-1]}"

    def unseal(self, sealed):
        head = f"sealed:{self.key}:"
        if not sealed.startswith(head):
            raise ValueError("not sealed by this installation")
        return sealed.removeprefix(head)[::-1]


def a_session(**changes):
    """Make a new session's row, PENDING, with a name of its own."""
    fields = {
        "id": new_session_id(),
        "name": f"session-{next(_COUNT)}",
        "owner": "ada",
        "created_at": time.time(),
        "spec": SessionSpec(image="jupyter-sessmgr/python:latest"),
    }
    return ComputeSession(**(fields | changes))


def a_full_session(**changes):
    """Make a session in which every field holds something else than its default."""
    spec = SessionSpec(
        image="example/image:1",
        preset="big",
        kernel="ir",
        command=("sleep", "1"),
        environ=MappingProxyType({"GREETING": "héllo\n", "EMPTY": ""}),
        mounts=(Mount(name="home", source="/srv/ada", target="/home/work", read_only=False),),
        workdir="/home/work/notes",
        resources=Resources(
            cpu=Decimal("0.50"),
            mem=2**40,
            shmem=1,
            devices=MappingProxyType({"cuda.device": 2}),
            pids=7,
        ),
        service_ports=(ServicePort("jupyter", "http", (8080, 8081)),),
        network="isolated",
        jupyter_session="Untitled.ipynb",
        encryption="required",
        cluster_size=2,
        durable=False,
        session_type="batch",
        startup_command="make",
        bootstrap_script="true",
        preopen_ports=(8080,),
        idle_timeout=90.5,
    )
    facts = {
        "status_info": "pulling 43 %",
        "failure": "It could not be started.",
        "observed_generation": 2,
        "place_id": new_place_id(),
        "endpoints": (Endpoint("agent", "/run/agent.sock", 0, "unix"),),
        "encrypted": True,
        "language": "R",
        "kernel_exit": KernelExit(
            generation=1, code=-9, oom=True, reason="memory", tail="Killed", expected=True
        ),
        "started_at": 12.5,
        "ended_at": 13.25,
        "connected_at": 12.75,
        "last_active_at": 13.0,
        "queries": 4,
        "cpu_ms": 2**40,
        "usage": Usage(**{name: 2**40 + i for i, name in enumerate(Usage.__dataclass_fields__)}),
        "history": (StatusNote(status=SessionStatus.PENDING, at=12.5, info="queued"),),
        "log_tail": "last\nwords\0",
    }
    fixed = {"domain": "physics", "group": "lab", "tag": "thesis", "origin": "kernel"}
    wishes = {"stop_reason": "idle", "idle_exempt": True, "opened_ports": (8085, 9000)}
    wishes |= {"exit_wished": 2, "kept_until": 99.5}
    return a_session(spec=spec, server_id="run-1", **(fixed | wishes | facts | changes))


def a_place(**changes):
    """Make a place's row, INTENDED."""
    return Place(**({"id": new_place_id(), "engine_id": "engine", "created_at": 1.5} | changes))


@asynccontextmanager
async def open_store(folder, cls=SqliteStore, cipher=None, **traits):
    """Give an open store, and close it whatever happens."""
    store = cls(**traits)
    health = await store.open(folder, cipher or ReversingCipher())
    store.opened = health
    try:
        yield store
    finally:
        await store.close()


STORES = (MemoryStore, SqliteStore)
