"""A registry of images on this machine, with small images that run nothing."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Answers what an engine asks when it fetches an image; engines trust 127.0.0.0/8."""

    def __init__(self):
        self.blobs = {}
        self.manifests = {}
        #: Paths as they were asked for.
        self.asked = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.asked.append(self.path)
                kind, body = registry.answer(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                if body:
                    self.send_header("Docker-Content-Digest", digest(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            do_HEAD = do_GET  # noqa: N815 - the library's spelling

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path):
        if path.rstrip("/") == "/v2":
            return "application/json", b"{}"
        name, _, reference = path.removeprefix("/v2/").rpartition("/")
        if name.endswith("/manifests"):
            return MANIFEST, self.manifests.get((name.removesuffix("/manifests"), reference))
        return "application/octet-stream", self.blobs.get(reference)

    def image(self, name, tag="1", layers=3):
        """Make an image of some random layers; return its full name."""
        tars = [layer(f"file{number}") for number in range(layers)]
        packed = [gzip.compress(one) for one in tars]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in tars]},
            }
        ).encode()
        for blob in (config, *packed):
            self.blobs[digest(blob)] = blob
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": describe(CONFIG, config),
                "layers": [describe(LAYER, one) for one in packed],
            }
        ).encode()
        self.manifests[name, tag] = self.manifests[name, digest(manifest)] = manifest
        return f"{self.address}/{name}:{tag}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def layer(name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        content = os.urandom(600_000)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def describe(kind, blob):
    return {"mediaType": kind, "size": len(blob), "digest": digest(blob)}


@contextlib.contextmanager
def a_registry():
    registry = Registry()
    try:
        yield registry
    finally:
        registry.close()
