"""How the apps are started that need no definition by an admin or an image.

Each is data that the session's agent fills in and runs as it is, never through a shell:
``{ports[0]}`` is where it must listen, ``{runtime_path}`` the session's Python, ``{base_url}`` the
path it is reached under, ``{workdir}`` the working folder, ``{token}`` a secret of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

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
