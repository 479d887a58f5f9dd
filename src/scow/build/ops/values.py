# SPDX-License-Identifier: Apache-2.0
"""The operations of a build as values: everything the planner decided, nothing that happens."""

from __future__ import annotations

from scow.layer.tarwrite import SERIALISER
from scow.record import Record
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.build.copying import CopySource
    from scow.build.origins import Origin
    from scow.dockerfile.mounts import Mount
    from scow.oci.digest import ChainID


class BaseOp(Record):
    """An image to stand on.

    Attributes:
        name: As the Dockerfile has it.
        image: Its ID.
        chain: Its layers; ``None`` when it has none.
        time: When it was made, seconds since the epoch.
    """

    name: str
    image: str
    chain: ChainID | None
    time: int

    kind = "base"

    def definition(self) -> Mapping[str, Any]:
        """Only the files of a base count; what its config says is in the steps that use it."""
        return {"op": self.kind, "chain": self.chain}


class CopyPart(Record):
    """Sources of one instruction that come from one place.

    Attributes:
        origin: The place; ``None`` for the vertex that is read.
        source: What is taken.
    """

    origin: Origin | None
    source: CopySource


class CopyOp(Record):
    """COPY or ADD.

    Attributes:
        parts: What is copied, in order.
        target: Absolute; ends with a slash or ``/.`` when it must be a directory.
        chown: ``user[:group]`` or ``""``.
        chmod: From ``--chmod``, or ``""``.
        excludes: From ``--exclude``.
    """

    parts: tuple[CopyPart, ...]
    target: str
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()

    kind = "copy"

    def definition(self) -> Mapping[str, Any]:
        """Files from contexts count by content; files from other steps count through those steps."""
        return {
            "op": self.kind,
            "serialiser": SERIALISER,
            "target": self.target,
            "chown": self.chown,
            "chmod": self.chmod,
            "excludes": self.excludes,
            "parts": [self._part(part) for part in self.parts],
        }

    def _part(self, part: CopyPart) -> list[Any]:
        content = "" if part.origin is None else part.origin.fingerprint(part.source, self.excludes)
        return [list(part.source), content]


class MkdirOp(Record):
    """WORKDIR.

    Attributes:
        path: The directory, absolute.
        user: Who owns what is made.
    """

    path: str
    user: str = ""

    kind = "mkdir"

    def definition(self) -> Mapping[str, Any]:
        """The path and the owner."""
        return {"op": self.kind, "serialiser": SERIALISER, "path": self.path, "user": self.user}


class RunMount(Record):
    """A mount of a RUN.

    Attributes:
        mount: As the instruction has it, variables replaced.
        target: Absolute.
        origin: For a bind from a context.
        read: For a bind or cache from another step: its place among the vertices that are read, else -1.
    """

    mount: Mount
    target: str
    origin: Origin | None = None
    read: int = -1


class RunOp(Record):
    """RUN.

    Attributes:
        args: The whole command.
        env: Variables in force, ``NAME=value``.
        cwd: Working directory.
        user: As USER has it.
        mounts: In order.
        network: ``default``, ``none`` or ``host``.
        insecure: All capabilities.
        files: Here-documents to be mounted: content by path.
        hosts: ``name:address``.
        shm_size: Bytes; 0 for the default.
        ulimits: ``(name, soft, hard)``.
        resources: Limits, as in the options.
        cgroup_parent: Control group.
        volumes: Host directories: (source, target, read-only).
        proxies: Proxy variables, outside the key.
        hostname: Name of the machine inside.
        platform: ``os/architecture`` of the files; foreign ones need emulation.
    """

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    mounts: tuple[RunMount, ...] = ()
    network: str = "default"
    insecure: bool = False
    files: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()
    resources: tuple[tuple[str, int | str], ...] = ()
    cgroup_parent: str = ""
    volumes: tuple[tuple[str, str, bool], ...] = ()
    proxies: tuple[str, ...] = ()
    hostname: str = ""
    platform: str = ""

    kind = "run"

    def definition(self) -> Mapping[str, Any]:
        """Secrets count by name, not by value; limits and proxies do not count."""
        return {
            "op": self.kind,
            "serialiser": SERIALISER,
            "args": self.args,
            "env": sorted(self.env),
            "cwd": self.cwd,
            "user": self.user,
            "network": self.network,
            "insecure": self.insecure,
            "files": self.files,
            "hosts": self.hosts,
            "hostname": self.hostname,
            "volumes": self.volumes,
            "mounts": [_mount(mount) for mount in self.mounts],
        }


def _mount(mount: RunMount) -> list[Any]:
    from scow.build.copying import CopySource

    value = mount.mount
    content = ""
    if mount.origin is not None:
        content = mount.origin.fingerprint(CopySource("/" + value.source.lstrip("/"), wildcards=False), ())
    return [
        value.type, mount.target, value.source, value.readonly, value.size, value.id, value.sharing, value.env,
        value.mode, value.uid, value.gid, content, mount.read, value.required,
    ]  # fmt: skip
