"""The store's SQL: named queries and numbered migrations, read from `sql/` once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (?P<name>[a-z_]+)$", re.MULTILINE)
_MIGRATION = re.compile(r"(?P<number>[0-9]{3})_[a-z_]+\.sql", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and what it is for."""

    sql: str
    description: str


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One step of the schema: a script that begins, sets ``user_version``, and commits."""

    number: int
    script: str


def parse_queries(text: str) -> dict[str, Query]:
    """Split a file of queries at its ``-- name:`` lines.

    Raises
    ------
    ValueError
        when a name stands twice, or a query says nothing or does not tell what it is for.
    """
    queries: dict[str, Query] = {}
    starts = list(_NAME.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        lines = text[start.end() : end].strip().splitlines()
        comments = [line for line in lines if line.startswith("--")]
        sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
        if not comments or not sql or start["name"] in queries:
            raise ValueError(f"query {start['name']}: given twice, empty or not described")
        description = " ".join(line.removeprefix("--").strip() for line in comments)
        queries[start["name"]] = Query(sql, description)
    return queries


@cache
def load_queries() -> Mapping[str, str]:
    """Read the statements by name. Reads a file the first time, so not on the event loop."""
    text = (resources.files(__package__) / "sql" / "queries.sql").read_text(encoding="utf-8")
    return {name: query.sql for name, query in parse_queries(text).items()}


@cache
def load_migrations() -> tuple[Migration, ...]:
    """Read the migrations, in order. Reads files the first time, so not on the event loop."""
    found = []
    for file in (resources.files(__package__) / "sql").iterdir():
        match = _MIGRATION.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match["number"]), file.read_text(encoding="utf-8")))
    return tuple(sorted(found))
