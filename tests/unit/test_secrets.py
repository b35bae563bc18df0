"""What is derived from the installation's secret."""

from __future__ import annotations

import pytest
import zmq
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets

MASTER = bytes(range(32))
ONE = InstallationSecrets(MASTER, "0123456789")
SAME = InstallationSecrets(MASTER, "0123456789")
OTHERS = [InstallationSecrets(bytes(32), "0123456789"), InstallationSecrets(MASTER, "abcdef0123")]
DERIVE = {
    "token": lambda secrets, place: secrets.agent_token(place),
    "kernel key": lambda secrets, place: secrets.kernel_key(place),
    "curve": lambda secrets, place: secrets.curve_keys(place)[1],
    "certificate": lambda secrets, place: secrets.agent_certificate(place)[1],
}


@pytest.mark.parametrize("derive", DERIVE.values(), ids=DERIVE)
def test_the_same_place_gets_the_same_and_another_gets_another(derive):
    assert derive(ONE, "p") == derive(SAME, "p")
    assert derive(ONE, "p") != derive(ONE, "q")
    for other in OTHERS:
        assert derive(ONE, "p") != derive(other, "p")


def test_no_two_purposes_share_a_secret():
    texts = [ONE.agent_token("p"), ONE.kernel_key("p"), ONE.derive("row cipher").hex()]
    assert len(set(texts)) == 3


def test_the_master_secret_is_not_shown():
    assert repr(ONE) == "<InstallationSecrets of 0123456789>"


def test_a_short_master_secret_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        InstallationSecrets(b"short", "0123456789")


def test_curve_keys_are_a_pair():
    public, secret = ONE.curve_keys("p")
    assert zmq.curve_public(secret.encode()) == public.encode()
    assert (len(public), len(secret)) == (40, 40)


def test_the_certificate_is_deterministic_and_valid_at_any_sane_time():
    pem, key = ONE.agent_certificate("p")
    assert (pem, key) == SAME.agent_certificate("p")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.not_valid_before_utc.year <= 2020
    assert certificate.not_valid_after_utc.year > 2900
    certificate.verify_directly_issued_by(certificate)


def test_signatures_bind_words_and_their_borders():
    signature = ONE.sign("ab", "c")
    assert len(signature) <= 64
    assert signature.isascii()
    assert SAME.verify(signature, "ab", "c")
    for words in (("a", "bc"), ("ab", "c", ""), ("abc",), ("c", "ab"), ()):
        assert not ONE.verify(signature, *words)
    for other in OTHERS:
        assert not other.verify(signature, "ab", "c")


@given(st.text())
def test_no_other_text_is_a_signature(text):
    assert not ONE.verify(text, "word")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_can_be_unsealed(text):
    sealed = ONE.seal(text)
    assert sealed.isascii()
    assert SAME.unseal(sealed) == text
    assert ONE.seal(text) != sealed


@given(st.text())
def test_what_was_not_sealed_here_is_refused(text):
    for secrets, sealed in ((ONE, text), (OTHERS[0], ONE.seal("x")), (ONE, ONE.seal("x")[:-4])):
        with pytest.raises(ValueError):  # noqa: PT011 - the contract promises no more
            secrets.unseal(sealed)


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_seal_is_refused(position, change):
    sealed = ONE.seal("some words that are secret")
    position += len("v1:")
    changed = chr((ord(sealed[position]) + change) % 128)
    if changed == sealed[position]:
        return
    with pytest.raises(ValueError):  # noqa: PT011 - the contract promises no more
        ONE.unseal(sealed[:position] + changed + sealed[position + 1 :])
