"""Bodies that work as they are; tests send them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

CREATE_EXAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "default": {},
        "named": {
            "clientSessionToken": "mysession-01",
            "enqueueOnly": False,
            "maxWaitSeconds": 0,
            "reuseIfExists": True,
            "domain": "default",
            "group": "default",
            "config": {
                "clusterSize": 1,
                "environ": {"MYCONFIG": "XXX"},
                "resources": {"cpu": "1", "mem": "512m"},
                "resource_opts": {"shmem": "64m"},
            },
            "tag": "example-tag",
        },
        "at once": {"clientSessionToken": "mysession-02", "enqueueOnly": True},
        "batch": {
            "clientSessionToken": "mybatch-01",
            "type": "batch",
            "startupCommand": "python3 -c 'print(6 * 7)'",
            "enqueueOnly": True,
        },
    }
)

QUERY_EXAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "list": {
            "query": "query($limit: Int!, $offset: Int!, $status: String) {"
            " compute_session_list(limit: $limit, offset: $offset, status: $status)"
            " { items { name image status } total_count } }",
            "variables": {"limit": 20, "offset": 0, "status": "RUNNING,PENDING"},
        },
        "who asks": {"query": "query { keypair { user_id is_admin } }", "variables": {}},
    }
)
