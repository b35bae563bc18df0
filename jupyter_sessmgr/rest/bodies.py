"""Reads a request's JSON body, strictly (THREATS E10): whatever is wrong with it is a 4xx."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.naming import is_text
from jupyter_sessmgr.model.resources import MAX_NUMBER

#: Bytes; a larger body is refused before it is parsed.
MAX_BODY = 2**20
#: Objects and lists inside each other.
MAX_DEPTH = 32
#: Larger bodies are parsed on a thread, so that nobody waits for them.
SMALL_BODY = 2**15

_MAX_DIGITS = 20


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` is; an empty body is an empty object.

    Numbers with a point are `Decimal`, so that 0.1 stays 0.1.

    Raises
    ------
    InvalidRequest
        unless it is strict UTF-8 and strict JSON: one object, no key twice, no NaN, no integer
        over 2**63 - 1, nothing nested deeper than 32, no NUL and no half of a surrogate pair.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(
            body.decode("utf-8", "strict"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_decimal,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not UTF-8.") from error
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body is not a JSON object.")
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"The body has the key {double!r:.80} twice.")
    return made


def _constant(name: str) -> Any:
    raise InvalidRequest(f"The body has {name}, which is not JSON.")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or not -MAX_NUMBER <= int(text) <= MAX_NUMBER:
        raise InvalidRequest(f"The body has a number over 2**63 - 1: {text:.30}.")
    return int(text)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidRequest(f"The body has a number that cannot be read: {text:.30}.") from error


def _check(top: object) -> None:
    """Walk without recursion: depth and texts."""
    waiting: list[tuple[object, int]] = [(top, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            if "\0" in value or not is_text(value):
                raise InvalidRequest("The body has a text with NUL or half a surrogate pair.")
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            if isinstance(value, dict):
                waiting.extend((key, depth) for key in value)
            children = value.values() if isinstance(value, dict) else value
            waiting.extend((child, depth + 1) for child in children)


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body is nested deeper than {MAX_DEPTH}.")
