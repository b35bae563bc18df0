"""What a kernelspec and a kernel manager say, as a wish for a session."""

from __future__ import annotations

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.provisioning.launch import (
    KernelWish,
    Surroundings,
    kernel_connection,
    make_request,
    read_config,
    relative_folder,
)

ID = "0f5e8f1c-63b6-4a38-9d4e-2f8f4a0d7c11"


def test_all_config_keys_are_taken_over():
    wish = read_config(
        {
            "image": "a/b:1",
            "preset": "python",
            "kernel": "ir",
            "resources": {"cpu": "2"},
            "environ": {"A": "1"},
            "encryption": "required",
            "durable": False,
        }
    )
    request = make_request(wish, {}, Surroundings(kernel_id=ID))
    assert (request.image, request.preset, request.kernel) == ("a/b:1", "python", "ir")
    assert request.resources == {"cpu": "2"}
    assert request.environ == {"A": "1"}
    assert request.encryption == "required"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"imagee": "x"}, "imagee"),
        ({"parent": "x"}, "parent"),
        ({"config": {}}, "config"),
        ({"log": 1}, "log"),
        ({"image": 3}, "image"),
        ({"image": None}, "image"),
        ({"preset": []}, "preset"),
        ({"kernel": ""}, "kernel"),
        ({"kernel": None}, "kernel"),
        ({"resources": "cpu=2"}, "resources"),
        ({"resources": [1]}, "resources"),
        ({"environ": [["A", "1"]]}, "environ"),
        ({"environ": {"A": 1}}, "environ"),
        ({"environ": {"A=B": "1"}}, "environ"),
        ({"environ": {"JPY_PARENT_PID": "1"}}, "environ"),
        ({"encryption": "yes"}, "encryption"),
        ({"encryption": True}, "encryption"),
        ({"durable": "yes"}, "durable"),
        ({"durable": None}, "durable"),
    ],
)
def test_bad_config_is_refused_by_name(config, key):
    with pytest.raises(InvalidRequest) as caught:
        read_config(config)
    assert key in caught.value.message
    assert caught.value.data["field"]


def test_E5_only_the_kernelspec_and_the_notebooks_name_go_on():
    request = make_request(
        KernelWish(environ={"B": "wish"}),
        {"A": "spec", "B": "spec", "PRICE": "5 $$"},
        Surroundings(
            kernel_id=ID,
            environ={"SECRET": "of the server", "A": "server", "JPY_SESSION_NAME": "/x/n.ipynb"},
        ),
    )
    assert request.environ == {"A": "spec", "B": "wish", "PRICE": "5 $"}
    assert request.jupyter_session == "/x/n.ipynb"


@pytest.mark.parametrize("value", ["$HOME", "${HOME}", "a:${TOKEN}"])
def test_E5_a_kernelspec_cannot_refer_to_the_servers_environment(value):
    with pytest.raises(InvalidRequest, match="A\\. Sessions do not see"):
        make_request(KernelWish(), {"A": value}, Surroundings(kernel_id=ID))


@pytest.mark.parametrize("kernel_id", ["", "kernel", ID.upper(), ID + "\n", "../" + ID])
def test_a_kernel_id_must_be_a_uuid(kernel_id):
    with pytest.raises(InvalidRequest, match="UUID"):
        make_request(KernelWish(), {}, Surroundings(kernel_id=kernel_id))


def test_a_kernels_session_ends_with_it_and_reuses_nothing():
    request = make_request(
        KernelWish(), {}, Surroundings(kernel_id=ID, folder="/home/x/a/b", root="/home/x")
    )
    assert (request.durable, request.reuse, request.origin) == (False, False, "kernel")
    assert request.session_id == ID
    assert (request.notebook_folder, request.notebook_path) == ("/home/x/a/b", "a/b")


@pytest.mark.parametrize(
    ("folder", "root", "relative"),
    [
        ("/r", "/r", ""),
        ("/r/a", "/r", "a"),
        ("/r/a/ü b", "/r", "a/ü b"),
        ("/ra", "/r", ""),
        ("/else", "/r", ""),
        ("/r/a", "", ""),
        ("", "/r", ""),
    ],
)
def test_folders_are_relative_to_the_root(folder, root, relative):
    assert relative_folder(folder, root) == relative


def test_encryption_is_the_kernelspecs_else_what_an_admin_requires():
    def asked(wish, policy):
        around = Surroundings(kernel_id=ID, encryption=policy)
        return make_request(KernelWish(encryption=wish), {}, around).encryption

    assert asked(None, "disabled") is None
    assert asked(None, "auto") is None
    assert asked(None, "required") == "required"
    assert asked("disabled", "required") == "required"
    assert asked("disabled", "auto") == "disabled"


def test_connection_info_is_spelled_as_jupyter_compares_it():
    info = kernel_connection({"key": "k", "curve_publickey": b"p", "curve_secretkey": "s"})
    assert info == {"key": b"k", "curve_publickey": "p", "curve_secretkey": "s"}


@pytest.mark.parametrize(
    ("may_last", "lasts", "wish", "expected"),
    [
        (True, True, None, True),
        (True, False, None, False),
        (True, False, True, True),
        (True, True, False, False),
        (False, True, True, False),
    ],
)
def test_a_kernel_lasts_where_there_is_a_server_to_find_it_again(may_last, lasts, wish, expected):
    around = Surroundings(kernel_id=ID, may_last=may_last, lasts=lasts)
    assert make_request(KernelWish(durable=wish), {}, around).durable is expected
