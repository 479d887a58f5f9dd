# SPDX-License-Identifier: Apache-2.0
"""The documents of the OCI image specification as immutable values.

Unknown members are kept in ``extra`` and written back unchanged; :class:`Document` keeps the exact bytes beside the
value, because the bytes are the truth and the value only a view of them.

Source: OCI image-spec v1.1: descriptor.md, manifest.md, image-index.md, config.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.oci.digest import DiffID, Digest

T_co = TypeVar("T_co", covariant=True)


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on. ``os_features`` and the rest matter to Windows only and are kept as they came."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=_empty, compare=False)

    def __str__(self) -> str:
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed, sized, digested pointer to content. ``size`` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=_empty)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    data: bytes | None = None
    artifact_type: str | None = None
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image, or one artifact: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=_empty)
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, usually one for each platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=_empty)
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class History:
    """How one step of an image came about."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How to find out whether a container works. Durations are nanoseconds, 0 means the default.

    Source: Docker image specification v1.3, "Healthcheck".
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
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
    labels: Mapping[str, str] = field(default_factory=_empty)
    stop_signal: str = ""
    stop_timeout: int | None = None
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's configuration. ``created`` is RFC 3339 text, as it stands in the file."""

    platform: Platform
    diff_ids: tuple[DiffID, ...] = ()
    config: ContainerConfig = field(default_factory=ContainerConfig)
    history: tuple[History, ...] = ()
    created: str | None = None
    author: str = ""
    extra: Mapping[str, Any] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Document(Generic[T_co]):
    """A decoded JSON blob together with the exact bytes it came from."""

    descriptor: Descriptor
    raw: bytes
    value: T_co
