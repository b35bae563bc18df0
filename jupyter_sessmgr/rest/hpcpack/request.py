"""Reads what clients of the HPC Pack API send. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.rest.backendai.params import parse_create
from jupyter_sessmgr.rest.hpcpack.faults import BAD_ARGUMENT, BAD_VERSION, Refused

Format = Literal["xml", "json"]

#: Versions of the API that HPC Pack ever had, from the first with Attach.
VERSIONS = ("2011-11-01", "2011-11", "2012-03-31.3.4", "2012-11-01", "2012-11-01.4.0")
XML, JSON = "application/xml", "application/json"
#: HPC Pack's names for what `POST /session` calls otherwise.
_START_INFO = {"ServiceName": "image"}

_FLAGS = {"true": True, "false": False}
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])", re.ASCII)
_HOST_AND_PORT = re.compile(rf"{_HOST.pattern}:[0-9]{{1,5}}", re.ASCII)
_PORTS = {"http": 80, "https": 443}


def check_version(headers: Sequence[str], parameters: Sequence[str]) -> None:
    """Check ``api-version``, which may come as a header or as a parameter; the header wins.

    Raises
    ------
    Refused
        when there is none, or one that never was.
    """
    given = headers or parameters
    known = ", ".join(VERSIONS)
    if not any(text.strip() for text in given):
        raise Refused(
            BAD_VERSION, f"api-version: missing, as header and as parameter. Known: {known}."
        )
    if len(given) > 1 or given[0].strip() not in VERSIONS:
        raise Refused(BAD_VERSION, f"api-version: {given[-1]!r:.40} is not known. Known: {known}.")


def parse_durable(parameters: Sequence[str]) -> bool:
    """Read ``durable``, of which there must be one.

    Raises
    ------
    Refused
        when it is missing, or neither true nor false.
    """
    if len(parameters) != 1 or parameters[0].strip().lower() not in _FLAGS:
        raise Refused(BAD_ARGUMENT, "durable: write ?durable=true or ?durable=false, once.")
    return _FLAGS[parameters[0].strip().lower()]


def parse_expand(parameters: Sequence[str]) -> bool:
    """Read ``expand``: whether the answer should have what clients of Jupyter need.

    Raises
    ------
    Refused
        when something else is to be expanded.
    """
    if any(text != "jupyter" for text in parameters):
        raise Refused(BAD_ARGUMENT, "expand: nothing but jupyter can be expanded.")
    return bool(parameters)


def choose_format(accept: str) -> Format:
    """Choose what to answer by an ``Accept`` header: XML unless JSON is wanted more."""
    wanted = [_media_range(part) for part in accept.split(",")]
    xml, json = (_wish(wanted, media) for media in (XML, JSON))
    # Of two that are wanted as much, the one that is named counts.
    return "json" if json > xml and json[0] > 0 else "xml"


def _media_range(part: str) -> tuple[str, float]:
    media, *parameters = (text.strip() for text in part.split(";"))
    quality = next((text[2:] for text in parameters if text[:2].lower() == "q="), "1")
    return media.lower(), float(quality) if _QUALITY.fullmatch(quality) else 0.0


def _wish(wanted: Sequence[tuple[str, float]], media: str) -> tuple[float, int]:
    """Say how much a media type is wanted, and how exactly it is named."""
    for exactness, name in ((2, media), (1, "application/*"), (0, "*/*")):
        qualities = [quality for one, quality in wanted if one == name]
        if qualities:
            return max(qualities), exactness
    return 0.0, 0


def parse_basic(authorization: str) -> str | None:
    """Read the password of an ``Authorization: Basic`` header; None when it is another one."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return pair.partition(":")[2]


def is_host_and_port(text: str) -> bool:
    """Tell whether a text is ``host:port``, as every client can take it apart."""
    return _HOST_AND_PORT.fullmatch(text) is not None


def broker_node(configured: str, host: str, protocol: str) -> str:
    """Say where a session's kernel is reached, as ``host:port``.

    Parameters
    ----------
    configured : str
        What the admin set; "" means that the request says it.
    host : str
        The request's ``Host`` header. No other header counts: anybody can send those.
    protocol : str
        ``http`` or ``https``; says the port where the header does not.

    Raises
    ------
    Refused
        when that is no host, such as the path of a socket.
    """
    if configured:
        return configured
    if is_host_and_port(host):
        return host
    if not _HOST.fullmatch(host):
        raise Refused(
            BAD_ARGUMENT,
            "Host: not host:port, which clients need as BrokerNode. Ask by another address, or "
            "have an admin set AttachApi.broker_node.",
        )
    return f"{host}:{_PORTS.get(protocol, 80)}"


def parse_start(body: Mapping[str, Any], *, durable: bool) -> CreateRequest:
    """Read the body of Create: that of ``POST /session``, some of it by HPC Pack's names.

    Raises
    ------
    InvalidRequest
        naming the field.
    """
    told = {_START_INFO.get(key, key): value for key, value in body.items()}
    environ = told.pop("Environments", None)
    if environ is not None:
        told["config"] = {"environ": environ, **_object(told.get("config"))}
    return replace(parse_create(told).request, durable=durable)


def _object(config: object) -> Mapping[str, Any]:
    if config is not None and not isinstance(config, Mapping):
        raise Refused(BAD_ARGUMENT, "config: not an object.")
    return config or {}
