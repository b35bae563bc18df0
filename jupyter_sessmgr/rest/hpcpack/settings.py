"""What an admin can say about the Attach API."""

from __future__ import annotations

from traitlets import Bunch, Int, TraitError, Unicode, validate
from traitlets.config import Configurable

from jupyter_sessmgr.rest.hpcpack.request import is_host_and_port

#: Key of `AttachApi` in the web application's settings.
SETTINGS_KEY = "sessmgr_attach_api"


class AttachApi(Configurable):
    """The HPC Pack dialect's settings. Made by the extension's app."""

    broker_node = Unicode(
        config=True,
        help="""`host:port` that Attach names as BrokerNode: where the session's kernel is
        reached. Default: the host that the client itself asked. Set it when clients ask by a
        proxy whose name is of no use to whom they pass it on. Never with a scheme or a path.""",
    )
    operation_timeout = Int(
        86_400_000,
        min=0,
        config=True,
        help="""Milliseconds that Attach names as ServiceOperationTimeout: how long clients should
        wait for one answer of a session. Raise it when your cells run for more than a day.""",
    )
    cluster = Unicode(
        "jupyter",
        config=True,
        help="""The name that Get Clusters answers. Clients put it into later paths, where any name
        is accepted; change it when people see it and know your server by another one.""",
    )
    fault_namespace = Unicode(
        "http://schemas.microsoft.com/HPCS2008R2/common",
        config=True,
        help="""XML namespace of faults. Change it only for a client that was written against the
        letter of the document, where it begins with `https`.""",
    )

    @validate("broker_node")
    def _check_broker_node(self, proposal: Bunch) -> str:
        node: str = proposal["value"]
        if node and not is_host_and_port(node):
            raise TraitError(f"AttachApi.broker_node: write host:port alone, not {node!r:.80}.")
        return node
