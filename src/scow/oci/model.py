# SPDX-License-Identifier: Apache-2.0
"""The documents of the OCI image specification as immutable values.

Unknown members are kept in ``extra`` and written back unchanged; :class:`Document` keeps the exact bytes beside the
value, because the bytes are the truth and the value only a view of them.

Source: OCI image-spec v1.1: descriptor.md, manifest.md, image-index.md, config.md.
"""

from __future__ import annotations

from scow.record import Record
from scow.typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.oci.digest import DiffID, Digest

T_co = TypeVar("T_co", covariant=True)


_NOTHING: Mapping[str, Any] = {}
"""What stands for no members at all; a ``Mapping``, so nobody puts any in."""


class Platform(Record):
    """What an image runs on. ``os_features`` and the rest matter to Windows only and are kept as they came."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    extra: Mapping[str, Any] = _NOTHING

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Platform) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        """What tells platforms apart: all but what is not known."""
        return self.os, self.architecture, self.variant, self.os_version, self.os_features

    def __str__(self) -> str:
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text


class Descriptor(Record):
    """A typed, sized, digested pointer to content. ``size`` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = _NOTHING
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    data: bytes | None = None
    artifact_type: str | None = None
    extra: Mapping[str, Any] = _NOTHING


class Manifest(Record):
    """One image, or one artifact: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = _NOTHING
    extra: Mapping[str, Any] = _NOTHING


class Index(Record):
    """A list of manifests, usually one for each platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = _NOTHING
    extra: Mapping[str, Any] = _NOTHING


class History(Record):
    """How one step of an image came about."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, Any] = _NOTHING


class Healthcheck(Record):
    """How to find out whether a container works. Durations are nanoseconds, 0 means the default.

    Source: Docker image specification v1.3, "Healthcheck".
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Record):
    """The execution parameters of an image: the ``config`` member of its configuration.

    ``None`` and an empty tuple differ for ``cmd`` and ``entrypoint``: an empty one was set on purpose.

    Source: OCI image-spec v1.1, config.md, "config"; Docker's additions (Healthcheck, Shell, OnBuild, ArgsEscaped).
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = _NOTHING
    stop_signal: str = ""
    stop_timeout: int | None = None
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    extra: Mapping[str, Any] = _NOTHING


class ImageConfig(Record):
    """An image's configuration. ``created`` is RFC 3339 text, as it stands in the file."""

    platform: Platform
    diff_ids: tuple[DiffID, ...] = ()
    config: ContainerConfig = ContainerConfig()
    history: tuple[History, ...] = ()
    created: str | None = None
    author: str = ""
    extra: Mapping[str, Any] = _NOTHING


class Document(Record, Generic[T_co]):
    """A decoded JSON blob together with the exact bytes it came from."""

    descriptor: Descriptor
    raw: bytes
    value: T_co
