"""Which headers go through, and as what. Pure; used by every kind of answer alike (THREATS C7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

#: Headers as they came: order and repetitions kept.
Pairs = Sequence[tuple[str, str]]

#: They are about one connection, so they end with it (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Said anew by us, or by nobody.
_REPLACED = frozenset(
    {
        "host",
        "origin",
        "referer",
        "cookie",
        "expect",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
        "x-scheme",
        "x-proxycontextpath",
        "x-xsrftoken",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)
#: What would reach beyond the service's own pages (THREATS C2): headers that a browser takes for
#: the whole host, and those by which web servers in front of us are told to send other files.
_WITHHELD = frozenset(
    {
        "accept-ch",
        "alt-svc",
        "clear-site-data",
        "critical-ch",
        "nel",
        "public-key-pins",
        "report-to",
        "sec-session-challenge",
        "sec-session-registration",
        "secure-session-challenge",
        "secure-session-registration",
        "service-worker-allowed",
        "set-cookie",
        "set-cookie2",
        "set-login",
        "strict-transport-security",
        "use-as-dictionary",
        "x-accel-redirect",
        "x-lighttpd-send-file",
        "x-lighttpd-send-tempfile",
        "x-reproxy-file",
        "x-reproxy-url",
        "x-sendfile",
        "x-sendfile2",
    }
)
#: Asks a browser to log its person in, without a word to them, as at the host that we are to it.
_SILENT_LOGIN = re.compile(r"(?:^|[\s,])(?:negotiate|ntlm|kerberos)(?:$|[\s,])", re.IGNORECASE)
_COOKIE = re.compile(r"\s*([^=;\s]+)\s*=\s*([^;]*)")
#: Cookies of Jupyter and its Hub: never shown to a service, never set by one.
_JUPYTERS = re.compile(r"_xsrf|username-.*|jupyterhub-.*|.*-hub-login", re.IGNORECASE)
#: The same on a service's own host, where Jupyter sets none.
_OWN = re.compile(r"__host-sessmgr|jupyterhub-.*|.*-hub-login", re.IGNORECASE)
#: What we say of a cookie on a service's own host, instead of the service.
_OURS_TO_SAY = frozenset({"domain", "samesite", "secure", "partitioned"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Signs that no header's value may have, and that tornado refuses to write.
_CONTROLS = re.compile(r"[\0-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What headers are rewritten for: one request to one service."""

    #: Path of the service's pages as the browser sees it, with a slash at the end.
    prefix: str
    #: What the browser calls this server: ``https``, ``host:port``.
    scheme: str
    host: str
    #: Who asks, as far as the server knows.
    client: str
    #: Host and port inside the session, as the service knows itself.
    upstream: str
    #: The same as everybody's: `prefix` may be a ticket's.
    home: str
    #: The service has a host of its own, so its cookies are its own affair.
    own_host: bool = False
    #: The service knows `home` and sees whole paths; others see what comes after it.
    whole_paths: bool = False
    #: What the service takes for its user's credentials; "" when it asks for none.
    authorization: str = ""

    @property
    def root(self) -> str:
        """Where the service's pages begin, as it sees them."""
        return self.home if self.whole_paths else "/"


def request_headers(
    headers: Pairs, passage: Passage, *, is_ours: Callable[[str, str], bool]
) -> list[tuple[str, str]]:
    """Say what a service is told of a request.

    Parameters
    ----------
    headers
        As the client sent them.
    is_ours
        Whether a value is a credential of this Jupyter server: called with ``authorization`` or
        ``token``, and the value; with ``cookie``, and a cookie's name (THREATS C1). A service's own
        credentials pass.
    """
    dropped = HOP_BY_HOP | _REPLACED | named_by_connection(headers)
    told = [
        (name, value)
        for name, value in headers
        if name.lower() not in dropped
        and not (name.lower() == "authorization" and is_ours("authorization", value))
    ]
    if passage.authorization and not any(name.lower() == "authorization" for name, _ in told):
        told.append(("Authorization", passage.authorization))
    told.append(("Host", passage.upstream))
    told.extend(_origin(headers, passage))
    told.extend(_referer(headers, passage, is_ours))
    cookie = "; ".join(_cookies(headers, passage, is_ours))
    if cookie:
        told.append(("Cookie", cookie))
    prefix = passage.prefix.rstrip("/")
    told.extend(
        [
            ("X-Forwarded-For", passage.client),
            ("X-Forwarded-Proto", passage.scheme),
            ("X-Forwarded-Host", passage.host),
            ("X-Forwarded-Prefix", prefix),
            ("X-ProxyContextPath", prefix),
        ]
    )
    return told


def named_by_connection(headers: Pairs) -> frozenset[str]:
    """List the headers that ``Connection`` names: they go no further either."""
    return frozenset(
        word.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for word in value.split(",")
        if word.strip()
    )


def _origin(headers: Pairs, passage: Passage) -> Iterable[tuple[str, str]]:
    """Call the service's own pages its own; another origin stays what it is."""
    for name, value in headers:
        if name.lower() == "origin":
            # Not by its scheme: where a proxy ends TLS, the server may not know of that.
            own = value.partition("://")[2].lower() == passage.host.lower()
            # A page in a sandbox has no origin of its own.
            yield name, f"http://{passage.upstream}" if own or value == "null" else value


