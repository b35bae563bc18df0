"""Which sessions a spare fits: those that cannot tell it from a place of their own. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from traitlets.config import Configurable

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.engines.base import Engine, Signer
from jupyter_sessmgr.manager.agents.boot import agent_digest
from jupyter_sessmgr.model.codec import to_plain
from jupyter_sessmgr.model.session import SessionSpec


def spare_spec(spec: SessionSpec) -> SessionSpec:
    """Leave out what a spare is told when it is claimed, and what only the server goes by."""
    return replace(spec, jupyter_session="", durable=True, idle_timeout=None)


def can_be_spared(spec: SessionSpec) -> bool:
    """Tell whether a session may be made before anybody asked for it.

    Not without a kernel, which is all that takes long; not where a script of its user runs first;
    and a device is too dear to wait.
    """
    return (
        bool(spec.kernel)
        and spec.session_type == "interactive"
        and not spec.bootstrap_script
        and not spec.command
        and spec.cluster_size == 1
        and not any(spec.resources.devices.values())
    )


def make_key(spec: SessionSpec, digest: str, terms: Mapping[str, object], signer: Signer) -> str:
    """Name all that cannot change after creation; it tells nothing of the values in it.

    Parameters
    ----------
    digest
        Which image it is, exactly.
    terms
        What holds for all sessions; see `terms_of`.
    """
    words = {"spec": to_plain(spare_spec(spec)), "digest": digest, "terms": terms}
    return signer.sign("spare", json.dumps(words, sort_keys=True))


def settings_of(configurable: Configurable) -> Mapping[str, str]:
    """Return what an administrator may have chosen."""
    names = configurable.trait_names(config=True)
    return {name: repr(getattr(configurable, name)) for name in names}


def terms_of(
    engine: Engine, admission: Configurable, journal: tuple[int, float] = (0, 0.0)
) -> Mapping[str, object]:
    """Say what sessions get besides what they ask for: the settings, and this very release.

    `journal` are the bounds of what is kept of their output.
    """
    return {
        "journal": journal,
        "engine": engine.engine_id,
        "inherited": dict(engine.inherited),
        "settings": [settings_of(engine), settings_of(admission)],
        "release": __version__,
        "agent": agent_digest(),
    }
