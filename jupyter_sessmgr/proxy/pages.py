"""What a person sees when a service cannot be shown. Nothing of the request is repeated raw."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

#: Seconds after which a page of a service that is starting asks again.
RETRY = 2
#: What our own pages may do: nothing but look nice.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
{head}<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #333; background: #fff; margin: 15vh auto; \
max-width: 34em; padding: 0 1em; }}
h1 {{ font-size: 1.3em; }}
pre {{ white-space: pre-wrap; background: #f5f5f5; padding: .8em; font-size: 13px; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1e1e1e; }} \
pre {{ background: #2a2a2a; }} }}
</style>
</head>
<body role="status">
<h1>{title}</h1>
<p>{message}</p>
{more}</body>
</html>
"""
#: Goes to the service's own host when that is reached, and is this server's: another program of the
#: machine may listen there, too. A question that breaks off is asked again, since browsers drop all
#: that they load when the network changes, as by a container's start. One that nobody answers in
#: time shows nothing: a page of a service could have made the browser busy, to be shown at
#: Jupyter's own origin instead.
_HAND_OVER = """
const asked = async () => {
  const reply = await fetch(told.probe, {
    credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(5000),
  });
  return (await reply.text()) === told.expected;
};
const reached = async () => {
  for (const pause of [300, 1000, 0]) {
    try {
      return await asked();
    } catch (error) {
      if (error.name === "TimeoutError") return "unknown";
      await new Promise((go) => setTimeout(go, pause));
    }
  }
  return false;
};
const trouble = () => { document.querySelector("p").textContent = told.trouble; };
const otherwise = () => {
  document.cookie = told.otherwise;
  if (told.otherwise && document.cookie.includes(told.otherwise.split("=")[0])) {
    location.reload();
  } else {
    trouble();
  }
};
reached().then((here) => {
  if (here === "unknown") trouble();
  else if (here) location.replace(told.enter + location.hash);
  else otherwise();
});
"""
#: Goes on once the browser is known: one that keeps no cookies here would be sent round and round.
_TAKE_OVER = """
const go = () => location.replace(location.origin + told.page + location.hash);
fetch(told.known, {cache: "no-store"}).then((reply) => {
  if (reply.status === 403) document.querySelector("p").textContent = told.trouble;
  else go();
}, go);
"""


def page(title: str, message: str, *, details: str = "", again: bool = False) -> str:
    """Write a page: a title, a sentence or two, the last lines of a log."""
    return _PAGE.format(
        title=escape(title),
        message=escape(message),
        more=f"<pre>{escape(details)}</pre>\n" if details else "",
        head=f'<meta http-equiv="refresh" content="{RETRY}">\n' if again else "",
    )


def handing_over(service: str, told: Mapping[str, str], origin: str) -> Scripted:
    """Write the page at Jupyter's origin that sends a browser to a service's own host.

    Parameters
    ----------
    told
        ``probe`` and what it answers if all is well (``expected``); ``enter``, where to go then;
        ``otherwise``, a cookie that asks to be shown the service in another way, or "" where there
        is none; ``trouble``, what to say then.
    origin
        The service's.
    """
    return _scripted(f"Opening {service} …", _HAND_OVER, told, f"connect-src {origin}")


def taking_over(service: str, told: Mapping[str, str]) -> Scripted:
    """Write the first page on a service's own host: it goes on to the one that was wanted.

    Parameters
    ----------
    told
        ``page``, where to go; ``known``, what answers 403 where the browser has kept no cookie;
        ``trouble``, what to say then.
    """
    return _scripted(f"Opening {service} …", _TAKE_OVER, told, "connect-src 'self'")


@dataclass(frozen=True, slots=True)
class Scripted:
    """A page with a script, and the policy that lets this script run and no other."""

    text: str
    policy: str


def _scripted(title: str, script: str, told: Mapping[str, str], more: str) -> Scripted:
    nonce = secrets.token_urlsafe(16)
    words = json.dumps(dict(told)).replace("<", "\\u003c")
    text = _PAGE.format(
        title=escape(title),
        message="",
        head="",
        more=(
            "<noscript>This page needs JavaScript.</noscript>\n"
            f'<script nonce="{nonce}">const told = {words};{script}</script>\n'
        ),
    )
    return Scripted(text, f"{POLICY}; script-src 'nonce-{nonce}'; {more}".rstrip("; "))
