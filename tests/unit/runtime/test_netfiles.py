# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.runtime.netfiles import hosts, resolv_conf, split_host


def test_hosts_names_itself_last():
    text = hosts(["db:10.1.2.3", "gw=host-gateway"], [("10.0.0.2", "box")], "10.0.0.1")
    assert "127.0.0.1\tlocalhost\n" in text
    assert text.endswith("10.1.2.3\tdb\n10.0.0.1\tgw\n10.0.0.2\tbox\n")


@pytest.mark.parametrize(
    ("text", "pair"), [("a:1.2.3.4", ("a", "1.2.3.4")), ("a:[::1]", ("a", "::1")), ("a=::1", ("a", "::1"))]
)
def test_a_host_and_its_address(text, pair):
    assert split_host(text) == pair


@pytest.mark.parametrize("text", ["", "a", ":1", "a:"])
def test_a_host_without_an_address_is_refused(text):
    with pytest.raises(InvalidArgumentError):
        split_host(text)


HOST = "# c\nnameserver 127.0.0.53\nnameserver 9.9.9.9 # q\nsearch a b\noptions ndots:2\n"


def test_servers_on_the_hosts_loopback_are_nobody_inside():
    assert resolv_conf(HOST) == "nameserver 9.9.9.9\nsearch a b\noptions ndots:2\n"


def test_on_the_hosts_network_they_are_kept():
    assert "nameserver 127.0.0.53\n" in resolv_conf(HOST, own_network=False)


def test_without_any_server_public_ones_are_asked():
    assert resolv_conf("nameserver 127.0.0.53\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_what_the_user_says_wins():
    text = resolv_conf(HOST, servers=["1.1.1.1"], search=["."], options=["rotate"])
    assert text == "nameserver 1.1.1.1\noptions rotate\n"


def test_a_relay_stands_for_the_hosts_servers():
    assert resolv_conf(HOST, relay="10.0.2.3") == "nameserver 10.0.2.3\nsearch a b\noptions ndots:2\n"
    assert "nameserver 192.0.2.53" in resolv_conf(HOST, relay="10.0.2.3", servers=["192.0.2.53"])


def test_single_words_are_asked_of_servers_that_know_containers():
    assert resolv_conf("", servers=["127.0.0.11"], names=True) == "nameserver 127.0.0.11\noptions ndots:0\n"
    assert "options ndots:2\n" in resolv_conf(HOST, servers=["127.0.0.11"], names=True), "the host's own wish stays"
