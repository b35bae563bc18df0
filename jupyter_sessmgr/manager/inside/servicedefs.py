"""How the apps are started that need no definition by an admin or an image.

Each is data that the session's agent fills in and runs as it is, never through a shell:
``{ports[0]}`` is where it must listen, ``{runtime_path}`` the session's Python, ``{base_url}`` the
path it is reached under, ``{workdir}`` the working folder, ``{token}`` a secret of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

#: Jupyter's news would ask for consent first, in every new session, often without a network.
_QUIET = """
def without_news(handler, page):
    page["disabledExtensions"] += ["@jupyterlab/apputils-extension:announcements"]
    return page
c.ServerApp.tornado_settings = {"page_config_hook": without_news}
"""
#: A server that is somebody else (root, say) keeps its checkpoints in the same folder.
_OWN_CHECKPOINTS = """
import os
if os.path.isdir(".ipynb_checkpoints") and not os.access(".ipynb_checkpoints", os.W_OK):
    c.FileCheckpoints.checkpoint_dir = ".ipynb_checkpoints_inside"
"""
_JUPYTER_CONFIG = {
    "action": "write_tempfile",
    "ref": "config",
    "args": {
        "body": [
            "c = get_config()\n",
            'c.ServerApp.ip = "127.0.0.1"\n',
            "c.ServerApp.port = {ports[0]}\n",
            "c.ServerApp.port_retries = 0\n",
            'c.ServerApp.base_url = "{base_url}"\n',
            "c.ServerApp.open_browser = False\n",
            "c.ServerApp.allow_remote_access = True\n",
            "c.ServerApp.allow_root = True\n",
            'c.IdentityProvider.token = "{token}"\n',
            # Where settings of the environment are the server's own, a session does not see them.
            'c.ServerApp.jpserver_extensions = {"jupyter_server_terminals": True}\n',
            _QUIET,
            _OWN_CHECKPOINTS,
        ]
    },
}


#: Runs the first of these apps that the image has; its arguments are the app's.
_FIRST_OF = """
import importlib, importlib.util, sys
asked = sys.argv.pop(1)
here = [name for name in asked.split(",") if importlib.util.find_spec(name.split(".")[0])]
if not here:
    sys.exit("The session's Python has none of these: " + asked)
importlib.import_module(here[0]).main()
"""


def _jupyter(*apps: str) -> dict[str, Any]:
    return {
        "prestart": [_JUPYTER_CONFIG],
        "command": ["{runtime_path}", "-c", _FIRST_OF, ",".join(apps), "--config={config}"],
        "url_template": "{protocol}://{host}:{port}{base_url}?token={token}",
        "authorization": "token {token}",
    }


#: By the service's name.
BUILT_IN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "jupyter": _jupyter("notebook.app", "jupyterlab.labapp", "jupyter_server.serverapp"),
        "jupyterlab": _jupyter("jupyterlab.labapp"),
        "tensorboard": {
            "command": [
                "{runtime_path}",
                "-m",
                "tensorboard.main",
                "--host=127.0.0.1",
                "--port={ports[0]}",
            ],
            "allowed_arguments": [
                "--logdir",
                "--logdir_spec",
                "--reload_interval",
                "--reload_multifile",
                "--samples_per_plugin",
                "--window_title",
            ],
            "default_arguments": {"--logdir": "{workdir}/logs"},
            "allowed_envs": ["TF_CPP_MIN_LOG_LEVEL"],
        },
        "code-server": {
            # Whoever shares the network could use it, so it asks for a password.
            "prestart": [
                {
                    "action": "write_tempfile",
                    "ref": "config",
                    "args": {
                        "body": [
                            "bind-addr: 127.0.0.1:{ports[0]}\n",
                            "auth: password\n",
                            "password: {token}\n",
                            "cert: false\n",
                        ]
                    },
                }
            ],
            "command": [
                "code-server",
                "--config={config}",
                "--disable-telemetry",
                "--disable-update-check",
                "{workdir}",
            ],
        },
        "streamlit": {
            "command": [
                "{runtime_path}",
                "-m",
                "streamlit",
                "run",
                "--server.headless=true",
                "--server.address=127.0.0.1",
                "--server.port={ports[0]}",
                "--browser.gatherUsageStats=false",
            ],
            "positional": ["script"],
            "default_arguments": {"script": "app.py"},
            "allowed_arguments": ["--server.maxUploadSize", "--theme.base"],
        },
    }
)

#: Those of them whose pages may act as the user on the server: Jupyter itself, and what shows data
#: without running what is in it.
TRUSTED = frozenset({"jupyter", "jupyterlab", "tensorboard"})
#: Those of them whose pages stay empty where the browser gives them no storage.
NEED_STORAGE = frozenset({"jupyter", "jupyterlab", "tensorboard"})

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_HEADER = re.compile(r"[ -~]{0,200}")
_LONGEST_START = 600
_LONGEST_WORD, _MOST_WORDS = 4096, 200


def is_name(name: object) -> bool:
    """Tell whether a service can be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_definition(name: object, definition: object) -> str:
    """Say what is wrong with an admin's definition, naming service and key; "" when nothing is."""
    if not is_name(name):
        return f"{name!r:.60} is not the name of a service: small letters, digits, - _ and dots."
    if not isinstance(definition, Mapping):
        return f"{name}: not a dict with `command` and others."
    if "command" not in definition:
        return f"{name}: `command` is missing: a list of words."
    for key, value in definition.items():
        if key not in _RULES:
            return f"{name}: there is no key {key!r:.60}; there are: {', '.join(_RULES)}."
        fits, words = _RULES[key]
        if not fits(value):
            return f"{name}: `{key}` must be {words}."
    return ""


