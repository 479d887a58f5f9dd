# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.cli.clientconfig import with_proxies
from scow.cli.commands.run import COMMAND
from scow.cli.containerrequest import request
from scow.cli.flags import parse


@pytest.fixture
def configured(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(value):
        (tmp_path / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))

    return write


def test_both_spellings(configured):
    configured({"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "x", "ftpProxy": ""}}})
    assert with_proxies([]) == ["HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "NO_PROXY=x", "no_proxy=x"]


def test_the_command_line_wins(configured):
    configured({"proxies": {"default": {"allProxy": "a", "httpsProxy": "s"}}})
    found = with_proxies(["ALL_PROXY=mine", "https_proxy"])
    assert found == ["ALL_PROXY=mine", "https_proxy", "HTTPS_PROXY=s", "all_proxy=a"]


@pytest.mark.parametrize(
    "value", [{"proxies": 3}, {"proxies": {"default": []}}, {"proxies": {"default": {"httpProxy": 3}}}, {}]
)
def test_no_proxies(configured, value):
    configured(value)
    assert with_proxies(["A=1"]) == ["A=1"]


@pytest.mark.parametrize("text", ["{", "[]", "", "\udce4"])
def test_what_is_no_configuration_is_told(configured, tmp_path, capsys, text):
    configured("")
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert with_proxies(["A=1"]) == ["A=1"]
    assert capsys.readouterr().err.startswith(f"WARNING: Error parsing config file ({tmp_path}/config.json): ")


def test_no_configuration(configured):
    assert with_proxies(["A=1"]) == ["A=1"]


def test_a_container_has_them(configured):
    configured({"proxies": {"default": {"httpProxy": "p"}}})
    body = request(parse(COMMAND, ["-e", "http_proxy=q", "bb"]))
    assert body["Env"] == ["http_proxy=q", "HTTP_PROXY=p"]
