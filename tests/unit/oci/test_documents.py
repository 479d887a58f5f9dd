# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import LimitError, ScowError, UnsupportedError
from scow.oci import mediatype
from scow.oci.decode import MalformedDocumentError, decode_config, decode_index, decode_manifest
from scow.oci.digest import Digest
from scow.oci.encode import encode_config, encode_index, encode_manifest
from scow.oci.model import ContainerConfig, Descriptor, History, ImageConfig, Index, Platform

D = "sha256:" + "2" * 64
DESC = {"mediaType": mediatype.OCI_LAYER_GZIP, "digest": D, "size": 7, "annotations": {"a": "b"}, "com.example": [1]}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": mediatype.OCI_MANIFEST_V1,
    "config": {"mediaType": mediatype.OCI_CONFIG_V1, "digest": D, "size": 2},
    "layers": [DESC],
    "annotations": {"x": "y"},
    "unknown": {"kept": True},
}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_manifest_keeps_its_bytes_and_what_it_does_not_know() -> None:
    document = decode_manifest(raw(MANIFEST))
    assert document.raw == raw(MANIFEST)
    assert document.value.layers[0].extra == {"com.example": [1]}
    again = json.loads(encode_manifest(document.value).raw)
    assert again == MANIFEST


def test_an_index_round_trips_with_platforms() -> None:
    entry = {
        **DESC,
        "mediaType": mediatype.OCI_MANIFEST_V1,
        "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
    }
    value = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX_V1, "manifests": [entry]}
    document = decode_index(raw(value))
    assert document.value.manifests[0].platform == Platform("linux", "arm", "v7")
    assert json.loads(encode_index(document.value).raw) == value


def test_an_empty_cmd_differs_from_none() -> None:
    base = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    assert decode_config(raw({**base, "config": {"Cmd": None}})).value.config.cmd is None
    assert decode_config(raw({**base, "config": {"Cmd": []}})).value.config.cmd == ()


def test_a_config_round_trips() -> None:
    config = ImageConfig(
        Platform(),
        (),
        ContainerConfig(
            env=("A=1",), cmd=("sh",), exposed_ports=("80/tcp",), labels={"b": "1", "a": "2"}, stop_timeout=0
        ),
        (History("2020-01-01T00:00:00Z", "RUN x", empty_layer=True),),
        "2020-01-01T00:00:00Z",
        "me",
        {"docker_version": "1"},
    )
    document = encode_config(config)
    assert decode_config(document.raw).value == config
    assert list(json.loads(document.raw)["config"]["Labels"]) == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"config": {**DESC, "size": -1}},
        {"config": {**DESC, "size": True}},
        {"config": {**DESC, "size": 1 << 80}},
        {"config": {**DESC, "digest": "sha256:1"}},
        {"layers": {}},
        {"layers": [3]},
        {"mediaType": mediatype.OCI_INDEX_V1},
        {"annotations": {"a": 1}},
    ],
)
def test_bad_manifests_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedDocumentError):
        decode_manifest(raw({**MANIFEST, **change}))


def test_bounds() -> None:
    with pytest.raises(LimitError):
        decode_manifest(b" " * (5 << 20))
    with pytest.raises(MalformedDocumentError, match="deeper"):
        decode_manifest(b'{"a":' * 1000 + b"1" + b"}" * 1000)
    with pytest.raises(LimitError):
        decode_manifest(raw({**MANIFEST, "layers": [DESC] * 5000}))


def test_brackets_inside_strings_are_not_depth() -> None:
    decode_manifest(raw({**MANIFEST, "annotations": {"a": '[{"\\' * 100}}))


def test_schema_1_is_named() -> None:
    with pytest.raises(UnsupportedError, match="schema 1"):
        decode_manifest(raw({"schemaVersion": 1}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["config", "layers", "manifests", "rootfs", "history", "subject", "os", "mediaType"]), JSON
    )
)
def test_hostile_json_raises_only_our_errors(value: dict[str, object]) -> None:
    for decode in (decode_manifest, decode_index, decode_config):
        try:
            decode(raw(value))
        except ScowError:
            pass


@given(st.binary(max_size=60))
def test_hostile_bytes_raise_only_our_errors(data: bytes) -> None:
    for decode in (decode_manifest, decode_index, decode_config):
        try:  # "{}" is an index of nothing
            decode(data)
        except ScowError:
            pass


def test_values_are_immutable() -> None:
    with pytest.raises(AttributeError, match="layers cannot be changed"):
        decode_manifest(raw(MANIFEST)).value.layers = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("platform", "digest"),
    [
        (Platform("linux", "amd64"), "sha256:ea57d82830215c75d2accb5683cac56effadcfba9718ae4fdd090c9f697def1d"),
        (
            Platform("linux", "arm64", "v8", os_version="1", os_features=("a", "b")),
            "sha256:41cc4f8852c036f44d2197f5efb97ad59d0f50da54907736f224e4f73698608d",
        ),
    ],
)
def test_dockers_lists_have_the_digests_that_docker_gives_them(platform, digest):
    # pushed by docker 28.2.2, "docker manifest push"
    entry = Descriptor(
        "application/vnd.docker.distribution.manifest.v2+json",
        Digest("sha256:d81a967d0adf411befbb5c07dabbf0978ee113cb5ea8a6c503f80f0332f6b610"),
        444,
        platform=platform,
    )
    made = encode_index(Index("application/vnd.docker.distribution.manifest.list.v2+json", (entry,)))
    assert made.descriptor.digest == digest
    assert made.raw.startswith(b'{\n   "schemaVersion": 2,\n')
