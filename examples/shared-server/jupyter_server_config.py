"""One Jupyter server for several people; docs/how-to/shared-server.md goes through it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # people.py

c = get_config()  # noqa: F821 - Jupyter has it

c.ServerApp.identity_provider_class = "people.People"
c.ServerApp.authorizer_class = "people.OwnSessions"

# Whose the kernels are that are picked in Jupyter, and who may do what only admins may.
c.SessMgrApp.owner = "operator"
c.SessMgrApp.admin_users = {"operator"}

c.AdmissionControl.max_sessions_per_owner = 3

# Not even the operator, who may be one behind a stolen cookie, installs packages from a page.
c.LabApp.extension_manager = "readonly"
