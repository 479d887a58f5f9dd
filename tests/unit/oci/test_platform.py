# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.oci.model import Platform
from scow.oci.platform import InvalidPlatformError, host_platform, parse_platform, score


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("armhf", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("LINUX/AARCH64", "linux/arm64"),
        ("windows", "windows/amd64"),
        ("macos/x86_64", "darwin/amd64"),
    ],
)
def test_platforms_are_normalised(text: str, expected: str) -> None:
    assert str(parse_platform(text)) == expected


def test_a_word_alone_must_be_known() -> None:
    with pytest.raises(InvalidPlatformError, match='"bogus": unknown operating system or architecture'):
        parse_platform("bogus")
    assert str(parse_platform("linux/bogus")) == "linux/bogus"


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "li nux/amd64", "linux/am$64"])
def test_malformed_platforms_are_refused(text: str) -> None:
    with pytest.raises(InvalidPlatformError):
        parse_platform(text)


def test_the_best_match_wins() -> None:
    arm7 = Platform("linux", "arm", "v7")
    offers = [Platform("linux", "amd64"), Platform("linux", "arm", "v6"), arm7, Platform("linux", "arm", "v8")]
    assert max(offers, key=lambda offer: score(arm7, offer)) == arm7
    assert score(arm7, Platform("linux", "arm", "v8")) == 0
    assert score(arm7, Platform("linux", "arm", "v6")) > 0
    assert score(Platform("linux", "arm64"), arm7) > 0
    assert score(Platform("linux", "amd64"), Platform("linux", "arm64")) == 0
    assert (
        score(Platform("linux", "amd64"), Platform("linux", "amd64"))
        > score(Platform("linux", "amd64"), Platform("linux", "386"))
        > 0
    )


def test_host_platform() -> None:
    assert str(host_platform("x86_64")) == "linux/amd64"
    assert str(host_platform("armv6l")) == "linux/arm/v6"
