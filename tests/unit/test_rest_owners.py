"""Who owns what a request makes."""

from __future__ import annotations

import pytest
from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
    User,
)

from jupyter_sessmgr.manager.owners import server_owner
from jupyter_sessmgr.rest.owners import Owners


class People(IdentityProvider):
    """Somebody's own."""


@pytest.mark.parametrize(
    "provider", [IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider]
)
def test_a_token_is_nobody_so_the_server_owns(provider):
    owners = Owners("alice", provider())
    assert owners.of(User("3f2a")) == owners.of(User("99bc")) == "alice"


def test_a_real_identity_provider_gives_owners():
    owners = Owners("alice", People())
    assert owners.of(User("bob")) == "bob"


def test_whoever_holds_the_servers_token_is_its_admin():
    assert Owners("alice", IdentityProvider(), ["bob"]).is_admin(User("3f2a"))


def test_people_are_admins_by_name():
    owners = Owners("alice", People(), ["bob"])
    assert owners.is_admin(User("bob"))
    assert not owners.is_admin(User("alice"))
    assert not Owners("alice", People()).is_admin(User("alice"))


def test_the_servers_owner_is_the_hubs_user_or_the_systems(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_USER", "carol")
    assert server_owner() == "carol"
    monkeypatch.delenv("JUPYTERHUB_USER")
    monkeypatch.setenv("LOGNAME", "dave")
    assert server_owner() == "dave"
