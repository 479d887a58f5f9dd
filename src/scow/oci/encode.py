# SPDX-License-Identifier: Apache-2.0
"""Documents to canonical bytes; the only writer of JSON blobs.

Members come in the order in which the specifications' own Go types write them, without blanks, so that equal values
have equal digests in every version of scow.

Source: OCI image-spec v1.1, considerations.md, "Canonicalization".
"""

from __future__ import annotations

import json

from scow.oci import mediatype
from scow.oci.digest import sha256_digest
from scow.oci.model import Descriptor, Document
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.oci.model import ContainerConfig, Healthcheck, History, ImageConfig, Index, Manifest, Platform


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Write JSON compactly, in UTF-8, members in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def encode_manifest(manifest: Manifest) -> Document[Manifest]:
    """Write a manifest."""
    value: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest.media_type}
    if manifest.artifact_type:
        value["artifactType"] = manifest.artifact_type
    value["config"] = descriptor_members(manifest.config)
    value["layers"] = [descriptor_members(layer) for layer in manifest.layers]
    _tail(value, manifest.subject, manifest.annotations, manifest.extra)
    raw = encode_json(value)
    return Document(Descriptor(manifest.media_type, sha256_digest(raw), len(raw)), raw, manifest)


def encode_index(index: Index) -> Document[Index]:
    """Write an index; one of Docker's kind in the bytes that docker's client writes.

    Source: distribution, manifestlist.FromDescriptors.
    """
    value: dict[str, Any] = {"schemaVersion": 2, "mediaType": index.media_type}
    if index.artifact_type:
        value["artifactType"] = index.artifact_type
    value["manifests"] = [descriptor_members(entry) for entry in index.manifests]
    _tail(value, index.subject, index.annotations, index.extra)
    raw = encode_json(value)
    if index.media_type == mediatype.DOCKER_MANIFEST_LIST_V2:
        value["manifests"] = [_docker_order(entry) for entry in value["manifests"]]
        raw = json.dumps(value, indent=3, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return Document(Descriptor(index.media_type, sha256_digest(raw), len(raw)), raw, index)


def encode_config(config: ImageConfig, media_type: str = mediatype.OCI_CONFIG_V1) -> Document[ImageConfig]:
    """Write an image configuration."""
    value: dict[str, Any] = {}
    if config.created:
        value["created"] = config.created
    if config.author:
        value["author"] = config.author
    value |= platform_members(config.platform)
    value["config"] = container_config_members(config.config)
    value["rootfs"] = {"type": "layers", "diff_ids": list(config.diff_ids)}
    if config.history:
        value["history"] = [_history(entry) for entry in config.history]
    value |= config.extra
    raw = encode_json(value)
    return Document(Descriptor(media_type, sha256_digest(raw), len(raw)), raw, config)


def descriptor_members(desc: Descriptor) -> dict[str, Any]:
    """A descriptor as the members of a JSON object."""
    value: dict[str, Any] = {"mediaType": desc.media_type, "digest": str(desc.digest), "size": desc.size}
    if desc.urls:
        value["urls"] = list(desc.urls)
    if desc.annotations:
        value["annotations"] = dict(desc.annotations)
    if desc.data is not None:
        from base64 import b64encode

        value["data"] = b64encode(desc.data).decode("ascii")
    if desc.platform is not None:
        value["platform"] = platform_members(desc.platform)
    if desc.artifact_type:
        value["artifactType"] = desc.artifact_type
    return value | dict(desc.extra)


def _docker_order(members: dict[str, Any]) -> dict[str, Any]:
    first = ("mediaType", "size", "digest")
    return {name: members[name] for name in first} | members


def platform_members(platform: Platform) -> dict[str, Any]:
    """A platform as the members of a JSON object."""
    value: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        value["os.version"] = platform.os_version
    if platform.os_features:
        value["os.features"] = list(platform.os_features)
    if platform.variant:
        value["variant"] = platform.variant
    return value | dict(platform.extra)


def container_config_members(config: ContainerConfig) -> dict[str, Any]:
    """The ``config`` member of an image configuration; what is unset is left out."""
    value: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in sorted(config.exposed_ports)},
        "Env": list(config.env),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Healthcheck": _healthcheck(config.healthcheck) if config.healthcheck else None,
        "ArgsEscaped": config.args_escaped,
        "Volumes": {path: {} for path in sorted(config.volumes)},
        "WorkingDir": config.working_dir,
        "OnBuild": list(config.on_build),
        "Labels": {key: config.labels[key] for key in sorted(config.labels)},
        "StopSignal": config.stop_signal,
        "StopTimeout": config.stop_timeout,
        "Shell": list(config.shell),
    }
    kept = {name: item for name, item in value.items() if item or (name in {"Cmd", "Entrypoint"} and item is not None)}
    if config.stop_timeout is not None:
        kept["StopTimeout"] = config.stop_timeout
    return kept | dict(config.extra)


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    value: dict[str, Any] = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {name: item for name, item in value.items() if item}


def _history(entry: History) -> dict[str, Any]:
    value: dict[str, Any] = {
        "created": entry.created,
        "created_by": entry.created_by,
        "author": entry.author,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    return {name: item for name, item in value.items() if item} | dict(entry.extra)


def _tail(
    value: dict[str, Any], subject: Descriptor | None, annotations: Mapping[str, str], extra: Mapping[str, Any]
) -> None:
    if subject is not None:
        value["subject"] = descriptor_members(subject)
    if annotations:
        value["annotations"] = dict(annotations)
    value |= extra
