"""What readers get of the journal: lines of JSON, messages and then a foot."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Sequence

    from .journal import Journal

#: Bytes that are put together at a time, a longer message aside.
_PIECE = 64 * 1024
_COLUMNS = (
    "SELECT message.seq, time, parent, cell, COALESCE(request.header, '{}'), message.header, "
    "metadata, content, buffers FROM message LEFT JOIN request ON request.id = message.parent "
)
_SINCE = _COLUMNS + "WHERE message.seq > ? ORDER BY message.seq"
_OF_REQUEST = _COLUMNS + "WHERE message.seq > ? AND parent = ? ORDER BY message.seq"
_GAPS = "SELECT * FROM gap WHERE seq >= ? ORDER BY seq DESC LIMIT ?"
_MOST_GAPS = 100


def page(
    journal: Journal, since: int, most_bytes: int, request: str = "", over: float = 0
) -> Iterator[bytes]:
    """Yield what came after `since`, or what of it has to do with a request, piece by piece.

    The last line says where the next page begins, what was lost after `since`, what is wrong, and
    whether the request's kernel is gone: `over` is the number of the last one of those.
    """
    last, count, sent = since, 0, 0
    lines: list[bytes] = [b""]
    while lines:
        lines = []
        for row in _rows(journal, last, request):
            line = _spell(row)
            if sent and sent + len(line) > most_bytes:
                foot = _foot(journal, since, last, count, request, over=over)
                yield b"".join(lines) + foot
                return
            lines.append(line)
            last, count, sent = row[0], count + 1, sent + len(line)
            if sum(map(len, lines)) > _PIECE:
                break
        if lines:
            yield b"".join(lines)
    yield _foot(journal, since, journal.last, count, request, over=over)


def position(journal: Journal, message: str) -> int | None:
    """Return the number of a message by its id; None when it is not known."""
    waiting = {one: seq for seq, one in journal.fresh.seen}
    if message in waiting:
        return waiting[message]
    for (seq,) in journal.shelf.read("SELECT MAX(seq) FROM seen WHERE id = ?", message):
        return seq if seq is None else int(seq)
    return None


def _foot(
    journal: Journal, since: int, following: int, count: int, request: str, *, over: float
) -> bytes:
    fresh, shelf = journal.fresh, journal.shelf
    known = shelf.read(
        "SELECT messages, bytes FROM loss WHERE seq > ? AND (parent = ? OR ? = '')",
        *(since, request, request),
    )
    waiting = [one[2:] for one in fresh.losses if one[0] > since and request in ("", one[1])]
    losses = [*known, *waiting]
    gaps = [
        *shelf.read(_GAPS, since, _MOST_GAPS),
        *(gap for gap in fresh.gaps[-_MOST_GAPS:] if gap[0] >= since),
    ]
    firsts = [row[0] for row in shelf.read("SELECT MIN(seq) FROM message") if row[0]]
    number = _number(journal, request)
    foot = {
        "first": min([*firsts, *list(fresh.rows)[:1]], default=journal.last + 1),
        "next": following,
        "count": count,
        "lost": [sum(one[0] for one in losses), sum(one[1] for one in losses)],
        "gaps": sorted(map(list, gaps)),
        "problem": journal.problem,
        "known": number is not None,
        "gone": number is not None and number <= over,
    }
    return json.dumps(foot).encode() + b"\n"


def _rows(journal: Journal, since: int, request: str) -> Iterator[Sequence[Any]]:
    """Yield rows as `_COLUMNS` has them, those that wait to be written last."""
    shelf, fresh = journal.shelf, journal.fresh
    last = since
    found = shelf.read(_OF_REQUEST, since, request) if request else shelf.read(_SINCE, since)
    for row in found:
        last = row[0]
        note = fresh.notes.get(row[2])
        yield row if note is None else (*row[:3], note[0], *row[4:])
    for seq, row in list(fresh.rows.items()):
        if seq > last and request in ("", row[2]):
            cell, header = _request(journal, row[2])
            yield (seq, row[5], row[2], cell, header, *row[7:])


def _request(journal: Journal, request: str) -> tuple[str | None, str]:
    """Return the cell and the header of a request."""
    cell, header = None, "{}"
    query = "SELECT cell, header FROM request WHERE id = ?"
    for known in journal.shelf.read(query, request):
        cell, header = known
    fresh = journal.fresh
    return fresh.notes.get(request, (cell, None))[0], fresh.requests.get(request, header)


def _number(journal: Journal, request: str) -> float | None:
    """Return a request's number; None when it was not heard of, not even by a note."""
    for (number,) in journal.shelf.read("SELECT number FROM request WHERE id = ?", request):
        return float(number)
    fresh = journal.fresh
    return float("inf") if request in fresh.notes or request in fresh.requests else None


def _spell(row: Sequence[Any]) -> bytes:
    """Put a message together; its parts are JSON already."""
    seq, at, parent, cell, above, header, metadata, content, buffers = row
    text = (
        '{"seq":%d,"time":%.6f,"parent":%s,"cell":%s,"message":{"header":%s,"parent_header":%s,'
        '"metadata":%s,"content":%s,"buffers":%s}}'
        % (seq, at, json.dumps(parent), json.dumps(cell), header, above, metadata, content, buffers)
    )
    return text.replace("\n", " ").encode() + b"\n"
