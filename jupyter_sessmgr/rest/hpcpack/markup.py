"""Writes XML. There is nothing here that reads it (THREATS E12). Pure."""

from __future__ import annotations

import html
import re

INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

#: What may not stand in XML 1.0 at all, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(name: str, content: str = "", **attributes: str) -> str:
    """Write an element around what is XML already; ``xmlns_a`` is written ``xmlns:a``."""
    told = "".join(
        f' {key.replace("_", ":")}="{escaped(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{told}>{content}</{name}>" if content else f"<{name}{told}/>"


def leaf(name: str, value: str | int) -> str:
    """Write an element around a value."""
    text = str(value)
    return f"<{name}>{escaped(text.lower() if isinstance(value, bool) else text)}</{name}>"


def escaped(value: str) -> str:
    """Write a text so that it is read as it was, but for characters that XML has not got.

    Apostrophes stay: attributes are in double quotes, and people read messages in raw XML.
    """
    text = html.escape(_ILLEGAL.sub("", value), quote=False)
    return text.replace('"', "&quot;").replace("\r", "&#13;")


def nil(name: str, **attributes: str) -> str:
    """Write an element that stands for null."""
    return element(name, i_nil="true", **attributes)


def tree(name: str, value: object) -> str:
    """Write objects and lists, as deep as they are."""
    if value is None:
        return nil(name)
    if isinstance(value, dict):
        return element(name, "".join(tree(key, child) for key, child in value.items()))
    if isinstance(value, list):
        return element(name, "".join(tree("item", child) for child in value))
    return leaf(name, value if isinstance(value, bool | int) else str(value))
