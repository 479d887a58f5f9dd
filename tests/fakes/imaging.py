# SPDX-License-Identifier: Apache-2.0
"""Small images for tests of transfers: layers from dictionaries, put into a fake registry or into a store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

from scow.distribution.client import RegistryClient
from scow.distribution.session import RetryPolicy
from scow.engine import Engine
from scow.images.places import Copier, parse_place
from scow.images.transfer import Transfers, TransferSettings
from scow.settings import Settings

AMD, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}
QUICK = RetryPolicy(attempts=3, first=0.001, longest=0.002, patience=1.0)
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files):
    """An uncompressed layer with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


class Made:
    """What :func:`make` put together; change ``manifest`` or ``config`` before :meth:`put`."""

    def __init__(self, layers, *, compress=True, arch="amd64", labels=None, media_types=(OCI_MANIFEST, OCI_CONFIG)):
        self.plain = [layer(files) for files in layers]
        self.blobs = [gzip.compress(tar, 6, mtime=0) if compress else tar for tar in self.plain]
        self.media_type = media_types[0]
        self.config = {
            "created": "2024-01-01T00:00:00Z",
            "architecture": arch,
            "os": "linux",
            "config": {"Cmd": ["/x"], "Labels": labels or {}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in self.plain]},
            "history": [{"created_by": "test"} for _ in self.plain],
        }
        self.layer_type = GZIP if compress else PLAIN
        self.config_type = media_types[1]
        self.extra = {}

    @property
    def raw_config(self):
        return json.dumps(self.config).encode()

    @property
    def raw(self):
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": descriptor(self.config_type, self.raw_config),
                "layers": [descriptor(self.layer_type, blob) for blob in self.blobs],
                **self.extra,
            }
        ).encode()

    def put(self, registry, name, tag=""):
        for blob in (*self.blobs, self.raw_config):
            registry.put_blob(name, blob)
        return registry.put_manifest(name, self.raw, self.media_type, tag)


def index(registry, name, tag, entries):
    """Put an index of ``(Made, platform)`` pairs."""
    manifests = []
    for made, platform in entries:
        made.put(registry, name)
        manifests.append(descriptor(OCI_MANIFEST, made.raw, **({"platform": platform} if platform else {})))
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()
    return registry.put_manifest(name, raw, OCI_INDEX, tag)


def engine(root, **environ):
    """An engine whose layers are kept as indexes over their tars, which needs no rights."""
    return Engine(
        settings=Settings.from_env({"SCOW_SNAPSHOTTER": "erofs", "HOME": str(root), **environ}, root=str(root))
    )


def transfers(store, progress=None, options=None, retry=QUICK):
    """Transfers that lose no time with waiting."""
    environ = {"SCOW_DAEMON_JSON": "", **store.settings.environ}
    client = RegistryClient(store.settings.config_dir, environ, options, retry=retry)
    return Transfers(
        store.images,
        store.content,
        lambda: store.snapshots,
        store.leases,
        TransferSettings(store.settings.config_dir, environ, "linux/amd64"),
        options,
        progress or (lambda _event: None),
        client,
    )


def copied(store, source, target, **kwargs):
    """Copy from place to place; gives the digest."""
    with transfers(store) as moving:
        return Copier(moving, **kwargs).copy(parse_place(source), parse_place(target))
