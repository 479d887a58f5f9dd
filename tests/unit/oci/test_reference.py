# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.oci.digest import Digest
from scow.oci.reference import InvalidReferenceError, Reference, ReservedNameError, valid_tag

D = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "familiar"),
    [
        ("ubuntu", "docker.io", "library/ubuntu", None, "ubuntu"),
        ("ubuntu:16.04", "docker.io", "library/ubuntu", "16.04", "ubuntu:16.04"),
        ("docker.io/library/ubuntu:1", "docker.io", "library/ubuntu", "1", "ubuntu:1"),
        ("index.docker.io/ubuntu", "docker.io", "library/ubuntu", None, "ubuntu"),
        ("me/app:x", "docker.io", "me/app", "x", "me/app:x"),
        ("localhost:5000/my_repo:2.0", "localhost:5000", "my_repo", "2.0", "localhost:5000/my_repo:2.0"),
        ("localhost/a/b", "localhost", "a/b", None, "localhost/a/b"),
        ("reg.example/a--b/c__d.e", "reg.example", "a--b/c__d.e", None, "reg.example/a--b/c__d.e"),
        ("[::1]:5000/a:b", "[::1]:5000", "a", "b", "[::1]:5000/a:b"),
        ("UPPER/a", "UPPER", "a", None, "UPPER/a"),
        ("127.0.0.1:5000/scratch", "127.0.0.1:5000", "scratch", None, "127.0.0.1:5000/scratch"),
    ],
)
def test_names_are_normalised(text: str, domain: str, path: str, tag: str | None, familiar: str) -> None:
    ref = Reference.parse(text)
    assert (ref.domain, ref.path, ref.tag, ref.familiar) == (domain, path, tag, familiar)


@pytest.mark.parametrize(
    "text",
    ["", ":x", "a:", "a:b:c", "A", "a/B", "a//b", "/a", "a/", "a_-b", "a..b", "-a", "a-", "a@sha256:1", "a b", "a:-x",
     "1" * 64, "host:port/a", "host:/a", "a" * 260, "a\nb", "a:x\n", "[::1/a", "é"],
)  # fmt: skip
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


@pytest.mark.parametrize("text", ["scratch", "scratch:latest", "docker.io/library/scratch", f"scratch@{D}"])
def test_scratch_is_reserved(text: str) -> None:
    with pytest.raises(ReservedNameError, match="'scratch' is a reserved name"):
        Reference.parse(text)


def test_digests_and_default_tags() -> None:
    ref = Reference.parse(f"alpine:3@{D}")
    assert (ref.tag, ref.digest) == ("3", Digest(D))
    assert ref.canonical == f"docker.io/library/alpine:3@{D}"
    assert Reference.parse("alpine").with_default_tag().tag == "latest"
    assert Reference.parse(f"alpine@{D}").with_default_tag().tag is None


def test_upper_case_says_so() -> None:
    with pytest.raises(InvalidReferenceError, match=r"repository name \(library/Foo\) must be lowercase"):
        Reference.parse("Foo")


def test_tags() -> None:
    assert valid_tag("_1.a-B")
    assert not valid_tag("a" * 129)
    with pytest.raises(InvalidReferenceError):
        Reference.parse("a").with_tag("no/slash")


@given(st.text(max_size=80))
def test_parse_raises_nothing_else_and_round_trips(text: str) -> None:
    try:
        ref = Reference.parse(text)
    except (InvalidReferenceError, ReservedNameError):
        return
    assert Reference.parse(ref.canonical) == ref
    assert Reference.parse(ref.familiar) == ref
