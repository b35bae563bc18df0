"""Key pairs: where they are kept, and what a command says of them."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_sessmgr.cli.main import main
from jupyter_sessmgr.manager.keypairs import FILE, KeyPair, KeyPairs
from jupyter_sessmgr.model.errors import InvalidRequest, StoreRefused


@pytest.fixture
def pairs(state_dir):
    return KeyPairs(state_dir, logging.getLogger("keypairs"))


def known(pairs, key):
    asyncio.run(pairs.refresh())
    return pairs.find(key)


def test_there_are_none_at_first(pairs, state_dir):
    assert pairs.read() == ()
    assert not pairs.remove("ABSENT")
    assert list(state_dir.iterdir()) == []


def test_a_pair_that_was_added_is_known_at_once(pairs, state_dir):
    assert known(pairs, "ABSENT") is None
    assert not pairs.are_used
    writer = KeyPairs(state_dir, logging.getLogger("keypairs"))
    pair, secret = writer.add("alice", admin=True)
    assert known(pairs, pair.access_key) == pair
    assert pairs.are_used
    assert pairs.secret(pair.access_key) == secret
    assert (pair.owner, pair.admin) == ("alice", True)
    assert writer.remove(pair.access_key)
    assert known(pairs, pair.access_key) is None
    assert not pairs.are_used


def test_the_file_is_private_and_has_no_secret(pairs, state_dir):
    _, secret = pairs.add("alice")
    for path in state_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert secret.encode() not in path.read_bytes(), path


def test_secrets_differ_and_stay_the_same(pairs, state_dir):
    one, first = pairs.add("alice")
    two, second = pairs.add("alice")
    assert first != second
    assert one.access_key != two.access_key
    later = KeyPairs(state_dir, logging.getLogger("keypairs"))
    asyncio.run(later.refresh())
    assert later.secret(one.access_key) == first
    assert later.secret("ABSENT") not in {first, second}


def test_commands_at_the_same_time_lose_nothing(state_dir):
    def add(number):
        return KeyPairs(state_dir, logging.getLogger("keypairs")).add(f"owner-{number}")[0]

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(24)))
    kept = KeyPairs(state_dir, logging.getLogger("keypairs")).read()
    assert {pair.access_key for pair in kept} == {pair.access_key for pair in added}


DAMAGED = {
    "cut short": b'{"pairs": [{"access_key": "A',
    "empty": b"",
    "a list": b"[]",
    "other": b'{"pairs": {"a": 1}}',
    "not utf-8": b'{"pairs": ["\xff"]}',
    "no owner": b'{"pairs": [{"access_key": "A", "admin": false, "created_at": 1.0}]}',
    "empty owner": (
        b'{"pairs": [{"access_key": "A", "owner": "", "admin": false, "created_at": 1.0}]}'
    ),
    "admin by word": (
        b'{"pairs": [{"access_key": "A", "owner": "a", "admin": "no", "created_at": 1.0}]}'
    ),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_no_key_of_a_damaged_file_works(pairs, state_dir, caplog, text):
    pair, _ = pairs.add("alice")
    assert known(pairs, pair.access_key)
    good = (state_dir / FILE).read_bytes()
    (state_dir / FILE).write_bytes(text)
    for _ in range(3):
        assert known(pairs, pair.access_key) is None
    assert caplog.text.count("No key pair works") == 1
    with pytest.raises(StoreRefused, match="is damaged, so no key pair works"):
        pairs.read()
    with pytest.raises(StoreRefused):
        pairs.add("bob")
    assert (state_dir / FILE).read_bytes() == text
    (state_dir / FILE).write_bytes(good)
    assert known(pairs, pair.access_key) == pair


def test_a_file_that_others_may_write_is_not_believed(pairs, state_dir):
    pair, _ = pairs.add("alice")
    (state_dir / FILE).chmod(0o666)
    assert known(pairs, pair.access_key) is None
    with pytest.raises(StoreRefused, match="chmod 600"):
        pairs.read()


@pytest.mark.parametrize("owner", ["", "x" * 256, "a\nb", "a\0b", "\ud800", "a\u202eb"])
def test_what_is_no_user_name_owns_nothing(pairs, owner):
    with pytest.raises(InvalidRequest, match="owner"):
        pairs.add(owner)
    assert pairs.read() == ()


@pytest.fixture
def keypair(state_dir, jp_environ, capsys):
    """Run the command; returns its exit code, output and notes."""

    def run(*words):
        code = main(["keypair", *words, f"--ComputeSessionManager.state_dir={state_dir}"])
        return code, *capsys.readouterr()

    return run


def test_the_command_prints_both_halves_once(keypair, pairs):
    code, out, _ = keypair("add", "--owner", "alice", "--admin", "--json")
    added = json.loads(out)
    assert code == 0
    assert set(added) == {"access_key", "secret_key", "owner", "admin", "created_at"}
    assert pairs.read() == [
        KeyPair(
            access_key=added["access_key"],
            owner="alice",
            admin=True,
            created_at=added["created_at"],
        )
    ]
    code, out, _ = keypair("list", "--json")
    del added["secret_key"]
    assert json.loads(out) == [added]
    code, out, notes = keypair("list")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        [added["access_key"], "alice", "yes"]
    ]
    assert keypair("remove", added["access_key"])[0] == 0
    code, out, notes = keypair("list")
    assert (code, out) == (0, "")
    assert "No key pairs" in notes
    code, _, notes = keypair("remove", added["access_key"])
    assert code == 3
    assert "There is no key pair" in notes


def test_the_command_adds_for_the_servers_owner(keypair, pairs, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_USER", "carol")
    code, out, notes = keypair("add")
    assert code == 0
    (pair,) = pairs.read()
    assert pair.owner == "carol"
    assert out.splitlines()[0] == f"access key: {pair.access_key}"
    assert "not shown again" in notes
    keypair("add", "--SessMgrApp.owner=dave")
    assert pairs.read()[1].owner == "dave"


def test_the_command_says_what_is_wrong_with_the_file(keypair, pairs, state_dir):
    pairs.add("alice")
    (state_dir / FILE).write_text("{")
    for words in (["list"], ["add"], ["remove", "A"]):
        code, out, notes = keypair(*words)
        assert (code, out) == (4, "")
        assert "is damaged, so no key pair works" in notes
