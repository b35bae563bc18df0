"""What a person sees when a service cannot be shown. Nothing of the request is repeated raw."""

from __future__ import annotations

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
{again}<style>
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
{details}</body>
</html>
"""


def page(title: str, message: str, *, details: str = "", again: bool = False) -> str:
    """Write a page: a title, a sentence or two, the last lines of a log."""
    return _PAGE.format(
        title=escape(title),
        message=escape(message),
        details=f"<pre>{escape(details)}</pre>\n" if details else "",
        again=f'<meta http-equiv="refresh" content="{RETRY}">\n' if again else "",
    )
