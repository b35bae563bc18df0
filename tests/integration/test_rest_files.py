"""Files go into sessions and come out of them, over HTTP, as the released clients do it."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from email.parser import BytesParser
from urllib.parse import urlsplit

import pytest

MIB = 2**20


@pytest.fixture(scope="module")
def session(shared_server):
    made = shared_server.create(clientSessionToken="files-shared")
    yield made["sessionId"]
    shared_server.ask("DELETE", "sessmgr/session/files-shared?forced=true")


@pytest.fixture
def ask(shared_server, session):
    def asked(method, verb, **kwargs):
        return shared_server.ask(method, f"sessmgr/session/{session}/{verb}", **kwargs)

    return asked


@pytest.fixture
def upload(ask):
    def uploaded(**files):
        named = [("src", (name, content)) for name, content in files.items()]
        return ask("POST", "upload", files=named)

    return uploaded


def names(ask, path="."):
    reply = ask("GET", "files", json={"path": path})
    assert reply.status_code == 200, reply.text
    return {one["filename"]: one for one in json.loads(reply.json()["files"])}


def parts(reply):
    """Take a multipart answer apart, as any reader of MIME does."""
    head = f"Content-Type: {reply.headers['Content-Type']}\r\n\r\n".encode()
    return BytesParser().parsebytes(head + reply.content).get_payload()


def test_what_is_uploaded_is_there_whole(ask, upload):
    content = bytes(range(256)) * 20_000
    assert upload(**{"data.bin": content, "sub/ä b.txt": b"text\r\n--x"}).status_code == 204
    assert names(ask)["data.bin"]["size"] == len(content)
    assert names(ask)["data.bin"]["mode"].startswith("-rw")
    assert names(ask)["sub"]["isDir"]
    assert list(names(ask, "sub")) == ["ä b.txt"]
    assert not [name for name in names(ask) if name.startswith(".data")], "no draft is left"
    single = ask("GET", "download_single", params={"file": "data.bin"})
    assert single.content == content
    assert ask("POST", "download_single", json={"file": "sub/ä b.txt"}).content == b"text\r\n--x"


def test_names_that_clients_quote_are_plain_again(ask, upload):
    assert upload(**{"quoted%2Fa%20b.txt": b"1", "50%.txt": b"2"}).status_code == 204
    assert "a b.txt" in names(ask, "quoted")
    assert "50%.txt" in names(ask)


def test_downloads_are_archives_one_for_each_path(ask, upload):
    upload(**{"one.txt": b"first", "folder/two.txt": b"second"})
    for reply in (
        ask("GET", "download", json={"files": ["one.txt", "/home/work/folder"]}),
        ask("POST", "download", json={"files": ["one.txt", "./folder"]}),
        ask("GET", "download", params={"files": ["one.txt", "folder"]}),
    ):
        assert reply.status_code == 200, reply.text
        assert reply.headers["Content-Type"].startswith("multipart/mixed; boundary=")
        one, folder = (part.get_payload(decode=True) for part in parts(reply))
        assert unpacked(one) == {"one.txt": b"first"}
        assert unpacked(folder) == {"folder": None, "folder/two.txt": b"second"}


def unpacked(archive):
    """Return what a tar archive holds, by name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {one.name: tar.extractfile(one).read() if one.isfile() else None for one in tar}


