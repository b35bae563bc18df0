"""Read the configuration that a Jupyter server would read, without starting one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jupyter_core.application import JupyterApp
from traitlets.config import Config
from traitlets.config.loader import ConfigFileNotFound

from jupyter_sessmgr.cli.failures import CommandFailed, Exit

#: In the server's order: a later file wins.
FILES = ("jupyter_config", "jupyter_server_config", "jupyter_sessmgr_config")
_TRAIT = re.compile(r"--(?P<section>[A-Z]\w*)\.(?P<trait>[a-z]\w*)=(?P<value>.*)", re.DOTALL)


class _Reader(JupyterApp):
    """Only a reader of files: traitlets' loaders with Jupyter's search path."""

    name = "jupyter-sessmgr"
    raise_config_file_errors = True


def load_config(options: Sequence[str] = ()) -> Config:
    """Read Jupyter's configuration files, and ``--Class.trait=value`` options over them.

    Raises
    ------
    CommandFailed
        when a file cannot be read, or an option is not one.
    """
    reader = _Reader()
    for name in FILES:
        try:
            super(JupyterApp, reader).load_config_file(name, path=reader.config_file_paths)
        except ConfigFileNotFound:
            continue
        except Exception as error:  # a configuration file is Python, so it may raise anything
            raise CommandFailed(
                f"The configuration file {name} cannot be read: {error!r:.300}. Mend it, or move "
                "it away.",
                Exit.USAGE,
            ) from error
    config = Config()
    config.merge(reader.config)
    for option in options:
        _apply(config, option)
    return config


def is_trait_option(option: str) -> bool:
    """Tell whether an option is of the form ``--Class.trait=value``."""
    return _TRAIT.fullmatch(option) is not None


def _apply(config: Config, option: str) -> None:
    match = _TRAIT.fullmatch(option)
    if match is None:
        raise CommandFailed(f"unrecognized option: {option}", Exit.USAGE)
    from traitlets.config.loader import DeferredConfigString  # noqa: PLC0415 - rarely needed

    config[match["section"]][match["trait"]] = DeferredConfigString(match["value"])
