"""Chooses the engine that sessions run on, and says why.

Engines come by name or import path, so that one which is not used is not even imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from traitlets.config import Config, Configurable
from traitlets.utils.importstring import import_item

from jupyter_sessmgr.engines.base import Engine, Signer
from jupyter_sessmgr.engines.docker.address import absence, host_of
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.images import is_allowed

#: What the configuration may say instead of an import path.
ENGINES: Final = {
    "docker": "jupyter_sessmgr.engines.docker.engine.DockerEngine",
    "process": "jupyter_sessmgr.engines.process.engine.ProcessEngine",
}
#: Seconds that a container engine gets to answer before sessions are local processes.
ANSWER_TIMEOUT = 10.0


async def choose_engine(
    wanted: str,
    allowed: Iterable[str],
    parent: Configurable | None,
    *,
    signer: Signer,
    folder: Path,
) -> Engine:
    """Make the engine that the configuration asks for; it may be open already.

    Called by the manager, once, before it opens. `Engine.why` of the result says which it is and
    why, in a sentence for people.

    Parameters
    ----------
    wanted
        ``docker``, ``process``, ``auto``, or the import path of a class, with a dot or a colon
        before its name.
    allowed
        Patterns of the images that people may use; ``auto`` takes docker only if it has one.
    parent
        The configurable whose configuration the engine gets.
    signer, folder
        As for `Engine.open`: ``auto`` has to ask docker what it has.

    Raises
    ------
    EngineError
        when the configured class cannot be found, or is no engine.
    """
    if wanted == "auto":
        docker, why = await _judge_docker(tuple(allowed), parent, signer, folder)
        engine = docker or await _make("process", parent)
    else:
        engine = await _make(wanted, parent)
        why = f"Sessions run on the engine {wanted!r}, as configured."
    engine.why = why
    return engine


async def _judge_docker(
    allowed: tuple[str, ...], parent: Configurable | None, signer: Signer, folder: Path
) -> tuple[Engine | None, str]:
    """Return docker, open, when it is to be used; and why, or why not."""
    local = "so sessions run as local processes."
    docker, chosen = None, False
    try:
        config = parent.config if parent is not None else Config()
        if nobody := await asyncio.to_thread(absence, host_of(config)):
            raise EngineUnavailable(nobody)  # sooner than its library could say so
        docker = await _make("docker", parent)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await docker.open(signer, folder)
            images = await docker.images()
        here = [image.reference for image in images if is_allowed(image.reference, allowed)]
        chosen = bool(here)
    except TimeoutError:
        return None, f"The container engine gave no answer, {local}"
    except EngineError as error:
        return None, f"There is no container engine to use, {local} {error.message}"
    finally:
        if docker is not None and not chosen:
            await docker.close()
    if not chosen:
        return None, (
            f"A container engine answers but has no image that may be used, {local} To use "
            "containers, run `jupyter sessmgr image build` and start the server again."
        )
    return docker, f"Sessions run in containers: an engine answers, and it has {here[0]}."


async def _make(name: str, parent: Configurable | None) -> Engine:
    path = ENGINES.get(name, name).replace(":", ".")
    try:
        # Importing docker's library takes a third of a second.
        kind = await asyncio.to_thread(import_item, path)
    except ImportError as error:
        raise EngineError(
            f"The engine {name!r} cannot be loaded ({error}). "
            'Set c.ComputeSessionManager.engine to "auto", "docker", "process" or the import path '
            "of an engine."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Engine)):
        raise EngineError(f"{path} is not an engine (a subclass of {Engine.__name__}).")
    return kind(parent=parent)
