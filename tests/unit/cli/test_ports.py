# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.cli.flags import CommandError
from scow.cli.portlist import show_ports
from scow.cli.ports import read_expose, read_publish


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("80", [("80/tcp", "", "")]),
        ("8080:80", [("80/tcp", "", "8080")]),
        ("8080:80/udp", [("80/udp", "", "8080")]),
        ("127.0.0.1:8080:80", [("80/tcp", "127.0.0.1", "8080")]),
        ("127.0.0.1::80", [("80/tcp", "127.0.0.1", "")]),
        ("[::1]:8080:80", [("80/tcp", "::1", "8080")]),
        ("8000-8001:80-81", [("80/tcp", "", "8000"), ("81/tcp", "", "8001")]),
        ("8000-8010:80", [("80/tcp", "", "8000-8010")]),
        ("80-81", [("80/tcp", "", ""), ("81/tcp", "", "")]),
        ("published=8080,target=80,protocol=udp", [("80/udp", "", "8080")]),
        ("target=80", [("80/tcp", "", "")]),
    ],
)
def test_publishing(text, found):
    assert [(port, binding["HostIp"], binding["HostPort"]) for port, binding in read_publish(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "80:",
        "0",
        "70000",
        "1:2:3:4",
        "300.1.1.1:1:2",
        "80/zebra",
        "81-80",
        "1-3:1-2",
        "published=1",
        "zebra=1",
    ],
)
def test_what_cannot_be_published(text):
    with pytest.raises(CommandError):
        read_publish(text)


@pytest.mark.parametrize(("text", "ports"), [("80", ["80/tcp"]), ("80-82/udp", ["80/udp", "81/udp", "82/udp"])])
def test_exposing(text, ports):
    assert read_expose(text) == ports


@pytest.mark.parametrize("text", ["", "a", "1:2", "80/zebra"])
def test_what_cannot_be_exposed(text):
    with pytest.raises(CommandError):
        read_expose(text)


def bound(*ports):
    return [{"HostIp": address, "HostPort": str(port)} for address, port in ports]


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ({}, ""),
        ({"80/tcp": None}, "80/tcp"),
        ({"80/tcp": bound(("0.0.0.0", 8080))}, "0.0.0.0:8080->80/tcp"),
        ({"80/tcp": bound(("0.0.0.0", 80)), "81/tcp": bound(("0.0.0.0", 81))}, "0.0.0.0:80-81->80-81/tcp"),
        ({"80/tcp": bound(("0.0.0.0", 1)), "81/tcp": bound(("0.0.0.0", 9))}, "0.0.0.0:1->80/tcp, 0.0.0.0:9->81/tcp"),
        ({"80/tcp": bound(("0.0.0.0", 80), ("::", 80))}, "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
        ({"80/tcp": None, "81/tcp": None, "90/udp": None}, "80-81/tcp, 90/udp"),
        (
            {"80/tcp": bound(("1.2.3.4", 8)), "99/tcp": None, "9/tcp": bound(("1.2.3.4", 9))}
            | {f"{port}/tcp": bound(("1.2.3.4", port)) for port in (12, 11)},
            "1.2.3.4:9->9/tcp, 1.2.3.4:11-12->11-12/tcp, 99/tcp, 1.2.3.4:8->80/tcp",
        ),
    ],
)
def test_showing(ports, text):
    assert show_ports(ports) == text
