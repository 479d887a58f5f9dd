# SPDX-License-Identifier: Apache-2.0
"""Bytes to documents: strict about what matters, bounded in every direction, keeping what it does not know.

Source: OCI image-spec v1.1; Docker image manifest v2, schema 2; Docker image specification v1.3.
"""

from __future__ import annotations

from scow.errors import CorruptError, LimitError, UnsupportedError
from scow.jsontext import loads
from scow.oci import mediatype
from scow.oci.digest import DiffID, Digest, InvalidDigestError, sha256_digest
from scow.oci.model import (
    ContainerConfig,
    Descriptor,
    Document,
    Healthcheck,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
)
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

MAX_MANIFEST_SIZE = 4 << 20
"""Bytes; what registries must accept at least (distribution-spec, "Pushing Manifests")."""
MAX_CONFIG_SIZE = 8 << 20
_MAX_DEPTH = 64
_MAX_LAYERS = 4096
_MAX_MANIFESTS = 65536
_MAX_SIZE = 1 << 62


class MalformedDocumentError(CorruptError):
    """The bytes are not the document they claim to be."""

    code = "malformed-document"


def decode_json(raw: bytes, what: str, limit: int) -> dict[str, Any]:
    """Parse a JSON object of bounded size and depth.

    Args:
        raw: The bytes.
        what: Names the document in errors.
        limit: Most bytes allowed.

    Raises:
        LimitError: Larger than ``limit``.
        MalformedDocumentError: Not a JSON object, or nested deeper than 64.
    """
    if len(raw) > limit:
        raise LimitError(f"the {what} has {len(raw)} bytes, more than the {limit} allowed")
    # the depth is checked on the bytes first: json recurses, and a stack overflow is not an exception to rely on
    depth = deepest = 0
    quoted = escaped = False
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH:
        for byte in raw:
            if quoted:
                quoted, escaped = (byte != 0x22 or escaped), (byte == 0x5C and not escaped)
            elif byte == 0x22:
                quoted = True
            elif byte in b"[{":
                depth += 1
                deepest = max(deepest, depth)
                if deepest > _MAX_DEPTH:
                    raise MalformedDocumentError(f"the {what} is nested deeper than {_MAX_DEPTH} levels")
            elif byte in b"]}":
                depth -= 1
    try:
        value = loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedDocumentError(f"the {what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedDocumentError(f"the {what} is not a JSON object")
    return value


def decode_manifest(raw: bytes, media_type: str = "") -> Document[Manifest]:
    """Decode an image manifest, OCI or Docker schema 2.

    Raises:
        MalformedDocumentError: A needed member is missing or has the wrong type.
        LimitError: Too large.
        UnsupportedError: A Docker schema 1 manifest.
    """
    members = _Members(decode_json(raw, "manifest", MAX_MANIFEST_SIZE), "manifest")
    found = _media_type(members, media_type, mediatype.OCI_MANIFEST_V1)
    if not mediatype.is_manifest(found):
        members.fail(f"has the media type {found!r}")
    layers = members.objects("layers", _MAX_LAYERS)
    manifest = Manifest(
        found,
        _descriptor(members.object("config"), "manifest config"),
        tuple(_descriptor(layer, "manifest layer") for layer in layers),
        _optional_descriptor(members.take("subject"), "manifest subject"),
        members.text("artifactType") or None,
        members.strings("annotations"),
        members.rest("schemaVersion", "mediaType"),
    )
    return Document(Descriptor(found, sha256_digest(raw), len(raw)), raw, manifest)


def decode_index(raw: bytes, media_type: str = "") -> Document[Index]:
    """Decode an image index or a Docker manifest list.

    Raises:
        MalformedDocumentError: A needed member is missing or has the wrong type.
        LimitError: Too large.
    """
    members = _Members(decode_json(raw, "index", MAX_MANIFEST_SIZE), "index")
    found = _media_type(members, media_type, mediatype.OCI_INDEX_V1)
    if not mediatype.is_index(found):
        members.fail(f"has the media type {found!r}")
    index = Index(
        found,
        tuple(_descriptor(entry, "index entry") for entry in members.objects("manifests", _MAX_MANIFESTS)),
        _optional_descriptor(members.take("subject"), "index subject"),
        members.text("artifactType") or None,
        members.strings("annotations"),
        members.rest("schemaVersion", "mediaType"),
    )
    return Document(Descriptor(found, sha256_digest(raw), len(raw)), raw, index)


def decode_config(raw: bytes, media_type: str = mediatype.OCI_CONFIG_V1) -> Document[ImageConfig]:
    """Decode an image configuration.

    Raises:
        MalformedDocumentError: A needed member is missing or has the wrong type.
        LimitError: Too large.
    """
    members = _Members(decode_json(raw, "image config", MAX_CONFIG_SIZE), "image config")
    rootfs = _Members(members.object("rootfs"), "image config rootfs")
    try:
        diff_ids = tuple(DiffID(Digest(text)) for text in rootfs.texts("diff_ids") or ())
    except InvalidDigestError as error:
        raise MalformedDocumentError(f"the image config has a bad diff_id: {error}") from error
    if len(diff_ids) > _MAX_LAYERS:
        raise LimitError(f"the image has {len(diff_ids)} layers, more than the {_MAX_LAYERS} allowed")
    platform = Platform(
        members.text("os"),
        members.text("architecture"),
        members.text("variant"),
        members.text("os.version"),
        members.texts("os.features") or (),
    )
    config = ImageConfig(
        platform,
        diff_ids,
        _container_config(members.take("config")),
        tuple(_history(entry) for entry in members.objects("history", 4 * _MAX_LAYERS)),
        members.text("created") or None,
        members.text("author"),
        members.rest(),
    )
    return Document(Descriptor(media_type, sha256_digest(raw), len(raw)), raw, config)


def decode_descriptor(value: Mapping[str, Any]) -> Descriptor:
    """Decode one descriptor from parsed JSON.

    Raises:
        MalformedDocumentError: A needed member is missing or has the wrong type.
    """
    return _descriptor(dict(value), "descriptor")


def decode_container_config(value: Mapping[str, Any] | None) -> ContainerConfig:
    """Decode the ``config`` member of an image configuration from parsed JSON.

    Raises:
        MalformedDocumentError: A member has the wrong type.
    """
    return _container_config(dict(value) if value is not None else None)


class _Members:
    """Takes typed members out of a JSON object; what is left at the end is unknown. null counts as absent."""

    def __init__(self, value: dict[str, Any], what: str) -> None:
        self._value = dict(value)
        self._what = what

    def fail(self, why: str) -> NoReturn:
        raise MalformedDocumentError(f"the {self._what} {why}")

    def take(self, name: str) -> Any:
        return self._value.pop(name, None)

    def text(self, name: str) -> str:
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            self.fail(f"member {name!r} is not a string")
        return value or ""

    def integer(self, name: str, *, needed: bool = False, low: int = -_MAX_SIZE) -> int:
        value = self.take(name)
        if value is None and not needed:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_SIZE:
            self.fail(f"member {name!r} is not a valid number")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self.fail(f"member {name!r} is not true or false")
        return bool(value)

    def object(self, name: str) -> dict[str, Any]:
        value = self.take(name)
        if not isinstance(value, dict):
            self.fail(f"has no object {name!r}")
        return value

    def objects(self, name: str, most: int) -> list[dict[str, Any]]:
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fail(f"member {name!r} is not a list of objects")
        if len(value) > most:
            raise LimitError(f"the {self._what} has {len(value)} {name}, more than the {most} allowed")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, str):  # Docker reads a lone string as a list of one
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(f"member {name!r} is not a list of strings")
        return tuple(value)

    def strings(self, name: str) -> dict[str, str]:
        value = self.take(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            self.fail(f"member {name!r} is not a map of strings")
        return value

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of a Go-style set, ``{"80/tcp": {}}``."""
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.fail(f"member {name!r} is not an object")
        return tuple(value)

    def rest(self, *known: str) -> dict[str, Any]:
        return {name: value for name, value in self._value.items() if name not in known}


def _media_type(members: _Members, given: str, default: str) -> str:
    if members.take("schemaVersion") == 1:
        raise UnsupportedError(
            "the manifest has Docker's old schema 1, which cannot be verified",
            hint="Push the image again with a current tool.",
        )
    inside = members.text("mediaType")
    if inside and given and inside != given:
        members.fail(f"says it is {inside!r} but came as {given!r}")
    return inside or given or default


def _descriptor(value: dict[str, Any], what: str) -> Descriptor:
    members = _Members(value, what)
    try:
        digest = Digest(members.text("digest"))
    except InvalidDigestError as error:
        raise MalformedDocumentError(f"the {what} has a bad digest: {error}") from error
    platform = members.take("platform")
    data = members.text("data")
    return Descriptor(
        members.text("mediaType"),
        digest,
        members.integer("size", needed=True, low=0),
        members.strings("annotations"),
        _platform(platform) if isinstance(platform, dict) else None,
        members.texts("urls") or (),
        _base64(data, what) if data else None,
        members.text("artifactType") or None,
        members.rest(),
    )


def _optional_descriptor(value: Any, what: str) -> Descriptor | None:
    return _descriptor(value, what) if isinstance(value, dict) else None


def _base64(text: str, what: str) -> bytes:
    from base64 import b64decode

    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedDocumentError(f"the {what} has data that is not base64") from error


def _platform(value: dict[str, Any]) -> Platform:
    members = _Members(value, "platform")
    return Platform(
        members.text("os"),
        members.text("architecture"),
        members.text("variant"),
        members.text("os.version"),
        members.texts("os.features") or (),
        members.rest(),
    )


def _container_config(value: Any) -> ContainerConfig:
    if value is None:
        return ContainerConfig()
    if not isinstance(value, dict):
        raise MalformedDocumentError("the image config member 'config' is not an object")
    members = _Members(value, "image config")
    healthcheck = members.take("Healthcheck")
    timeout = members.take("StopTimeout")
    return ContainerConfig(
        user=members.text("User"),
        exposed_ports=members.keys("ExposedPorts"),
        env=members.texts("Env") or (),
        entrypoint=members.texts("Entrypoint"),
        cmd=members.texts("Cmd"),
        volumes=members.keys("Volumes"),
        working_dir=members.text("WorkingDir"),
        labels=members.strings("Labels"),
        stop_signal=members.text("StopSignal"),
        stop_timeout=timeout if isinstance(timeout, int) else None,
        args_escaped=members.flag("ArgsEscaped"),
        healthcheck=_healthcheck(healthcheck) if isinstance(healthcheck, dict) else None,
        shell=members.texts("Shell") or (),
        on_build=members.texts("OnBuild") or (),
        extra=members.rest(),
    )


def _healthcheck(value: dict[str, Any]) -> Healthcheck:
    members = _Members(value, "healthcheck")
    return Healthcheck(
        members.texts("Test") or (),
        members.integer("Interval"),
        members.integer("Timeout"),
        members.integer("StartPeriod"),
        members.integer("StartInterval"),
        members.integer("Retries"),
    )


def _history(value: dict[str, Any]) -> History:
    members = _Members(value, "history entry")
    return History(
        members.text("created") or None,
        members.text("created_by"),
        members.text("author"),
        members.text("comment"),
        members.flag("empty_layer"),
        members.rest(),
    )
