"""Firefox for Playwright: the distribution's own, with which it speaks WebDriver BiDi.

Playwright takes this module for the browser's program. What it says to the browser passes through
here, so that commands younger than an extended support release are answered instead of refused.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

#: A page that comes back from memory is none that Playwright knows; it says so for Chromium, too.
_ALWAYS = {"browser.sessionhistory.max_total_viewers": 0}
#: Clicks of a driver reach frames of other sites only where they share a process. But then a window
#: that a frame opens may lead the tab around that frame away, which it may not otherwise.
_ONE_PROCESS = {"fission.webContentIsolationStrategy": 0}
#: Asked for by Playwright for every window, known from Firefox 154 on. Nothing here depends on it.
_TOO_YOUNG = "emulation.setMediaFeaturesOverride"
_LISTENS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


def launch(playwright, program, folder, *, one_process):
    """Start a browser; `folder` takes a script that leads Playwright here."""
    preferences = {**_ALWAYS, **(_ONE_PROCESS if one_process else {})}
    script = folder / "firefox"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{__file__}" "{program}" "$@"\n')
    script.chmod(0o700)
    return playwright.firefox.launch(
        channel="moz-firefox", executable_path=script, firefox_user_prefs=preferences
    )


async def _to_browser(client, browser):
    async for text in client:
        message = json.loads(text)
        if message["method"] == _TOO_YOUNG:
            answer = {"type": "success", "id": message["id"], "result": {}}
            await client.send(json.dumps(answer))
        else:
            await browser.send(text)
    await browser.close()


async def _from_browser(browser, client):
    async for text in browser:
        await client.send(text)
    await client.close()


async def _run(command):
    browser = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    said = b""
    while (listens := _LISTENS.search(said)) is None:
        piece = await browser.stderr.read(65536)
        assert piece, said
        said += piece
    address = listens[1].decode()

    async def relay(client):
        path = client.request.path
        async with connect(address + path, max_size=None, compression=None, proxy=None) as driven:
            await asyncio.gather(_to_browser(client, driven), _from_browser(driven, client))

    async with serve(relay, "127.0.0.1", 0, max_size=None, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"WebDriver BiDi listening on ws://127.0.0.1:{port}", file=sys.stderr, flush=True)
        while await browser.stderr.read(65536):
            pass
        await browser.wait()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
