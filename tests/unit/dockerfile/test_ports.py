# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.dockerfile.ports import check_signal, expose
from scow.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        (["80"], ["80/tcp"]),
        (["53/udp", "80/TCP"], ["53/udp", "80/tcp"]),
        (["7000-7002/sctp"], ["7000/sctp", "7001/sctp", "7002/sctp"]),
        (["127.0.0.1:8080:80"], ["80/tcp"]),
        (["[::1]:8080:80"], ["80/tcp"]),
        (["8080-8090:80"], ["80/tcp"]),
        (["80/"], ["80/tcp"]),
        (["+80", "7-+8"], ["80/tcp", "7/tcp", "8/tcp"]),
        ([], []),
    ],
)
def test_expose(words, ports):
    assert expose(words) == ports


@pytest.mark.parametrize(
    "word", ["", "x", "80/http", "65536", "90-80", "/tcp", "host:80:80", "1:2-3", "80-x", "-1", "1-2:5-9", "1" * 40]
)
def test_expose_refuses(word):
    with pytest.raises(InvalidArgumentError):
        expose([word] if word != "1:2-3" else ["1-9:2-3"])


@pytest.mark.parametrize("text", ["9", "KILL", "SIGTERM", "sigrtmin+3", "RTMAX-14", "usr1", "+9"])
def test_signals(text):
    check_signal(text)


@pytest.mark.parametrize("text", ["", "0", "NOPE", "SIGNOPE", "RTMIN+16", "RTMAX-0", "9x"])
def test_signals_refused(text):
    with pytest.raises(InvalidArgumentError, match="invalid signal"):
        check_signal(text)
