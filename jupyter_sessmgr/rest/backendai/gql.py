"""Reads as much of GraphQL as stock clients write: one query, its variables, its fields. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported

#: Longest query in characters, how deep its braces may stand in each other, and its fields.
MAX_QUERY, MAX_DEPTH, MAX_FIELDS = 16 * 1024, 8, 200

_TOKEN = re.compile(
    r"""[\s,\ufeff]+ | \#[^\n]* |
    (?P<name> [_A-Za-z][_0-9A-Za-z]*) |
    (?P<number> -?[0-9]{1,18} (?![.0-9eE_A-Za-z])) |
    (?P<text> "(?:[^"\\\n]|\\.)*") |
    (?P<sign> \.\.\. | [{}()\[\]:!$=@|&])""",
    re.VERBOSE,
)
_CONSTANTS: Mapping[str, object] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a query asks for."""

    #: How it is called in the answer.
    key: str
    name: str
    #: With the values of variables filled in.
    arguments: Mapping[str, Any]
    fields: tuple[Field, ...]


def parse_query(text: object, variables: object) -> tuple[Field, ...]:
    """Read a query.

    Raises
    ------
    InvalidRequest
        for what is no GraphQL.
    Unsupported
        for mutations, subscriptions, fragments, directives and several operations.
    """
    if not isinstance(text, str) or len(text) > MAX_QUERY:
        raise InvalidRequest(f"query: not a text of at most {MAX_QUERY} characters.", field="query")
    if variables is not None and not isinstance(variables, Mapping):
        raise InvalidRequest("variables: not an object.", field="variables")
    return _Parser(text, dict(variables or {})).query()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse(text[position : position + 20])
        if match.lastgroup is not None:
            yield match.lastgroup, match[0]
        position = match.end()
    yield "end", ""


def _refuse(found: str) -> NoReturn:
    where = f"at {found!r}" if found else "at its end"
    raise InvalidRequest(f"query: this cannot be read {where}.", field="query")


class _Parser:
    """Walks over the tokens once. A method reads one thing and stands behind it then."""

    def __init__(self, text: str, variables: dict[str, Any]) -> None:
        self._tokens = _tokens(text)
        self._variables = variables
        self._kind, self._token = next(self._tokens)
        self._fields = 0

    def query(self) -> tuple[Field, ...]:
        if self._kind == "name":
            if self._token != "query":  # noqa: S105 - GraphQL's word
                self._refuse_unsupported(self._token)
            self._take()
            if self._kind == "name":
                self._take()
            if self._token == "(":  # noqa: S105 - a bracket
                self._declarations()
        fields = self._selection(1)
        if self._kind != "end":
            self._refuse_unsupported("several operations")
        return fields

    def _declarations(self) -> None:
        self._expect("(")
        while not self._accept(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            self._type(1)
            if self._accept("="):
                self._variables.setdefault(name, self._value(1))

    def _type(self, depth: int) -> None:
        self._check(depth)
        if self._accept("["):
            self._type(depth + 1)
            self._expect("]")
        else:
            self._name()
        self._accept("!")

    def _selection(self, depth: int) -> tuple[Field, ...]:
        self._check(depth)
        self._expect("{")
        fields = []
        while not self._accept("}"):
            fields.append(self._field(depth))
        return tuple(fields)

    def _field(self, depth: int) -> Field:
        if self._token in {"...", "@"}:
            self._refuse_unsupported("fragments and directives")
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise InvalidRequest(f"query: more than {MAX_FIELDS} fields.", field="query")
        key = name = self._name()
        if self._accept(":"):
            name = self._name()
        arguments: dict[str, Any] = {}
        if self._accept("("):
            while not self._accept(")"):
                argument = self._name()
                self._expect(":")
                arguments[argument] = self._value(depth)
        inner = self._selection(depth + 1) if self._token == "{" else ()  # noqa: S105 - a bracket
        return Field(key=key, name=name, arguments=arguments, fields=inner)

    def _value(self, depth: int) -> Any:
        self._check(depth)
        if self._accept("$"):
            return self._variables.get(self._name())
        if self._accept("["):
            items = []
            while not self._accept("]"):
                items.append(self._value(depth + 1))
            return items
        kind, token = self._kind, self._take()
        if kind == "number":
            return int(token)
        if kind == "text":
            return self._text(token)
        if kind == "name":
            return _CONSTANTS.get(token, token)
        return _refuse(token)

    def _text(self, token: str) -> object:
        try:
            return json.loads(token)
        except ValueError:
            return _refuse(token)

    def _check(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidRequest("query: nested too deep.", field="query")

    def _name(self) -> str:
        if self._kind != "name":
            _refuse(self._token)
        return self._take()

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            _refuse(self._token)

    def _accept(self, sign: str) -> bool:
        found = self._kind == "sign" and self._token == sign
        if found:
            self._take()
        return found

    def _take(self) -> str:
        taken = self._token
        if self._kind == "end":
            _refuse(taken)
        self._kind, self._token = next(self._tokens)
        return taken

    def _refuse_unsupported(self, what: str) -> NoReturn:
        raise Unsupported(f"query: {what:.60} is not supported by this server.", field="query")
