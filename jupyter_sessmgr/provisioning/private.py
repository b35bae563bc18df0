"""A manager of one's own, for tools without a Jupyter server: nbclient, papermill, the console.

Their event loops run only while they wait for something, which would starve leases and sweeps, so
this manager has a thread and a loop of its own. Its sessions end with the process: at the end of
the program, or, when that is killed, with their lease; what is left of them then is removed by the
next manager (`manager.leftovers`).
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from jupyter_core.paths import jupyter_config_path
from traitlets.config import Config
from traitlets.config.loader import (
    ConfigFileNotFound,
    JSONFileConfigLoader,
    PyFileConfigLoader,
)

from jupyter_sessmgr.manager.owners import server_owner
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.provisioning.locate import Home

#: Seconds that the end of the program waits for its sessions to be removed.
EXIT_TIMEOUT = 20.0

#: What configures the server's manager configures this one; a later file wins.
CONFIG_FILES = ("jupyter_config", "jupyter_server_config", "jupyter_sessmgr_config")

_lock = threading.Lock()
_private: dict[int, Future[Home]] = {}


async def private_home(config: Config, log: Any) -> Home:
    """Find this process's private manager; the first call makes it.

    Parameters
    ----------
    config : Config
        Of the first kernel manager that asks, over what Jupyter's configuration files say.
    log : logging.Logger
        Where the manager logs to.
    """
    with _lock:
        ready = _private.get(os.getpid())
        if ready is None:
            ready = _private[os.getpid()] = Future()
            threading.Thread(
                target=_live, args=(config, log, ready), name="sessmgr", daemon=True
            ).start()
    try:
        return await asyncio.shield(asyncio.wrap_future(ready))
    except Exception:
        _private.pop(os.getpid(), None)  # the next kernel tries again
        raise


def _live(config: Config, log: Any, ready: Future[Home]) -> None:
    """Run the private manager: the body of its thread."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        try:
            home = runner.run(_open(read_config(config), log, loop))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            ready.set_exception(error)
            return
        _call_at_exit(end_private_home)
        ready.set_result(home)
        loop.run_forever()


async def _open(config: Config, log: Any, loop: asyncio.AbstractEventLoop) -> Home:
    sessions = ComputeSessionManager(
        config=config,
        log=log,
        shared=True,
        store_class="jupyter_sessmgr.store.memory.MemoryStore",
    )
    await sessions.open()
    return Home(sessions, loop, owner=server_owner())


def read_config(over: Config) -> Config:
    """Read Jupyter's configuration files as a server does, and put `over` on top. Does file I/O.

    Raises
    ------
    InvalidRequest
        when a file cannot be read.
    """
    merged = Config()
    for name in CONFIG_FILES:
        for folder in reversed(jupyter_config_path()):
            for loader in (
                PyFileConfigLoader(f"{name}.py", path=folder),
                JSONFileConfigLoader(f"{name}.json", path=folder),
            ):
                try:
                    merged.merge(loader.load_config())
                except ConfigFileNotFound:
                    continue
                except Exception as error:  # such a file is Python, so it may raise anything
                    raise InvalidRequest(
                        f"The configuration file {folder}/{loader.filename} cannot be read: "
                        f"{error!r:.200}. Mend it, or move it away."
                    ) from error
    merged.merge(over)
    return merged


def end_private_home() -> None:
    """End all sessions of this process. Called when the program ends; harmless without any."""
    ready = _private.pop(os.getpid(), None)
    if ready is None or not ready.done() or ready.exception() is not None:
        return
    home = ready.result()
    ending = asyncio.run_coroutine_threadsafe(home.sessions.close(), home.loop)
    try:
        ending.result(EXIT_TIMEOUT)
    except FutureTimeoutError:
        home.sessions.log.warning(
            "Not all sessions were removed in %g s; they end by themselves within their lease.",
            EXIT_TIMEOUT,
        )
    except Exception:
        home.sessions.log.exception("The sessions could not be ended; their lease ends them")
    home.loop.call_soon_threadsafe(home.loop.stop)


def _call_at_exit(callback: Callable[[], None]) -> None:
    """Have `callback` called when the program ends, while thread pools still take work.

    Functions of `atexit` come too late for that: an engine that is reached through a pool could
    not be asked to remove anything any more.
    """
    early = getattr(threading, "_register_atexit", atexit.register)
    early(callback)