def _referer(
    headers: Pairs, passage: Passage, is_ours: Callable[[str, str], bool]
) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if name.lower() != "referer":
            continue
        try:
            parts = urlsplit(value)
        except ValueError:
            return
        if parts.netloc.lower() != passage.host.lower():
            return  # another site's page is none of the service's business
        if not parts.path.startswith(passage.prefix):
            return  # a page of Jupyter's: its path may say what the user works on
        path = passage.root + parts.path.removeprefix(passage.prefix)
        query = without_token(parts.query, is_ours)
        yield name, f"http://{passage.upstream}{path}{'?' + query if query else ''}"


def without_token(query: str, is_ours: Callable[[str, str], bool]) -> str:
    """Take our token out of a query, and leave every other byte of it as it is."""
    return "&".join(piece for piece in query.split("&") if not _is_our_token(piece, is_ours))


def _is_our_token(piece: str, is_ours: Callable[[str, str], bool]) -> bool:
    pairs = parse_qsl(piece, keep_blank_values=True)
    return any(name == "token" and is_ours("token", value) for name, value in pairs)


def _cookies(
    headers: Pairs, passage: Passage, is_ours: Callable[[str, str], bool]
) -> Iterable[str]:
    jupyters = _OWN if passage.own_host else _JUPYTERS
    for name, value in headers:
        if name.lower() == "cookie":
            for piece in value.split(";"):
                match = _COOKIE.fullmatch(piece)
                if match is None or jupyters.fullmatch(match[1]) or is_ours("cookie", match[1]):
                    continue
                yield piece.strip()


def response_headers(headers: Pairs, passage: Passage) -> list[tuple[str, str]]:
    """Say what a browser is told of a service's answer, the isolation's own words aside."""
    dropped = HOP_BY_HOP | _WITHHELD | named_by_connection(headers)
    told: list[tuple[str, str]] = []
    for name, value in headers:
        lower = name.lower()
        if lower == "set-cookie":
            own = passage.own_host
            cookie = hosted_cookie(value) if own else confined_cookie(value, passage.prefix)
            if cookie:
                told.append((name, cookie))
        elif lower == "location":
            told.append((name, rewritten_location(value, passage)))
        elif lower == "www-authenticate" and _SILENT_LOGIN.search(value):
            continue
        elif lower not in dropped and not lower.startswith("access-control-"):
            told.append((name, value))
    return [(name, value) for name, value in told if is_sendable(name, value)]


def is_sendable(name: str, value: str) -> bool:
    """Whether a header can be written at all; what a service makes up must not break ours."""
    return _HEADER_NAME.fullmatch(name) is not None and not _CONTROLS.search(value)


def confined_cookie(value: str, prefix: str) -> str:
    """Confine a cookie to the service's own path; "" when it may not be set at all."""
    pieces = [piece.strip() for piece in value.split(";")]
    match = _COOKIE.fullmatch(pieces[0])
    if match is None or _JUPYTERS.fullmatch(match[1]) or match[1].lower().startswith("__host-"):
        return ""
    kept = [
        piece
        for piece in pieces[1:]
        if piece and piece.partition("=")[0].strip().lower() not in {"domain", "path"}
    ]
    path = next(
        (
            piece.partition("=")[2].strip()
            for piece in pieces[1:]
            if piece.partition("=")[0].strip().lower() == "path"
        ),
        "/",
    )
    inside = path if path.startswith(prefix) else prefix + path.lstrip("/")
    if ".." in inside or any(ord(sign) < 32 for sign in inside):  # noqa: PLR2004 - controls
        inside = prefix
    return "; ".join([pieces[0], *kept, f"Path={inside}"])


def hosted_cookie(value: str) -> str:
    """Keep a cookie on the service's own host, and in frames of it; "" for one named as ours.

    Jupyter shows services in frames, where browsers send no others than these.
    """
    pieces = [piece.strip() for piece in value.split(";")]
    match = _COOKIE.fullmatch(pieces[0])
    if match is None or _OWN.fullmatch(match[1]):
        return ""
    kept = [
        piece
        for piece in pieces[1:]
        if piece and piece.partition("=")[0].strip().lower() not in _OURS_TO_SAY
    ]
    return "; ".join([pieces[0], *kept, "Secure", "SameSite=None", "Partitioned"])


def rewritten_location(value: str, passage: Passage) -> str:
    """Send a browser to where the service meant; foreign places pass, scripts do not."""
    text = value.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return passage.prefix
    if parts.scheme and parts.scheme.lower() not in {"http", "https"}:
        return passage.prefix
    own = {passage.upstream.lower(), passage.host.lower()}
    if parts.netloc and parts.netloc.lower() not in own:
        return text
    if text.startswith(("/\\", "\\")):
        return passage.prefix  # browsers read it as another host
    if not parts.netloc and not parts.path.startswith("/"):
        return text  # relative to the page, which is right as it is
    path = parts.path or "/"
    if passage.whole_paths and path.startswith(passage.home):
        path = passage.prefix + path.removeprefix(passage.home)
    if not path.startswith(passage.prefix):
        path = passage.prefix.rstrip("/") + path
    path = re.sub(r"^/{2,}", "/", path)
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return quote(path, safe="/%:@!$&'()*+,;=~-._") + query + fragment