@pytest.mark.parametrize(
    ("verb", "body", "status", "field"),
    [
        ("files", {"path": ""}, 401, "path"),
        ("files", {"path": 7}, 401, "path"),
        ("files", {"path": "x" * 5000}, 401, "path"),
        ("files", {"path": "no/such"}, 404, None),
        ("download", {}, 401, "files"),
        ("download", {"files": "one.txt"}, 401, "files"),
        ("download", {"files": []}, 401, "files"),
        ("download", {"files": ["x"] * 101}, 401, "files"),
        ("download", {"files": [None]}, 401, "files"),
        ("download", {"files": ["no-such"]}, 404, None),
        ("download_single", {}, 401, "file"),
        ("download_single", {"file": "."}, 401, None),
        ("download_single", {"file": "/dev/zero"}, 401, None),
        ("download_single", {"file": "../../../../no/such"}, 404, None),
    ],
)
def test_what_makes_no_sense_is_refused(ask, verb, body, status, field):
    reply = ask("GET", verb, json=body)
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    if field:
        assert reply.json()["data"]["field"] == field
    else:
        assert reply.json()["type"].endswith("file-not-found" if status == 404 else "params")


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [
        ("files", {"path": "no/such"}, "'no/such': No such file or directory. List its folder"),
        ("download", {"files": ["not here"]}, "'not here': No such file"),
        ("download", {"files": ["ok", ""]}, "files: missing."),
        ("download_single", {}, "file: missing."),
        ("download_single", {"file": "."}, "'.': It is a folder."),
    ],
)
def test_a_refusal_says_which_file_or_field_it_is_about(ask, verb, body, words):
    reply = ask("GET", verb, json=body)
    said = reply.json()
    assert words in said["msg"], said


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a/", "..", "%2Fetc%2Fout"]
)
def test_uploads_stay_below_the_working_folder(upload, name):
    reply = upload(**{name: b"x"})
    assert reply.status_code == 401, name
    assert reply.json()["data"]["field"] == "filename"
    assert "filename: " in reply.text


def test_uploads_that_are_refused_say_which_file(upload):
    assert upload(**{"taken/in.txt": b"x"}).status_code == 204
    reply = upload(**{"fine.txt": b"x", "taken": b"x"})
    assert reply.status_code == 401
    assert "'taken': There is a folder of this name." in reply.text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=" + "b" * 100, b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"h" * 40_000),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="src"; filename="cut"\r\n\r\nhalf',
        ),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="x"'),
        ("text/plain", b"x"),
    ],
)
def test_forms_that_make_no_sense_are_refused(ask, content_type, body):
    reply = ask("POST", "upload", data=body, headers={"Content-Type": content_type})
    assert reply.status_code == 401, reply.text
    assert "cut" not in names(ask)
    assert not [name for name in names(ask) if name.startswith(".cut")]


def test_an_upload_over_the_limit_is_413_before_its_end(servers):
    server = servers.start(config={"SessionFiles": {"max_upload_size": "64k"}})
    made = server.create()
    path = f"sessmgr/session/{made['sessionId']}/upload"
    assert server.ask("POST", path, files={"src": ("ok", bytes(60_000))}).status_code == 204
    reply = server.ask("POST", path, files={"src": ("big", bytes(3 * MIB))})
    assert reply.status_code == 413, reply.text

    # one whose size is not told before
    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="src"; filename="big"\r\n\r\n'
        for _ in range(40):
            yield bytes(64 * 1024)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = server.ask("POST", path, data=chunks(), headers=headers)
    assert reply.status_code in {406, 413}, reply.text
    listed = server.ask("GET", f"sessmgr/session/{made['sessionId']}/files")
    assert [one["filename"] for one in listed.json()["items"] if "big" in one["filename"]] == []


def test_an_upload_that_is_cut_leaves_nothing(ask, shared_server, session):
    url = urlsplit(shared_server.url)
    head = (
        f"POST {url.path}sessmgr/session/{session}/upload HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: token {shared_server.token}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="src"; filename="cut.bin"\r\n\r\n'
    )
    with socket.create_connection((url.hostname, url.port)) as raw:
        raw.sendall(head.encode() + bytes(100_000))
        until(lambda: any(name.startswith(".cut.bin") for name in names(ask)))
    until(lambda: not any("cut.bin" in name for name in names(ask)))


def test_a_form_of_a_page_needs_jupyters_own_token(shared_server, session):
    """Credentials by cookie alone, as a browser adds them to whatever form, are not enough."""
    anonymous = shared_server.http.__class__()
    anonymous.trust_env = False
    url = shared_server.url + f"sessmgr/session/{session}/upload"
    reply = anonymous.post(url, files={"src": ("x", b"x")}, allow_redirects=False)
    assert reply.status_code == 403
    cookie = anonymous.get(shared_server.url + f"api/status?token={shared_server.token}").cookies
    reply = anonymous.post(url, files={"src": ("x", b"x")}, cookies=cookie, allow_redirects=False)
    assert reply.status_code == 403


def until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)
