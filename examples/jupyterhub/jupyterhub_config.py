"""A JupyterHub whose people have remote kernels; docs/how-to/jupyterhub.md goes through it.

Copy this folder to /etc/jupyterhub; start it with: jupyterhub -f FOLDER/jupyterhub_config.py
Each person's server is a process of a user of the machine (LocalProcessSpawner, the default).
"""

from pathlib import Path

c = get_config()  # noqa: F821 - JupyterHub has it

# Who may log in; with what is the authenticator's (by default: the machine's passwords).
c.Authenticator.allowed_users = {"ann", "ben"}

c.Spawner.default_url = "/lab"
# The admin's settings for everybody's server, of sessions among others; people's own do not count.
c.Spawner.environment = {
    "JUPYTER_CONFIG_PATH": str(Path(__file__).with_name("single-user")),
}
c.Spawner.disable_user_config = True

# Servers go on while the hub is restarted. (Sessions go on without either.)
c.JupyterHub.cleanup_servers = False
