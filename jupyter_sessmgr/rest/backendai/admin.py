"""Handlers of the GraphQL routes, as far as stock clients need them to list sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import InvalidRequest, SessionNotFound, Unsupported
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.backendai import types
from jupyter_sessmgr.rest.backendai.base import BackendAIHandler
from jupyter_sessmgr.rest.backendai.examples import QUERY_EXAMPLES
from jupyter_sessmgr.rest.backendai.gql import Field, parse_query
from jupyter_sessmgr.rest.backendai.known import as_of_now, known_of
from jupyter_sessmgr.rest.backendai.params import LIVE, parse_statuses
from jupyter_sessmgr.rest.backendai.queries import KEYPAIR, SESSION, Caller, Node, select
from jupyter_sessmgr.rest.operations import Reply, operation

#: Sessions on one page; clients ask for at most so many.
MAX_PAGE = 100
_MAX_NUMBER = 2**63 - 1


class LegacyQueryHandler(BackendAIHandler):
    """``{root}/admin/graphql``: the answer is the data."""

    @authenticated
    @authorized
    @operation(
        body=types.QueryBody,
        examples=QUERY_EXAMPLES,
        replies={200: Reply("The data.", dict[str, Any])},
        errors=(Unsupported,),
    )
    async def post(self) -> None:
        """Answer a GraphQL query, for API versions before v6.20210815.

        As much is there as the clients' command lines need to list sessions: queries for
        `compute_session_list`, `compute_session` and `keypair`.
        """
        self.reply(await self.data())

    async def data(self) -> dict[str, Any]:
        """Find what the query in the body asks for."""
        body = await self.read_body()
        await self.sessions.keypairs.refresh()
        roots: Mapping[str, Callable[[Field], Any]] = {
            "compute_session_list": self._list,
            "compute_session": self._one,
            "keypair": self._keypair,
        }
        answer = {}
        for field in parse_query(body.get("query"), body.get("variables")):
            if field.name not in roots:
                raise Unsupported(
                    f"query: {field.name:.60} is not supported by this server.", field="query"
                )
            answer[field.key] = roots[field.name](field)
        return answer

    def _list(self, field: Field) -> dict[str, Any]:
        asked = field.arguments
        for name in ("filter", "order"):
            if asked.get(name):
                raise Unsupported(f"query: {name} is not supported by this server.", field=name)
        page = self.sessions.page(
            self.owner_of(_text(asked, "access_key")),
            parse_statuses(_text(asked, "status")) if asked.get("status") else LIVE,
            limit=_number(asked, "limit", MAX_PAGE) or MAX_PAGE,
            offset=_number(asked, "offset", _MAX_NUMBER),
        )
        table: Mapping[str, Callable[[Any], Any]] = {
            "items": lambda _: [self._node(session) for session in page.items],
            "total_count": lambda _: page.total,
        }
        answer: dict[str, Any] = select(field.fields, table, page)
        return answer

    def _one(self, field: Field) -> dict[str, Any] | None:
        asked = field.arguments
        reference = next(
            filter(None, (_text(asked, name) for name in ("id", "sess_id", "name"))), ""
        )
        try:
            session = self.sessions.find(reference, self.owner)
        except SessionNotFound:
            return None
        answer: dict[str, Any] = select(field.fields, SESSION, self._node(session))
        return answer

    def _keypair(self, field: Field) -> dict[str, Any]:
        caller = Caller(
            owner=self.owner,
            access_key=_text(field.arguments, "access_key"),
            is_admin=self.is_admin,
        )
        self.owner_of(caller.access_key)
        answer: dict[str, Any] = select(field.fields, KEYPAIR, caller)
        return answer

    def _node(self, session: ComputeSession) -> Node:
        return Node(
            session=as_of_now(self.sessions, session),
            known=known_of(self.sessions, session),
            base_url=self.base_url,
        )


class QueryHandler(LegacyQueryHandler):
    """``{root}/admin/gql``: the answer is wrapped."""

    @authenticated
    @authorized
    @operation(
        body=types.QueryBody,
        examples=QUERY_EXAMPLES,
        replies={200: Reply("The data.", types.QueryReply)},
        errors=(Unsupported,),
    )
    async def post(self) -> None:
        """Answer a GraphQL query, for API versions from v6.20210815 on."""
        answer: types.QueryReply = {"data": await self.data()}
        self.reply(answer)


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: not a text.", field=name)
    return value


def _number(arguments: Mapping[str, Any], name: str, highest: int) -> int:
    value = arguments.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise InvalidRequest(f"{name}: not a number up to {highest}.", field=name)
    return value
