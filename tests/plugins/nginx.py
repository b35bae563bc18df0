"""nginx in front of a Jupyter server, configured by the very text of the documents."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from traitlets.config import Config
from websockets.sync.client import connect

from tests.plugins.server import GRACE, ROOT, Client

PAGE = ROOT / "docs" / "how-to" / "behind-a-proxy.md"
#: The names that the page uses, and what it puts Jupyter under.
HOST = "jupyter.example.org"
SUFFIX = "apps.example.net"
PREFIX = "/people/ann/"
#: Seconds for nginx to answer.
START = 20
#: Whom nginx runs as when the tests are root's.
NOBODY = 65534
#: Everything besides the page's own text: a place for each file that nginx writes.
_MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log off;
{text}
}}
"""


def blocks(language):
    """Return the page's blocks of a language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def replaced(text, *changes):
    """Put other words for words that must be there."""
    for old, new in changes:
        assert old in text, f"the page has no {old!r} any more"
        text = text.replace(old, new)
    return text


def make_certificate(folder, *names):
    """Make a certificate for names; it is its own authority. Returns its path and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "all.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "all.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "all.pem", folder / "all.key"


class Nginx(Client):
    """An nginx of its own; once it has a server behind it, asks that by its public name.

    `suffix` gives services hosts of their own, `http2` speaks it with browsers, and `changes` are
    what somebody wrote otherwise than the page says.
    """

    def __init__(self, *, suffix=False, http2=False, changes=()):
        self.folder = Path(tempfile.mkdtemp(prefix="sessmgr-nginx-"))
        self.certificate, self._key = make_certificate(self.folder, HOST, f"*.{SUFFIX}")
        self._suffix = suffix
        self._listen = "ssl http2" if http2 else "ssl"
        self._changes = changes
        self._process = None
        # nginx is given the socket, so the port is known, and ours, before it runs.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=511)
        self.port = self._socket.getsockname()[1]

    def config(self, *, prefix=PREFIX, trusting=True):
        """Return what the page says for Jupyter, as traits by section."""
        config = Config()
        for block in blocks("python"):
            if self._suffix or "host_suffix" not in block:
                exec(compile(block, str(PAGE), "exec"), {"c": config})  # our own page
        config.ServerApp.base_url = prefix
        if not trusting:
            config.ServerApp.trust_xheaders = False
        if self._suffix:
            config.ServiceProxy.host_suffix += f":{self.port}"  # no test can have 443
        return {section: dict(traits) for section, traits in config.items()}

    def start(self, server):
        """Stand before a server, and return when that answers."""
        self.server = server
        self.prefix = urlsplit(server.url).path
        super().__init__(f"https://{HOST}:{self.port}{self.prefix}", server.token)
        self.http.verify = str(self.certificate)
        (self.folder / "nginx.conf").write_text(_MAIN.format(folder=self.folder, text=self._text()))
        user = {}
        if os.geteuid() == 0:
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        command = [_program(), "-e", self.folder / "error.log", "-p", self.folder]
        self._process = subprocess.Popen(
            [*command, "-c", "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.log").open("ab"),
            env={"NGINX": f"{self._socket.fileno()};"},
            pass_fds=[self._socket.fileno()],
            start_new_session=True,
            **user,
        )
        reply = self.ask("GET", "api/status", timeout=START)
        assert reply.status_code == 200, self.errors()
        return self

    def _text(self):
        snippet, server, apps = blocks("nginx")
        snippets = self.folder / "snippets"
        snippets.mkdir(exist_ok=True)
        (snippets / "jupyter.conf").write_text(replaced(snippet, *self._changes))
        upstream = urlsplit(self.server.url).netloc
        own = (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} {self._listen}"),
            ("127.0.0.1:8888", upstream),
        )
        text = replaced(
            server,
            *own,
            (f"location {PREFIX}", f"location {self.prefix}"),
            ("/var/log/nginx/jupyter.log", f"{self.folder}/access.log"),
            ("/etc/ssl/jupyter.pem", str(self.certificate)),
            ("/etc/ssl/jupyter.key", str(self._key)),
        )
        if self._suffix:
            text += replaced(
                apps,
                *own,
                ("/etc/ssl/apps.pem", str(self.certificate)),
                ("/etc/ssl/apps.key", str(self._key)),
            )
        return text

    def _channels(self, kernel_id):
        url = f"wss{self.url.removeprefix('https')}api/kernels/{kernel_id}/channels"
        headers = {"Authorization": f"token {self.token}"}
        return connect(url, additional_headers=headers, max_size=2**24, ssl=self.tls)

    @property
    def tls(self):
        """What trusts its certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def raw(self, head, body=b"", *, source=""):
        """Send a request byte by byte, from an address of one's own; return the whole answer."""
        auth = f"Host: {HOST}:{self.port}\r\nAuthorization: token {self.token}\r\n"
        target = ("127.0.0.1", self.port)
        with (
            socket.create_connection(target, 30, (source, 0)) as plain,
            self.tls.wrap_socket(plain, server_hostname=HOST) as connection,
        ):
            connection.sendall(f"{head}\r\n{auth}Connection: close\r\n\r\n".encode() + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def log(self):
        """Return the lines of its access log."""
        path = self.folder / "access.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def errors(self):
        """Return what it complained about."""
        logs = [self.folder / name for name in ("stderr.log", "error.log")]
        return "\n".join(path.read_text(errors="replace") for path in logs if path.exists())

    def close(self):
        """End it, and remove what it wrote."""
        try:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                self._process.wait(GRACE)
        finally:
            self._socket.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def _program():
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture(scope="module")
def public_names():
    """Let the example's names lead here, as a DNS server would."""
    resolve = socket.getaddrinfo

    def here(host, *args, **kwargs):
        ours = isinstance(host, str) and (host == HOST or host.endswith(f".{SUFFIX}"))
        return resolve("127.0.0.1" if ours else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", here)
        yield


@pytest.fixture(scope="module")
def nginxes(public_names):
    """Make nginxes, and end them after the module's tests."""
    if _program() is None:
        assert not os.environ.get("CI"), "CI must have nginx: scripts/test-needs.sh"
        pytest.skip("no nginx here: scripts/test-needs.sh")
    made = []

    def make(**kwargs):
        made.append(Nginx(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()
