# SPDX-License-Identifier: Apache-2.0
"""What every copy target must do; run by test_target.py against each implementation."""

from __future__ import annotations

import io

import pytest

from scow.base.streams import BlobMismatchError
from scow.errors import NotFoundError
from scow.oci.digest import sha256_digest
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import OCI_CONFIG_V1, OCI_LAYER, OCI_MANIFEST_V1
from scow.oci.model import Descriptor, Manifest


def blob(data: bytes, media_type: str = OCI_LAYER) -> Descriptor:
    return Descriptor(media_type, sha256_digest(data), len(data))


def push_image(target, layer: bytes = b"layer") -> Descriptor:
    config = b"{}"
    for data, kind in ((layer, OCI_LAYER), (config, OCI_CONFIG_V1)):
        target.push(blob(data, kind), io.BytesIO(data))
    document = encode_manifest(Manifest(OCI_MANIFEST_V1, blob(config, OCI_CONFIG_V1), (blob(layer),)))
    target.push(document.descriptor, io.BytesIO(document.raw))
    return document.descriptor


class TargetSuite:
    """Subclasses give the fixture ``target``."""

    def test_push_then_fetch(self, target):
        desc = blob(b"hello")
        assert not target.exists(desc)
        target.push(desc, io.BytesIO(b"hello"))
        assert target.exists(desc)
        with target.fetch(desc) as file:
            assert file.read() == b"hello"
        with target.fetch(desc, offset=2) as file:
            assert file.read() == b"llo"

    def test_push_again_is_harmless(self, target):
        for _ in range(2):
            target.push(blob(b"x"), io.BytesIO(b"x"))
        assert target.exists(blob(b"x"))

    @pytest.mark.parametrize("data", [b"hellp", b"hell", b"hello!"])
    def test_wrong_bytes_are_refused(self, target, data):
        desc = blob(b"hello")
        with pytest.raises(BlobMismatchError):
            target.push(desc, io.BytesIO(data))
        assert not target.exists(desc)

    def test_fetch_of_what_is_not_there(self, target):
        with pytest.raises(NotFoundError):
            target.fetch(blob(b"never"))

    def test_tag_and_resolve(self, target):
        desc = push_image(target)
        target.tag(desc, "v1")
        assert target.resolve("v1").digest == desc.digest
        assert target.resolve(desc.digest).digest == desc.digest
        with pytest.raises(NotFoundError):
            target.resolve("v2")

    def test_tag_moves(self, target):
        first, second = push_image(target, b"1"), push_image(target, b"2")
        target.tag(first, "v1")
        target.tag(first, "old")
        target.tag(second, "v1")
        assert target.resolve("v1").digest == second.digest
        assert target.resolve("old").digest == first.digest

    def test_tag_of_what_is_not_there(self, target):
        with pytest.raises(NotFoundError):
            target.tag(blob(b"never"), "v1")
