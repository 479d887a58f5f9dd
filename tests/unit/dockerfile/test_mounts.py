# SPDX-License-Identifier: Apache-2.0
"""Values of RUN --mount and --device."""

from __future__ import annotations

import pytest

from scow.dockerfile.ast import Device
from scow.dockerfile.errors import FlagValueError
from scow.dockerfile.mounts import Mount, fields, mount_source, parse_device, parse_mount


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a,b", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ("a,", ["a", ""]),
        ("a\r\n", ["a"]),
    ],
)
def test_fields(value: str, expected: list[str]):
    assert fields(value) == expected


@pytest.mark.parametrize("value", ["", 'a"b', '"a', '"a"b', "\n"])
def test_bad_fields(value: str):
    with pytest.raises(FlagValueError):
        fields(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("target=/x", Mount(target="/x")),
        ("type=bind,src=a,dst=/x,rw,from=s", Mount(target="/x", source="a", readonly=False, from_="s")),
        ("type=bind,target=/x,readwrite=false", Mount(target="/x")),
        (
            "type=cache,target=/x,id=i,sharing=LOCKED",
            Mount(type="cache", target="/x", readonly=False, id="i", sharing="locked"),
        ),
        ("type=cache,target=/x,ro,mode=0755,uid=1,gid=2", Mount(type="cache", target="/x", mode=0o755, uid=1, gid=2)),
        ("type=tmpfs,target=/x,size=1.5g", Mount(type="tmpfs", target="/x", readonly=False, size=1_610_612_736)),
        ("type=tmpfs,target=/x,size=10", Mount(type="tmpfs", target="/x", readonly=False, size=10)),
        ("type=tmpfs,target=/x,size=1 KiB", Mount(type="tmpfs", target="/x", readonly=False, size=1024)),
        ("type=secret,id=i,required,env=TOKEN", Mount(type="secret", id="i", required=True, env="TOKEN")),
        ("type=secret,id=i,required=false", Mount(type="secret", id="i")),
        ("TYPE=ssh,id=default,mode=600", Mount(type="ssh", id="default", mode=0o600)),
    ],
)
def test_mounts(value: str, expected: Mount):
    assert parse_mount(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("type=nope", "unsupported mount type"),
        ("target", "key=value"),
        ("what=1", "unexpected key 'what'"),
        ("required", "unexpected key 'required'"),
        ("size=1", "unexpected key 'size'"),
        ("type=tmpfs,size=x", "invalid value for size"),
        ("type=tmpfs,size=" + "9" * 60, "invalid value for size"),
        ("type=tmpfs,size=9999999p", "invalid value for size"),
        ("ro=maybe", "invalid value for readonly"),
        ("type=cache,sharing=x", "unsupported sharing value"),
        ("sharing=locked", "cache sharing"),
        ("mode=9", "invalid value '9' for mode"),
        ("uid=99999999999", "for uid"),
        ("uid=1", "uid not allowed"),
        ("type=secret", "one of source, target, id"),
        ("type=secret,id=a,source=b", "both source and id"),
        ("type=secret,id=a,from=b", "should not have a from"),
        ("type=secret,id=a,sharing=locked", "should not define sharing"),
    ],
)
def test_refusals(value: str, words: str):
    with pytest.raises(FlagValueError) as caught:
        parse_mount(value)
    assert words in caught.value.message


def test_hints():
    with pytest.raises(FlagValueError) as caught:
        parse_mount("targt=/x")
    assert caught.value.hint == "did you mean target?"
    with pytest.raises(FlagValueError) as caught:
        parse_mount("type=cahce")
    assert caught.value.hint == "did you mean cache?"


def test_variables_are_expanded_in_values():
    assert parse_mount("type=$T,target=$D", {"$T": "cache", "$D": "/x"}.__getitem__) == Mount(
        type="cache", target="/x", readonly=False
    )


def test_sources_are_known_before_variables():
    assert mount_source("type=$T,from=stage,what=$X") == "stage"
    assert mount_source("target=/x") == ""
    assert mount_source("from=a$") == "a$"
    with pytest.raises(FlagValueError, match="variable expansion"):
        mount_source("from=$X")


def test_devices():
    assert parse_device("gpu") == Device("gpu")
    assert parse_device("name=a,required") == Device("a", required=True)
    assert parse_device("a=b,required=0") == Device("a=b")
    for bad in ("a,b", "a,name=b", "a,required=x", "a,c=d"):
        with pytest.raises(FlagValueError):
            parse_device(bad)