def _is_word(value: object) -> bool:
    fits = isinstance(value, str | int | float) and not isinstance(value, bool)
    return fits and "\0" not in str(value) and len(str(value)) <= _LONGEST_WORD


def _are_words(value: object) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_WORDS and all(map(_is_word, value))


def _are_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and _is_word(one) for key, one in value.items()
    )


def _are_actions(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_action, value))


def _is_action(action: object) -> bool:
    args = action.get("args") or {} if isinstance(action, Mapping) else None
    if not isinstance(args, Mapping) or not isinstance(action, Mapping):
        return False
    needed = _ACTIONS.get(str(action.get("action")), ("",))
    return all(
        _are_words(args.get(name)) if name == "body" else _is_word(args.get(name))
        for name in needed
    )


def _is_timeout(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value <= _LONGEST_START  # type: ignore[operator]  # it is a number


#: What each needs.
_ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "write_file": ("filename", "body"),
        "write_tempfile": ("body",),
        "mkdir": ("path",),
        "log": ("message",),
    }
)
_ACTION_WORDS = "; ".join(f"{name} ({', '.join(args)})" for name, args in _ACTIONS.items())
_Rule = tuple[Callable[[object], bool], str]
_WORDS: _Rule = (
    _are_words,
    f"a list of up to {_MOST_WORDS} words of up to {_LONGEST_WORD} characters",
)

#: What a definition can say, and how each must be.
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "command": (
            lambda value: _are_words(value) and bool(value),
            "a list of words, never a shell line",
        ),
        "env": (_are_texts, "a dict of names and values"),
        "prestart": (
            _are_actions,
            f"a list of actions with all their args: {_ACTION_WORDS}",
        ),
        "allowed_arguments": _WORDS,
        "default_arguments": (
            lambda value: isinstance(value, Mapping) and all(isinstance(one, str) for one in value),
            "a dict of arguments and values",
        ),
        "positional": _WORDS,
        "allowed_envs": _WORDS,
        "url_template": (lambda value: isinstance(value, str), "a text"),
        "authorization": (
            lambda value: isinstance(value, str) and _HEADER.fullmatch(value) is not None,
            "a header's value, up to 200 characters",
        ),
        "timeout": (_is_timeout, f"seconds, up to {_LONGEST_START}"),
        "trusted": (lambda value: isinstance(value, bool), "True or False"),
    }
)
