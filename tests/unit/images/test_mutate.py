# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.stores import tar_of
from scow.errors import InvalidArgumentError
from scow.images.mutate import new_image, withdraw
from scow.oci.digest import DiffID, chain_ids
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import (
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST_V2,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_NONDIST_GZIP,
    OCI_MANIFEST_V1,
)
from scow.oci.model import Manifest
from scow.oci.reference import Reference
from scow.record import replace


def test_layers_go_on_top_of_the_base(store):
    base = store.image("base")
    config = store.images.config(base.id).value
    data = tar_of({"new": b"1"})
    with store.leases.hold("t") as lease:
        diff = DiffID(store.content.put(data, lease))
        for diff_ids in (config.diff_ids, (*config.diff_ids, diff)):
            record = new_image(
                store.images,
                store.content,
                base,
                replace(config, diff_ids=diff_ids),
                [(diff, len(data))],
                lease,
                [Reference.parse("new:1")],
                annotations={"k": "v"},
            )
            manifest = store.images.manifest(record.id).value
            assert manifest.annotations == {"k": "v"}
            assert [layer.digest for layer in manifest.layers] == [*config.diff_ids, diff]
            assert manifest.layers[-1].media_type == OCI_LAYER
            assert manifest.layers[-1].size == len(data)
            assert record.chain == chain_ids([*config.diff_ids, diff])[-1]
            assert record.parent is None
    assert len(store.images) == 2


def test_other_diff_ids_are_refused(store):
    base = store.image("base")
    config = store.images.config(base.id).value
    with store.leases.hold("t") as lease, pytest.raises(InvalidArgumentError, match="other layers"):
        new_image(store.images, store.content, base, replace(config, diff_ids=()), [], lease)


@pytest.mark.parametrize(
    ("docker", "oci"), [(DOCKER_LAYER_GZIP, OCI_LAYER_GZIP), (DOCKER_FOREIGN_LAYER_GZIP, OCI_LAYER_NONDIST_GZIP)]
)
def test_docker_layers_get_oci_names_and_keep_their_bytes(store, docker, oci):
    base = store.image("base")
    old = store.images.manifest(base.id).value
    layers = tuple(replace(layer, media_type=docker) for layer in old.layers)
    document = encode_manifest(Manifest(DOCKER_MANIFEST_V2, old.config, layers))
    with store.leases.hold("t") as lease:
        store.content.put(document.raw, lease)
        store.images.add(
            document.descriptor, lease, repo_digests=[Reference.parse(f"base@{document.descriptor.digest}")]
        )
        config = replace(store.images.config(base.id).value, author="me")
        record = new_image(store.images, store.content, store.images.get(base.id), config, [], lease)
    manifest = store.images.manifest(record.id).value
    assert manifest.media_type == OCI_MANIFEST_V1
    assert [layer.media_type for layer in manifest.layers] == [oci]
    assert [layer.digest for layer in manifest.layers] == [layer.digest for layer in old.layers]


def test_what_was_entered_for_a_moment_is_withdrawn_unless_somebody_wants_it(store):
    alone, named, twice = (store.image(layers=({"f": text},)) for text in (b"1", b"2", b"3"))
    store.images.tag(Reference.parse("mine"), named.id)
    document = store.images.manifest(twice.id)
    with store.leases.hold("t") as lease, store.leases.hold("another build") as other:
        later = store.images.add(document.descriptor, other)
        for record in (alone, named, twice):
            withdraw(store.images, record, lease)
        assert [record.id in store.images for record in (alone, named, twice)] == [False, True, True]
        withdraw(store.images, later, lease)
        assert twice.id in store.images, "the other build is still reading it"
        withdraw(store.images, later, other)
    assert twice.id not in store.images
